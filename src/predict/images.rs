//! Which images are meant by files, folders, lists and patterns.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern, glob_with};

use crate::data::formats::find::identity;
use crate::data::formats::folder::is_image;
use crate::data::formats::text;
use crate::{Error, Result};

/// Image files by what stands for them, in the order in which it is added; each file once.
#[derive(Debug, Default)]
pub struct ImageList {
    files: Vec<PathBuf>,
    known: BTreeSet<PathBuf>,
    /// Folders that are not looked into.
    excluded: BTreeSet<PathBuf>,
}

impl ImageList {
    /// No image yet; nothing that lies in these folders will be found in a folder above them.
    pub fn excluding<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        ImageList { excluded: folders.into_iter().map(identity).collect(), ..ImageList::default() }
    }

    /// Adds what `path` stands for: a file, whatever its name is; of a folder every `.png`, `.jpg` and `.jpeg` in it or below, in byte order
    /// of their paths, but nothing hidden; of a pattern, which is no path that exists, what fits it: `photos/*.jpg`, `**/img_??.png`,
    /// `[a-c]*`, folders with all that is in them. A file need not exist: reading it will tell.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that cannot be read, [`Error::Data`] for one without an image and [`Error::Invalid`] for a pattern that
    /// fits none.
    pub fn add(&mut self, path: &Path) -> Result<()> {
        self.add_in(Path::new(""), path)
    }

    /// [`ImageList::add`] of what is named in a folder, whose own name is no pattern.
    fn add_in(&mut self, folder: &Path, name: &Path) -> Result<()> {
        let path = &folder.join(name);
        if path.is_dir() {
            if self.add_folder(path)? == 0 {
                let message =
                    "holds no .png, .jpg or .jpeg image, nor does a folder below it; name another folder, or files";
                return Err(Error::data(path, "", message));
            }
            return Ok(());
        }
        let is_pattern = |text: &&str| text.contains(['*', '?', '[']);
        let Some(pattern) = name.to_str().filter(is_pattern).filter(|_| !path.exists()) else {
            self.add_file(path);
            return Ok(());
        };
        let wrong = |why: &str| Error::Invalid(format!("{}: {why}", path.display()));
        let pattern = match folder.to_str() {
            _ if name.is_absolute() => pattern.to_string(),
            Some("") => pattern.to_string(),
            Some(folder) => format!("{}/{pattern}", Pattern::escape(folder)),
            None => return Err(wrong("a pattern cannot follow a folder whose name is no Unicode text")),
        };
        let hidden = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
        let paths = glob_with(&pattern, hidden).map_err(|e| wrong(&format!("is no pattern: {}", e.msg)))?;
        // A folder that cannot be read holds nothing that fits.
        let paths: Vec<PathBuf> = paths.flatten().filter(|path| !self.is_excluded(path)).collect();
        let mut found = 0;
        for path in paths {
            if path.is_dir() {
                found += self.add_folder(&path)?;
            } else if is_image(&path) {
                self.add_file(&path);
                found += 1;
            }
        }
        if found == 0 {
            return Err(wrong("no .png, .jpg or .jpeg image has a path like this; check the folder and the pattern"));
        }
        Ok(())
    }

    /// Adds what the lines of a text file stand for, as [`ImageList::add`] takes it: one path a line, relative to the list's folder. Empty
    /// lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Data`] for a list that cannot be read or names nothing, and the errors of [`ImageList::add`].
    pub fn add_list(&mut self, list: &Path) -> Result<()> {
        let folder = list.parent().unwrap_or(Path::new(""));
        let text = text::read(list)?;
        let lines =
            text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let mut named = false;
        for (number, line) in lines {
            named = true;
            let at = |message: String| Error::data(list, format!("line {}", number + 1), message);
            self.add_in(folder, Path::new(line)).map_err(|e| at(e.to_string()))?;
        }
        if !named {
            return Err(Error::data(list, "", "names no image; it has one path on each line"));
        }
        Ok(())
    }

    /// The files, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether it is one of the folders that are not looked into, or lies in one.
    fn is_excluded(&self, path: &Path) -> bool {
        !self.excluded.is_empty() && path.ancestors().any(|folder| self.excluded.contains(&identity(folder)))
    }

    fn add_file(&mut self, path: &Path) {
        // `./a.png` is `a.png`; links are files of their own names.
        let plain: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        if self.known.insert(plain) {
            self.files.push(path.to_path_buf());
        }
    }

    /// Adds the images in and below a folder, and says how many there are.
    fn add_folder(&mut self, folder: &Path) -> Result<usize> {
        let (mut found, mut open) = (Vec::new(), vec![folder.to_path_buf()]);
        // A folder that is linked into itself is visited once; one that is asked for is never left out.
        let mut seen = self.excluded.clone();
        seen.remove(&identity(folder));
        while let Some(at) = open.pop() {
            if !seen.insert(identity(&at)) {
                continue;
            }
            let io = |e| Error::io(&at, "read", e);
            for entry in std::fs::read_dir(&at).map_err(io)? {
                let path = entry.map_err(io)?.path();
                if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                    continue;
                }
                if path.is_dir() {
                    open.push(path);
                } else if is_image(&path) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found.iter().for_each(|path| self.add_file(path));
        Ok(found.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.png", "a/2.jpg", "a/1.JPEG", "a/notes.txt", "a/.hidden.png", "out/b.png", "empty/notes.txt"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    /// The paths below `root`, with `/`.
    fn names(list: &ImageList, root: &Path) -> Vec<String> {
        let name = |path: &PathBuf| {
            let parts: Vec<_> = path.strip_prefix(root).unwrap().iter().map(|p| p.to_string_lossy()).collect();
            parts.join("/")
        };
        list.files().iter().map(name).collect()
    }

    #[test]
    fn files_folders_and_patterns_in_the_order_in_which_they_are_named() {
        let folder = folder();
        let root = folder.path();
        let mut list = ImageList::excluding([root.join("out").as_path()]);
        list.add(&root.join("a/2.jpg")).unwrap();
        list.add(root).unwrap();
        // Each file once; one that is not there is told of when it is read.
        list.add(&root.join("./b.png")).unwrap();
        list.add(&root.join("missing.png")).unwrap();
        assert_eq!(names(&list, root), ["a/2.jpg", "a/1.JPEG", "b.png", "missing.png"]);
        list.add(&root.join("out")).unwrap();
        assert_eq!(names(&list, root).last().unwrap(), "out/b.png");

        let mut list = ImageList::default();
        list.add(&root.join("*/*.jp*g")).unwrap();
        // A pattern is no wish for what is no image.
        list.add(&root.join("a/*")).unwrap();
        list.add(&root.join("o*")).unwrap();
        // What was drawn before fits a pattern, too.
        let mut others = ImageList::excluding([root.join("out").as_path()]);
        others.add(&root.join("**/b.png")).unwrap();
        assert_eq!(names(&others, root), ["b.png"]);
        assert!(others.add(&root.join("o*")).is_err());
        let found: BTreeSet<String> = names(&list, root).into_iter().collect();
        assert_eq!(found, BTreeSet::from(["a/1.JPEG", "a/2.jpg", "out/b.png"].map(String::from)));
        assert_eq!(list.files().len(), 3);
    }

    #[test]
    fn lists_have_a_path_on_each_line() {
        let folder = folder();
        let root = folder.path();
        let list = root.join("a/list.txt");
        std::fs::write(&list, "\u{feff}# two of them\r\n2.jpg\r\n\r\n  ../b.png\r\n1.*\r\n").unwrap();
        let mut images = ImageList::default();
        images.add_list(&list).unwrap();
        let found = images.files().iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(found, ["2.jpg", "b.png", "1.JPEG"]);
        // One that says where it is.
        std::fs::write(&list, root.join("*.png").to_str().unwrap()).unwrap();
        let mut images = ImageList::default();
        images.add_list(&list).unwrap();
        assert_eq!(images.files(), [root.join("b.png")]);
        assert!(images.files().iter().all(|path| path.is_file()));
        std::fs::write(&list, "# nothing\n").unwrap();
        assert!(images.add_list(&list).unwrap_err().to_string().contains("names no image"));
        std::fs::write(&list, "2.jpg\n../empty\n").unwrap();
        let told = images.add_list(&list).unwrap_err().to_string();
        assert!(told.contains("list.txt, line 2") && told.contains("holds no .png"), "{told}");
        assert!(images.add_list(&root.join("none.txt")).unwrap_err().to_string().contains("none.txt"));
    }

    #[test]
    fn what_holds_no_image_is_refused() {
        let folder = folder();
        let mut list = ImageList::default();
        let told = list.add(&folder.path().join("empty")).unwrap_err().to_string();
        assert!(told.contains("empty") && told.contains("holds no .png, .jpg or .jpeg"), "{told}");
        let told = list.add(&folder.path().join("*.gif")).unwrap_err().to_string();
        assert!(told.contains("*.gif") && told.contains("no .png"), "{told}");
        let told = list.add(&folder.path().join("a**")).unwrap_err().to_string();
        assert!(told.contains("a**: is no pattern"), "{told}");
        // Names with letters of patterns are names where they exist.
        let odd = folder.path().join("c[1].png");
        std::fs::write(&odd, "").unwrap();
        list.add(&odd).unwrap();
        assert_eq!(list.files(), [odd]);
    }
}
