//! One process a folder: whoever trains in a folder holds its lock, and sweeps what a killed process has left there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::files::remove_temporaries;
use crate::{Error, Result};

/// The file that is locked. It tells who holds it.
const NAME: &str = ".limbeck.lock";

/// The lock of a folder, until it is dropped. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
    folder: PathBuf,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
}

impl FolderLock {
    /// Takes the lock of `folder`, which is made if it is not there; removes halves of files that a killed process left.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process, or another thread of this one, has it; [`Error::Io`].
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let made: Vec<PathBuf> = folder.ancestors().take_while(|f| !f.exists()).map(Path::to_path_buf).collect();
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create the folder", e))?;
        let path = folder.join(NAME);
        loop {
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = opened.map_err(|e| Error::io(&path, "open", e))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy { folder: folder.to_path_buf(), holder: holder(&mut file) });
                }
                // Some network file systems have no locks; a run there is as safe as it was without.
                Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => {}
                Err(TryLockError::Error(e)) => return Err(Error::io(&path, "lock", e)),
            }
            // The one before may have removed the file between opening and locking: then this is the lock of nothing.
            if !is_at(&file, &path) {
                continue;
            }
            let host = gethostname::gethostname();
            let own = format!("process {} on {}", std::process::id(), host.to_string_lossy());
            // Who it is, is for the message only: a full disk must not hide what would be said of it later.
            let _ = file.set_len(0).and_then(|()| file.write_all(own.as_bytes()));
            remove_temporaries(folder, DEPTH)?;
            return Ok(FolderLock { file, folder: folder.to_path_buf(), made });
        }
    }

    /// Finds that the folder is still the one that was locked.
    ///
    /// # Errors
    /// [`Error::Vanished`] where it was removed or replaced, so that what is saved now would lie alone in a folder of the same name.
    pub(crate) fn check(&self) -> Result<()> {
        if is_at(&self.file, &self.folder.join(NAME)) {
            return Ok(());
        }
        Err(Error::Vanished { folder: self.folder.clone() })
    }
}

/// A run's seeds, a comparison's stages and their seeds.
const DEPTH: usize = 3;

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Elsewhere a name that is removed while the file is open stays taken for a while.
        if cfg!(unix) && self.check().is_ok() {
            // While it is still locked: who has opened it meanwhile sees that it is gone. One that cannot be removed does no harm.
            let _ = fs::remove_file(self.folder.join(NAME));
            // Of a run that failed before it wrote anything nothing is left; a folder with something in it stays.
            let _ = self.made.iter().try_for_each(fs::remove_dir);
        }
    }
}

/// What the holder wrote of itself.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // Where a lock keeps others from reading, too, nothing is known.
    let read = file.rewind().and_then(|()| file.take(256).read_to_string(&mut text));
    if read.is_err() || text.is_empty() { "another process".into() } else { text }
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
        assert!(text.contains(&format!("process {} on ", std::process::id())) && text.contains("--out"), "{text}");
        drop(lock);
        drop(FolderLock::take(&folder).unwrap());
    }

    #[cfg(unix)]
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
    fn halves_of_files_are_swept() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("seed-0");
        fs::create_dir(&inner).unwrap();
        for name in [".joint.json.123-4.tmp", ".notes.tmp", "a.1-2.tmp"] {
            fs::write(inner.join(name), b"half").unwrap();
        }
        drop(FolderLock::take(root.path()).unwrap());
        let mut left: Vec<_> = fs::read_dir(&inner).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".notes.tmp", "a.1-2.tmp"]);
    }
}
