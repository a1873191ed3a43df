//! One process a folder: whoever trains in a folder holds its lock, and sweeps what a killed process has left there.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::files::{self, is_temporary};
use crate::{Error, Result};

/// The file that is locked.
const LOCK: &str = ".limbeck.lock";
/// Who holds it: in a file of its own, because some systems let nobody read one that is locked.
const HOLDER: &str = ".limbeck.holder";

/// Folders below a run's: seeds and cache; of a comparison stages, and the folder of each.
const DEPTH: usize = 2;

/// How often a lock is tried for that turns out to be of a file that was removed meanwhile.
const TRIES: usize = 10;

/// The lock of a folder, until it is dropped. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// Open as long as this is.
    file: Option<File>,
    folder: PathBuf,
    /// What stands in the file of the holder.
    holder: String,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
}

impl FolderLock {
    /// Takes the lock of `folder`, which is made if it is not there; removes halves of files that a killed process left.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process, or another thread of this one, has it; [`Error::Io`].
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = folder.join(LOCK);
        let made: Vec<PathBuf> = folder.ancestors().take_while(|f| !f.exists()).map(Path::to_path_buf).collect();
        for left in (0..TRIES).rev() {
            files::make_folder(folder)?;
            let file = match files::open_or_create(&path) {
                // The one before has removed the folder again.
                Err(e) if e.kind() == ErrorKind::NotFound && left > 0 => continue,
                opened => opened.map_err(|e| Error::io(&path, "open", e))?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy { folder: folder.to_path_buf(), holder: holder_of(folder) });
                }
                Err(TryLockError::Error(e)) if has_no_locks(&e) => {}
                Err(TryLockError::Error(e)) => return Err(Error::io(&path, "lock", e)),
            }
            // The one before may have removed the file between opening and locking: then this is the lock of nothing. Where a file never
            // looks like itself, it is taken for what it was opened as.
            if !is_at(&file, &path) && left > 0 {
                continue;
            }
            let host = gethostname::gethostname();
            let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let holder = format!("process {process} on {}\n{count}\n", host.to_string_lossy());
            let lock = FolderLock { file: Some(file), folder: folder.to_path_buf(), holder, made };
            // For a message only: a full disk must not hide what would be said of it later.
            let _ = write_holder(&folder.join(HOLDER), &lock.holder);
            sweep(folder, DEPTH)?;
            return Ok(lock);
        }
        Err(Error::Busy { folder: folder.to_path_buf(), holder: holder_of(folder) })
    }

    /// Finds that the folder is still the one that was locked.
    ///
    /// # Errors
    /// [`Error::Vanished`] where it was removed or replaced, so that what is saved now would lie alone in a folder of the same name.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_there() { Ok(()) } else { Err(Error::Vanished { folder: self.folder.clone() }) }
    }

    fn is_there(&self) -> bool {
        let same = self.file.as_ref().is_some_and(|file| is_at(file, &self.folder.join(LOCK)));
        // Some network file systems number their files anew.
        same || fs::read_to_string(self.folder.join(HOLDER)).is_ok_and(|text| text == self.holder)
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if !self.is_there() {
            return;
        }
        // A file that cannot be removed does no harm.
        let _ = files::remove(&self.folder.join(HOLDER));
        if cfg!(not(unix)) {
            // A name that is removed while the file is open would stay taken.
            self.file = None;
        }
        // Where it can, while it is still locked: who has opened it meanwhile sees that it is gone.
        let _ = files::remove(&self.folder.join(LOCK));
        // Of a run that failed before it wrote anything nothing is left; a folder with something in it stays.
        let _ = self.made.iter().try_for_each(fs::remove_dir);
    }
}

/// Whether the file system knows no locks, as some of those behind a network: a run there is as safe as it was without.
fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ENOLCK) {
        return true;
    }
    error.kind() == ErrorKind::Unsupported
}

fn write_holder(path: &Path, holder: &str) -> io::Result<()> {
    let mut file = files::open_or_create(path)?;
    file.set_len(0)?;
    files::write_all(&mut file, path, holder.as_bytes())
}

/// What the holder wrote of itself.
fn holder_of(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join(HOLDER)).unwrap_or_default();
    text.lines().next().filter(|line| !line.is_empty()).map_or_else(|| "another process".into(), str::to_string)
}

/// Removes what processes that were killed while they wrote have left in a folder and in so many folders below each other. In a folder
/// that has a lock of its own another run is at work.
fn sweep(folder: &Path, depth: usize) -> Result<()> {
    // What cannot be read is told of by whoever needs it.
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 && !path.join(LOCK).exists() => sweep(&path, depth - 1)?,
            Ok(kind) if kind.is_file() && entry.file_name().to_str().is_some_and(is_temporary) => {
                files::remove(&path)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether `path` is the name of this file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |about: &fs::Metadata| (about.dev(), about.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(own), Ok(other)) if identity(&own) == identity(&other))
}

/// Whether `path` is the name of a file.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_by_name_until_the_first_lets_go() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("runs/a");
        let lock = FolderLock::take(&folder).unwrap();
        let error = FolderLock::take(&folder).unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error:?}");
        let text = error.to_string();
        let own = format!("is in use by process {} on ", std::process::id());
        assert!(text.contains(&own) && text.contains("--out") && !text.contains('\n'), "{text}");
        drop(lock);
        drop(FolderLock::take(&folder).unwrap());
    }

    #[test]
    fn folders_that_nothing_was_written_to_are_gone_and_others_stay() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("runs/a");
        drop(FolderLock::take(&folder).unwrap());
        assert!(!root.path().join("runs").exists());
        let lock = FolderLock::take(&folder).unwrap();
        fs::write(folder.join("config.toml"), "x").unwrap();
        drop(lock);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_vanished_or_was_replaced_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a");
        let lock = FolderLock::take(&folder).unwrap();
        lock.check().unwrap();
        fs::rename(&folder, root.path().join("b")).unwrap();
        assert!(matches!(lock.check(), Err(Error::Vanished { .. })));
        let other = FolderLock::take(&folder).unwrap();
        assert!(lock.check().unwrap_err().to_string().contains("vanished"));
        other.check().unwrap();
        // The lock of the old folder does not take the new one's away.
        drop(lock);
        other.check().unwrap();
    }

    #[test]
    fn halves_of_files_are_swept_but_not_those_of_a_run_below() {
        let root = tempfile::tempdir().unwrap();
        let (inner, other) = (root.path().join("seed-0"), root.path().join("other"));
        fs::create_dir(&inner).unwrap();
        for name in [".joint.json.123-4.tmp", ".notes.tmp", "a.1-2.tmp"] {
            fs::write(inner.join(name), b"half").unwrap();
        }
        let below = FolderLock::take(&other).unwrap();
        fs::write(other.join(".joint.json.123-4.tmp"), b"half").unwrap();
        drop(FolderLock::take(root.path()).unwrap());
        let mut left: Vec<_> = fs::read_dir(&inner).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".notes.tmp", "a.1-2.tmp"]);
        assert!(other.join(".joint.json.123-4.tmp").exists());
        drop(below);
        drop(FolderLock::take(root.path()).unwrap());
        assert!(!other.join(".joint.json.123-4.tmp").exists());
    }
}
