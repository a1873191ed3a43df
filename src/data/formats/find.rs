//! Finding an image by the name that an annotation or a table gives it.
//!
//! Annotations travel: they are written on another system, for another folder, or by a program that leaves out endings. A name is looked
//! for as it is written; with `\` as `/`; then, among all images below the folder, by as many of its last parts as fit, with its ending,
//! with another, or with none; letters with marks count alike whether they are one character or two. It must fit one image.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::folder;

/// How far below the folder images are looked for.
const DEEPEST: usize = 16;

/// The images of a folder, found by name.
pub struct ImageFinder {
    folder: PathBuf,
    /// Where a name is looked for first: beside the annotations.
    beside: Option<PathBuf>,
    index: OnceCell<Index>,
}

/// All images below a folder.
struct Index {
    files: Vec<PathBuf>,
    /// By each run of last parts of their paths, with the ending (`b/c.jpg`, `c.jpg`).
    whole: HashMap<String, Vec<usize>>,
    /// The same without the ending.
    stems: HashMap<String, Vec<usize>>,
}

/// One spelling for names that look alike.
fn normal(name: &str) -> String {
    name.nfc().collect()
}

/// A path with `/` between its parts, from its first one on; `None` where it is no text.
fn parts(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    Some(normal(&parts?.join("/")))
}

/// `a/b/c`, `b/c`, `c`.
fn ends(name: &str) -> impl Iterator<Item = &str> {
    std::iter::once(name).chain(name.match_indices('/').map(|(i, _)| &name[i + 1..]))
}

fn without_ending(name: &str) -> &str {
    let last = name.rfind('/').map_or(0, |i| i + 1);
    match name[last..].rfind('.') {
        Some(dot) if dot > 0 => &name[..last + dot],
        _ => name,
    }
}

impl Index {
    fn of(folder: &Path) -> Self {
        let mut index = Index { files: Vec::new(), whole: HashMap::new(), stems: HashMap::new() };
        let mut open = vec![(folder.to_path_buf(), 0)];
        while let Some((at, depth)) = open.pop() {
            for path in folder::files(&at) {
                if path.is_dir() {
                    if depth < DEEPEST {
                        open.push((path, depth + 1));
                    }
                } else if folder::is_image(&path) {
                    index.add(folder, path);
                }
            }
        }
        index
    }

    fn add(&mut self, folder: &Path, path: PathBuf) {
        let Some(name) = path.strip_prefix(folder).ok().and_then(parts) else { return };
        let number = self.files.len();
        for end in ends(&name) {
            self.whole.entry(end.into()).or_default().push(number);
            self.stems.entry(without_ending(end).into()).or_default().push(number);
        }
        self.files.push(path);
    }

    /// The files that `name` fits best.
    fn all(&self, name: &str) -> &[usize] {
        let name = normal(name);
        let found = ends(&name).find_map(|end| self.whole.get(end));
        let bare = || ends(&name).find_map(|end| self.stems.get(end).or_else(|| self.stems.get(without_ending(end))));
        found.or_else(bare).map_or(&[], Vec::as_slice)
    }

    /// The name that is most like `name`, below `folder`.
    fn nearest(&self, folder: &Path, name: &str) -> Option<String> {
        let wanted = normal(name.rsplit('/').next().unwrap_or(name));
        let number = |text: &str| without_ending(text).parse::<u64>().ok();
        let likeness = |path: &PathBuf| {
            let own = path.file_name().map(|n| normal(&n.to_string_lossy())).unwrap_or_default();
            // Spreadsheets drop zeros.
            let same = number(&own).is_some() && number(&own) == number(&wanted);
            let alike = strsim::normalized_levenshtein(without_ending(&own), without_ending(&wanted));
            if same { 1.0 } else { alike }
        };
        let best = self.files.iter().map(|path| (likeness(path), path)).max_by(|a, b| a.0.total_cmp(&b.0));
        let (_, path) = best.filter(|(likeness, _)| *likeness >= 0.5)?;
        parts(path.strip_prefix(folder).unwrap_or(path))
    }
}

impl ImageFinder {
    /// The images in and below `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        ImageFinder { folder: folder.into(), beside: None, index: OnceCell::new() }
    }

    /// The same of annotations in `file`: where an image of the name lies beside them, it is meant.
    pub fn beside(self, file: &Path) -> Self {
        ImageFinder { beside: file.parent().map(Path::to_path_buf), ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every image in and below the folder, in byte order.
    pub fn all(&self) -> Vec<&Path> {
        let mut all: Vec<&Path> = self.index().files.iter().map(PathBuf::as_path).collect();
        all.sort();
        all
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(&self.folder))
    }

    /// The image called `name`.
    ///
    /// # Errors
    /// What is wrong, in words: that there is none, with the name most like it, or that there are several.
    pub fn find(&self, name: &str) -> Result<PathBuf, String> {
        let slashed = name.replace('\\', "/");
        let places = self.beside.iter().chain([&self.folder]);
        let written = places.flat_map(|place| [place.join(name), place.join(&slashed)]).find(|path| path.is_file());
        if let Some(path) = written {
            return Ok(path);
        }
        let name = slashed.trim_start_matches("./").trim_matches('/');
        match self.index().all(name) {
            [] => Err(match self.index().nearest(&self.folder, name) {
                Some(near) => {
                    format!("there is no image of this name, here or in a folder below; the nearest is {near:?}")
                }
                None => "there is no image of this name, here or in a folder below".into(),
            }),
            [one] => Ok(self.index().files[*one].clone()),
            several => {
                let names: BTreeSet<String> =
                    several.iter().map(|i| self.index().files[*i].display().to_string()).take(3).collect();
                let names: Vec<String> = names.into_iter().collect();
                Err(format!("its name fits {} images, such as {}", several.len(), names.join(" and ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn a_name_is_found_however_it_is_written() {
        let folder = folder(&["a/0.jpg", "a/1.png", "b/0.jpg", "b/c/2.JPG", "v1.5.png", "caf\u{e9}.jpg", "notes.txt"]);
        let finder = ImageFinder::new(folder.path());
        for (name, expected) in [
            ("a/0.jpg", "a/0.jpg"),
            ("a\\0.jpg", "a/0.jpg"),
            ("./b/0.jpg", "b/0.jpg"),
            // Below the folder, and with folders that are not there.
            ("2.JPG", "b/c/2.JPG"),
            ("c/2.JPG", "b/c/2.JPG"),
            ("data/train/b/0.jpg", "b/0.jpg"),
            ("C:\\data\\b\\0.jpg", "b/0.jpg"),
            // Another ending, or none.
            ("1.jpg", "a/1.png"),
            ("b/0", "b/0.jpg"),
            ("v1.5", "v1.5.png"),
            ("v1.5.jpg", "v1.5.png"),
            // e and an accent.
            ("cafe\u{301}.jpg", "caf\u{e9}.jpg"),
        ] {
            assert_eq!(finder.find(name), Ok(folder.path().join(expected)), "{name}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_the_nearest() {
        let folder = folder(&["a/0.jpg", "b/0.jpg", "007.jpg", "street_12.png"]);
        let finder = ImageFinder::new(folder.path());
        for (name, words) in [
            ("0.jpg", "its name fits 2 images, such as "),
            ("7", "the nearest is \"007.jpg\""),
            ("street_13.png", "the nearest is \"street_12.png\""),
            ("quite another", "there is no image of this name, here or in a folder below"),
        ] {
            let told = finder.find(name).unwrap_err();
            assert!(told.contains(words), "{name}: {told}");
        }
        assert!(!finder.find("quite another").unwrap_err().contains("nearest"));
        assert!(ImageFinder::new("nowhere").find("a.jpg").is_err());
    }

    #[test]
    fn what_lies_beside_the_annotations_is_meant() {
        let folder = folder(&["train/0.jpg", "test/0.jpg", "0.jpg"]);
        let finder = ImageFinder::new(folder.path()).beside(&folder.path().join("test/annotations.json"));
        assert_eq!(finder.find("0.jpg"), Ok(folder.path().join("test/0.jpg")));
    }
}
