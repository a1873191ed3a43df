//! Files that are either the old version or the new one, never half of each; and whatever else a run does to files, so that tests can let
//! each operation fail or be the last.

mod fault;

use crate::{Error, Result};
use fault::Operation;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Writes `bytes` to `path` so that a crash, a full disk or a power cut leaves either the old file or the new one.
///
/// The bytes go to a temporary name in the same folder, are flushed to the disk, and the name is changed last. A failure
/// removes the temporary file. Missing folders above `path` are created.
///
/// # Errors
/// [`Error::Io`] naming the file that was asked for and the step that failed.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.put(bytes)?;
    file.commit()
}

/// A file on its way, which [`AtomicFile::commit`] puts in the place of the old one: for what is written bit by bit. Dropped before, it
/// leaves the old file as it was and nothing else.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    folder: PathBuf,
    temporary: PathBuf,
    /// `None` when it is done.
    file: Option<BufWriter<File>>,
}

impl AtomicFile {
    /// A file that will be at `path`. Missing folders above it are created.
    ///
    /// # Errors
    /// [`Error::Io`] naming `path` or the folder.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = folder.to_path_buf();
        make_folder(&folder)?;
        let temporary = temporary_beside(&path, &folder)?;
        let created = fault::pass(Operation::Create, &path).and_then(|()| File::create(&temporary));
        let file = created.map_err(|e| Error::io(&path, "create", e))?;
        Ok(AtomicFile { path, folder, temporary, file: Some(BufWriter::new(file)) })
    }

    /// Writes these bytes after those before.
    ///
    /// # Errors
    /// [`Error::Io`] naming the path.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match fault::next(Operation::Write, &self.path) {
            None => self.write_all(bytes),
            // Nothing says how much of it reaches the file.
            Some(fault) => {
                self.write_all(&bytes[..bytes.len() / 2]).and_then(|()| self.flush()).and(Err(fault.happen()))
            }
        };
        written.map_err(|e| Error::io(&self.path, "write", e))
    }

    /// Flushes everything to the disk and gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`] naming the path; the old file is then as it was.
    pub fn commit(mut self) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let done = finish(file, &self.temporary, &self.path);
        if done.is_err() {
            discard(&self.temporary);
        }
        done?;
        sync_folder(&self.folder);
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // Some systems remove no file that is open; what the buffer holds is for nobody.
            drop(file.into_parts());
            discard(&self.temporary);
        }
    }
}

/// The first error is the one worth reporting; a leftover that cannot be removed harms nobody.
fn discard(temporary: &Path) {
    let _ = fs::remove_file(temporary);
}

/// Makes a folder and those above it, where they are missing.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    let made = if folder.is_dir() { Ok(()) } else { fault::pass(Operation::MakeFolder, folder) };
    made.and_then(|()| fs::create_dir_all(folder)).map_err(|e| Error::io(folder, "create the folder", e))
}

/// Removes a file.
///
/// # Errors
/// [`Error::Io`].
#[cfg(feature = "train")]
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = fault::pass(Operation::Remove, path).and_then(|()| fs::remove_file(path));
    removed.map_err(|e| Error::io(path, "remove", e))
}

/// Opens a file for reading and writing, and makes it where it is missing.
#[cfg(feature = "train")]
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    if !path.exists() {
        fault::pass(Operation::Create, path)?;
    }
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// Writes at the place where `file`, which lies at `path`, is read and written next.
#[cfg(feature = "train")]
pub(crate) fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fault::next(Operation::Write, path) {
        None => file.write_all(bytes),
        // Nothing says how much of it reaches the file.
        Some(fault) => file.write_all(&bytes[..bytes.len() / 2]).and_then(|()| Err(fault.happen())),
    }
}

/// Cuts `file`, which lies at `path`, to a length.
#[cfg(feature = "train")]
pub(crate) fn shorten(file: &File, path: &Path, len: u64) -> io::Result<()> {
    fault::pass(Operation::Shorten, path).and_then(|()| file.set_len(len))
}

/// Makes durable what was written to `file`, which lies at `path`.
#[cfg(feature = "train")]
pub(crate) fn flush(file: &File, path: &Path) -> io::Result<()> {
    fault::pass(Operation::Flush, path).and_then(|()| file.sync_data())
}

/// A name in `folder` that no other thread or process uses.
fn temporary_beside(path: &Path, folder: &Path) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Some(name) = path.file_name() else {
        let source = std::io::Error::new(io::ErrorKind::InvalidInput, "the path names no file");
        return Err(Error::io(path, "write", source));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    Ok(folder.join(hidden))
}

/// Whether [`write_atomic`] names files like this while it writes them: what is left under such a name is half a file.
#[cfg(any(test, feature = "train"))]
pub(crate) fn is_temporary(name: &str) -> bool {
    let middle = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".tmp"));
    let numbers = middle.and_then(|rest| rest.rsplit_once('.')).and_then(|(_, last)| last.split_once('-'));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers.is_some_and(|(process, count)| digits(process) && digits(count))
}

fn finish(file: BufWriter<File>, temporary: &Path, path: &Path) -> Result<()> {
    let fail = |action| move |e| Error::io(path, action, e);
    let file = file.into_inner().map_err(|e| Error::io(path, "write", e.into_error()))?;
    // Without this the rename may reach the disk before the bytes do.
    fault::pass(Operation::Flush, path).and_then(|()| file.sync_all()).map_err(fail("flush to the disk"))?;
    drop(file);
    fault::pass(Operation::Replace, path).and_then(|()| fs::rename(temporary, path)).map_err(fail("replace"))
}

/// Makes the new name itself durable. Not every system can open a folder; where it cannot, the rename is still atomic.
fn sync_folder(folder: &Path) {
    if let Ok(handle) = File::open(folder) {
        let _ = fault::pass(Operation::FlushFolder, folder).and_then(|()| handle.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn writes_and_replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/state.bin");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two, longer").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two, longer");
        assert_eq!(names(path.parent().unwrap()), ["state.bin"]);
    }

    #[test]
    fn a_failed_replacement_keeps_the_old_and_removes_the_temporary() {
        let folder = tempfile::tempdir().unwrap();
        // A folder that is not empty cannot be replaced by a file: the rename is what fails, after all bytes were written.
        let target = folder.path().join("target");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old"), b"old").unwrap();
        let error = write_atomic(&target, b"new").unwrap_err();
        assert!(matches!(&error, Error::Io { path, action: "replace", .. } if *path == target), "{error}");
        assert_eq!(fs::read(target.join("old")).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["target"]);
    }

    #[test]
    fn what_is_not_committed_keeps_the_old_and_removes_the_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.bin");
        write_atomic(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.put(&[7; 100_000]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert!(names(folder.path()).iter().any(|name| is_temporary(name)));
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["state.bin"]);
        let mut file = AtomicFile::create(&path).unwrap();
        [b"new", b", l", b"ong"].iter().for_each(|part| file.put(*part).unwrap());
        file.commit().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"new, long".to_vec(), vec!["state.bin".into()]));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told() {
        // Every write there fails as on a full disk.
        let file = BufWriter::new(File::options().write(true).open("/dev/full").unwrap());
        let mut file = file;
        file.write_all(b"new").unwrap();
        let error = finish(file, Path::new("/dev/full"), Path::new("state.bin")).unwrap_err();
        assert!(matches!(&error, Error::Io { action: "write", .. }), "{error}");
    }

    #[test]
    fn a_file_where_a_folder_is_needed_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"x").unwrap();
        let error = write_atomic(folder.path().join("file/inner.json"), b"x").unwrap_err();
        assert!(error.to_string().contains("create the folder"), "{error}");
        assert!(write_atomic("/", b"x").is_err());
    }

    #[test]
    fn names_differ_within_a_process() {
        let a = temporary_beside(Path::new("x/y.json"), Path::new("x")).unwrap();
        let b = temporary_beside(Path::new("x/y.json"), Path::new("x")).unwrap();
        assert_ne!(a, b);
        assert!(is_temporary(&a.file_name().unwrap().to_string_lossy()));
        assert!(
            [".tmp", ".a.tmp", ".1-2.tmp", "a.1-2.tmp", ".a.1-.tmp", ".a.1-2"].iter().all(|name| !is_temporary(name))
        );
    }
}
