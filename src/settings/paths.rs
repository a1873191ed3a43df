//! The files and folders that settings name: looked for before any work starts.

use std::path::Path;

use super::origin::Origin;
use super::read::nearest;
use crate::{Error, Result};

/// Where relative paths begin, and how what is not there is told.
pub(crate) struct Files<'a> {
    root: &'a Path,
    origin: &'a Origin,
}

impl<'a> Files<'a> {
    pub(crate) fn new(root: &'a Path, origin: &'a Origin) -> Self {
        Files { root, origin }
    }

    /// Refuses a missing file, named by the key of `[data]` at `key`.
    pub(crate) fn file(&self, key: &[&str], path: &Path) -> Result<()> {
        let path = self.root.join(path);
        if path.is_file() { Ok(()) } else { Err(self.missing(key, &path, "file", "")) }
    }

    /// Refuses a missing folder.
    pub(crate) fn folder(&self, key: &[&str], path: &Path) -> Result<()> {
        let path = self.root.join(path);
        if path.is_dir() { Ok(()) } else { Err(self.missing(key, &path, "folder", "")) }
    }

    /// Refuses a folder without class folders, or `train` with them, inside.
    pub(crate) fn class_folders(&self, key: &[&str], path: &Path) -> Result<()> {
        let path = self.root.join(path);
        let form = "the class folders belong in it (cat/1.png), or in train/ inside it (train/cat/1.png); ";
        if !path.is_dir() {
            return Err(self.missing(key, &path, "folder", form));
        }
        let mut inside = std::fs::read_dir(&path).into_iter().flatten().flatten();
        if inside.any(|entry| entry.path().is_dir()) {
            return Ok(());
        }
        Err(self.missing(key, &path.join("train"), "folder", form))
    }

    fn missing(&self, key: &[&str], path: &Path, what: &str, form: &str) -> Error {
        let root = self.root.display().to_string();
        let hint = format!("data.root is {root:?}, change it with --set data.root=FOLDER");
        self.origin.error(&[&["data"], key].concat(), format!("{}; {form}{hint}", absent(path, what)))
    }
}

/// Says that there is no such file, and what there is instead.
pub(crate) fn absent(path: &Path, what: &str) -> String {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut text = if full.exists() {
        format!("{} is not a {what}", full.display())
    } else {
        format!("there is no {what} {}", full.display())
    };
    if let Some(missing) = full.ancestors().skip(1).take_while(|a| !a.exists()).last() {
        text += &format!(" (already {} does not exist)", missing.display());
    } else if let Some(name) = neighbour(&full) {
        text += &format!(" (did you mean `{name}`, which lies beside it?)");
    }
    text
}

/// The name in the same folder that is most like the missing one.
fn neighbour(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let names: Vec<String> = std::fs::read_dir(path.parent()?)
        .ok()?
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|n| *n != name).collect();
    // `x` and `x.gz` are the same data to the reader, however long the name.
    let counterpart =
        names.iter().find(|n| n.strip_suffix(".gz") == Some(&name) || name.strip_suffix(".gz") == Some(*n));
    counterpart.copied().or_else(|| nearest(&name, &names)).map(str::to_string)
}
