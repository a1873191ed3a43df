//! The one error type. Every message says what happened, where, and what to do about it.

use std::path::{Path, PathBuf};

/// `Result` with limbeck's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, from a mistyped key to a lost device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter that can run compute shaders was found.
    #[error("no GPU adapter found ({tried}).\n{hint}")]
    NoAdapter {
        /// Which backends were asked and what they offered.
        tried: String,
        /// What to install or to set.
        hint: String,
    },
    /// The adapter refused to open a device.
    #[error(
        "the adapter {adapter} could not be opened: {message}. Update its driver, or choose another adapter with WGPU_ADAPTER_NAME (`limbeck devices` lists them)"
    )]
    Device {
        /// The adapter's name.
        adapter: String,
        /// The driver's words.
        message: String,
    },
    /// The device vanished while in use (driver reset, watchdog, unplugged).
    #[error(
        "the GPU device was lost ({reason}). What was saved is intact: run the same command again to resume; if it recurs, lower the batch size or update the driver"
    )]
    DeviceLost {
        /// The driver's words.
        reason: String,
    },
    /// The device is out of memory.
    #[error(
        "out of GPU memory while {doing} ({in_use} MiB held by limbeck). What was saved is intact: close other programs that use the GPU and run the same command again to resume, or lower train.batch or the network's width, in a new folder (--out)"
    )]
    OutOfMemory {
        /// What was being done.
        doing: String,
        /// Mebibytes held by the pool at that moment.
        in_use: u64,
    },
    /// A request exceeds one of the adapter's limits.
    #[error("{what} needs {needed}, but this adapter allows {limit} ({name}). {hint}")]
    Limit {
        /// What was asked for.
        what: String,
        /// How much it needs.
        needed: u64,
        /// How much there is.
        limit: u64,
        /// The limit's name in wgpu, or what else it is known by.
        name: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// The GPU's validation refused a command: a defect in a kernel, ours or an embedder's.
    #[error("GPU validation failed: {0}")]
    Validation(String),
    /// A shader does not preprocess, parse or validate.
    #[error("shader {name}, line {line}: {message}")]
    Shader {
        /// The shader's file name.
        name: String,
        /// Line in the source that was written (0: unknown).
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Shapes that do not fit each other.
    #[error("shape mismatch: {0}")]
    Shape(String),
    /// An argument outside its domain.
    #[error("{0}")]
    Invalid(String),
    /// A file operation failed.
    #[error("cannot {action} {}: {source}{}", path.display(), io_hint(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// `read`, `write`, `rename`, …
        action: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// A data file does not hold what its format promises.
    #[error("{}{}: {message}", path.display(), at_place(at))]
    Data {
        /// The file.
        path: PathBuf,
        /// Where in it (`byte 16`, `record 12`); may be empty.
        at: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// The run's configuration is wrong.
    #[error("{}{}: {key}: {message}", path.display(), line.map(|l| format!(":{l}")).unwrap_or_default())]
    Config {
        /// The file (or `--set`).
        path: PathBuf,
        /// Its line, where known.
        line: Option<usize>,
        /// The key, as `table.key`.
        key: String,
        /// What is wrong and what is expected.
        message: String,
    },
    /// A checkpoint does not fit what is asked of it.
    #[error("checkpoint {}: {message}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// Another process trains in the folder.
    #[error(
        "{} is in use by {holder}: two runs in one folder would spoil each other. Wait until it ends, or choose another folder with --out",
        folder.display()
    )]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// Which process, and on which machine, as far as it is known.
        holder: String,
    },
    /// The folder of a run was removed or replaced while the run wrote to it.
    #[error(
        "the folder {} has vanished or was replaced while the run wrote to it; what it held is no longer there. Run the same command again \
         to begin anew",
        folder.display()
    )]
    Vanished {
        /// The folder.
        folder: PathBuf,
    },
    /// A loss became NaN or infinite.
    #[error(
        "{what} became {value} at {at}. The last good checkpoint is kept; lower the learning rate, add train.warmup_epochs or set train.clip_norm, and run in a new folder (--out)"
    )]
    NonFinite {
        /// Which quantity.
        what: String,
        /// Its value.
        value: f32,
        /// Stage, epoch and step.
        at: String,
    },
    /// The user asked to stop.
    #[error("interrupted at {at}; everything up to there is saved: run the same command again to resume")]
    Interrupted {
        /// Stage, epoch and step.
        at: String,
    },
}

impl Error {
    /// A failed file operation.
    pub fn io(path: impl AsRef<Path>, action: &'static str, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().to_path_buf(), action, source }
    }

    /// A file whose content is wrong at a place.
    pub fn data(path: impl AsRef<Path>, at: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Data { path: path.as_ref().to_path_buf(), at: at.into(), message: message.into() }
    }

    /// A checkpoint that does not fit.
    pub fn checkpoint(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Error::Checkpoint { path: path.as_ref().to_path_buf(), message: message.into() }
    }
}

fn at_place(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!(", {at}") }
}

fn io_hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull => {
            ". Free some disk space and run the same command again; earlier results are intact"
        }
        std::io::ErrorKind::PermissionDenied => ". Check the permissions, or choose another folder with --out",
        std::io::ErrorKind::NotFound => ". Check the path",
        _ => "",
    }
}
