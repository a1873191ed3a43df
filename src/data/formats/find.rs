//! Finding an image by the name that an annotation or a table gives it.
//!
//! Annotations travel: they are written on another system, for another folder, or by a program that leaves out endings. A name is looked
//! for as it is written, with `\` as `/`, in the folder and beside the annotations. Then it must agree with the path of an image below the
//! folder: one of the two is the end of the other, so `b/0.jpg` may be `a/b/0.jpg` or, at the top, `0.jpg`, and never `c/0.jpg`. An image of
//! another ending must lie where the name says. Letters with marks count alike whether they are one character or two. What fits several
//! images is not found.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::listing;

/// Endings that stand for an image in a name, whether or not it could be read.
const ENDINGS: [&str; 12] = ["png", "jpg", "jpeg", "jpe", "jfif", "bmp", "gif", "tif", "tiff", "webp", "ppm", "pgm"];

/// Names that are told the nearest one: it takes a look at all of them.
const TOLD: usize = 3;

/// The images of a folder, found by name.
pub struct ImageFinder {
    folder: PathBuf,
    /// Where a name is looked for too: beside the annotations.
    beside: Option<PathBuf>,
    /// Folders of masks and maps, which are no images of the set.
    excluded: Vec<PathBuf>,
    index: OnceCell<Index>,
    told: Cell<usize>,
}

/// All images below a folder.
#[derive(Default)]
struct Index {
    files: Vec<PathBuf>,
    whole: Names,
    /// Without the endings.
    stems: Names,
}

/// Files by their paths below the folder, and by the ends of those (`b/c.jpg`, `c.jpg`).
#[derive(Default)]
struct Names {
    paths: HashMap<String, Vec<usize>>,
    ends: HashMap<String, Vec<usize>>,
}

impl Names {
    fn add(&mut self, path: &str, number: usize) {
        self.paths.entry(path.into()).or_default().push(number);
        ends(path).for_each(|end| self.ends.entry(end.into()).or_default().push(number));
    }

    /// The files whose path is `name`, or an end of it, the longest.
    fn along(&self, name: &str) -> Option<&[usize]> {
        ends(name).find_map(|end| self.paths.get(end)).map(Vec::as_slice)
    }

    /// The files whose path is `name` or ends in it, or else is an end of it.
    fn both_ways(&self, name: &str) -> Option<&[usize]> {
        let exact = self.paths.get(name).or_else(|| self.ends.get(name));
        exact.map(Vec::as_slice).or_else(|| self.along(name))
    }
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

/// The name without an image's ending, if it has one.
fn without_ending(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once('.')?;
    let known = ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known));
    (known && !stem.is_empty() && !stem.ends_with('/')).then_some(stem)
}

/// The one path of a file that has several: through links, or back and forth.
pub(crate) fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

impl Index {
    fn of(root: &Path, excluded: &[PathBuf]) -> Self {
        let mut index = Index::default();
        // A folder that is linked into itself is visited once.
        let mut seen: BTreeSet<PathBuf> = excluded.iter().map(|folder| identity(folder)).collect();
        let mut open = vec![root.to_path_buf()];
        while let Some(at) = open.pop() {
            if !seen.insert(identity(&at)) {
                continue;
            }
            let hidden = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            for path in listing::files(&at).into_iter().filter(|path| !hidden(path)) {
                if path.is_dir() {
                    open.push(path);
                } else if listing::is_image(&path) {
                    index.add(root, path);
                }
            }
        }
        index
    }

    fn add(&mut self, folder: &Path, path: PathBuf) {
        let Some(name) = path.strip_prefix(folder).ok().and_then(parts) else { return };
        let number = self.files.len();
        self.whole.add(&name, number);
        self.stems.add(without_ending(&name).unwrap_or(&name), number);
        self.files.push(path);
    }

    /// The files that `name` fits.
    fn all(&self, name: &str) -> &[usize] {
        let name = normal(name);
        let other = || without_ending(&name).and_then(|stem| self.stems.along(stem));
        self.whole.both_ways(&name).or_else(|| self.stems.both_ways(&name)).or_else(other).unwrap_or(&[])
    }

    /// The name that is most like `name`, below `folder`.
    fn nearest(&self, folder: &Path, name: &str) -> Option<String> {
        let stem = |name: &str| without_ending(name).unwrap_or(name).to_string();
        let wanted = stem(&normal(name.rsplit('/').next().unwrap_or(name)));
        let likeness = |path: &PathBuf| {
            let own = stem(&path.file_name().map(|n| normal(&n.to_string_lossy())).unwrap_or_default());
            // Spreadsheets drop zeros.
            let same = own.parse::<u64>().is_ok_and(|number| wanted.parse() == Ok(number));
            if same { 1.0 } else { strsim::normalized_levenshtein(&own, &wanted) }
        };
        let best = self.files.iter().map(|path| (likeness(path), path)).max_by(|a, b| a.0.total_cmp(&b.0));
        let (_, path) = best.filter(|(likeness, _)| *likeness >= 0.5)?;
        parts(path.strip_prefix(folder).unwrap_or(path))
    }
}

impl ImageFinder {
    /// The images in and below `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let (index, told) = (OnceCell::new(), Cell::new(0));
        ImageFinder { folder: folder.into(), beside: None, excluded: Vec::new(), index, told }
    }

    /// These images alone, by their paths below `folder`.
    pub(crate) fn among<'a>(folder: PathBuf, images: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut index = Index::default();
        images.into_iter().for_each(|path| index.add(&folder, path.to_path_buf()));
        ImageFinder { index: OnceCell::from(index), ..Self::new(folder) }
    }

    /// The same of annotations in `file`: an image that does not lie in the folder may lie beside them.
    pub fn beside(self, file: &Path) -> Self {
        ImageFinder { beside: file.parent().map(Path::to_path_buf), ..self }
    }

    /// The same without what lies in these folders.
    pub fn excluding(self, folders: Vec<PathBuf>) -> Self {
        ImageFinder { excluded: folders, ..self }
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
        self.index.get_or_init(|| Index::of(&self.folder, &self.excluded))
    }

    /// The file of exactly this name, in the folder or beside the annotations.
    pub fn exact(&self, name: &str) -> Option<PathBuf> {
        let slashed = name.replace('\\', "/");
        let places = [&self.folder].into_iter().chain(&self.beside);
        places.flat_map(|place| [place.join(name), place.join(&slashed)]).find(|path| path.is_file())
    }

    /// The image called `name`.
    ///
    /// # Errors
    /// What is wrong, in words: that there is none, with the name most like it, or that there are several.
    pub fn find(&self, name: &str) -> Result<PathBuf, String> {
        let exact = self.exact(name);
        if let Some(path) = exact.as_ref().filter(|path| listing::is_image(path)) {
            return Ok(path.clone());
        }
        let slashed = name.replace('\\', "/");
        let name = slashed.trim_start_matches("./").trim_matches('/');
        match (self.index().all(name), exact) {
            ([one], _) => Ok(self.index().files[*one].clone()),
            // Of a form that cannot be read, which reading it will say.
            (_, Some(path)) => Ok(path),
            ([], None) => {
                let missing = "there is no image of this name, here or in a folder below";
                self.told.set(self.told.get() + 1);
                let near = (self.told.get() <= TOLD).then(|| self.index().nearest(&self.folder, name)).flatten();
                Err(near.map_or_else(|| missing.into(), |near| format!("{missing}; the nearest is {near:?}")))
            }
            (several, None) => {
                let names: BTreeSet<&Path> = several.iter().map(|i| self.index().files[*i].as_path()).collect();
                let names: Vec<String> = names.into_iter().take(3).map(|path| format!("{path:?}")).collect();
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
        let names = [
            "a/0.jpg",
            "a/1.png",
            "b/0.jpg",
            "b/c/2.JPG",
            "v1.5.png",
            "caf\u{e9}.jpg",
            "notes.txt",
            "7.png",
            "thumbs/7.png",
            "8.tif",
            "8.png",
            "9.tif",
            "masks/5.png",
            ".hidden/6.png",
        ];
        let folder = folder(&names);
        let finder = ImageFinder::new(folder.path());
        for (name, expected) in [
            ("a/0.jpg", "a/0.jpg"),
            ("a\\0.jpg", "a/0.jpg"),
            ("./b/0.jpg", "b/0.jpg"),
            // Below the folder, and with folders above it.
            ("2.JPG", "b/c/2.JPG"),
            ("c/2.JPG", "b/c/2.JPG"),
            ("data/train/b/0.jpg", "b/0.jpg"),
            ("C:\\data\\b\\0.jpg", "b/0.jpg"),
            // Another ending, or none.
            ("a/1.jpg", "a/1.png"),
            ("1", "a/1.png"),
            ("b/0", "b/0.jpg"),
            ("v1.5", "v1.5.png"),
            ("v1.5.jpg", "v1.5.png"),
            // What lies where the name says comes first; then what can be read.
            ("7", "7.png"),
            ("7.jpg", "7.png"),
            ("8.tif", "8.png"),
            ("9.tif", "9.tif"),
            // e and an accent.
            ("cafe\u{301}.jpg", "caf\u{e9}.jpg"),
        ] {
            assert_eq!(finder.find(name), Ok(folder.path().join(expected)), "{name}");
        }
        // Another image's folder; a mask of the name; another name; what is hidden.
        for name in ["c/0.jpg", "x/c/0.jpg", "5.jpg", "v1", "v1.jpg", "6.png", "d/2.JPG"] {
            assert!(finder.find(name).is_err(), "{name}: {:?}", finder.find(name));
        }
        assert_eq!(finder.find("5.png"), Ok(folder.path().join("masks/5.png")));
        let without = ImageFinder::new(folder.path()).excluding(vec![folder.path().join("masks")]);
        assert!(without.find("5.png").is_err() && without.find("a/0.jpg").is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_linked_into_itself_is_visited_once() {
        let folder = folder(&["a/0.jpg"]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/again")).unwrap();
        let finder = ImageFinder::new(folder.path());
        assert_eq!((finder.find("0.jpg"), finder.all().len()), (Ok(folder.path().join("a/0.jpg")), 1));
        assert_eq!(identity(&folder.path().join("a/again/a/0.jpg")), identity(&folder.path().join("a/0.jpg")));
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
    fn what_lies_beside_the_annotations_is_found_after_the_folder() {
        let folder = folder(&["train/0.jpg", "test/0.jpg", "test/1.jpg", "1.jpg"]);
        let finder = ImageFinder::new(folder.path()).beside(&folder.path().join("test/annotations.json"));
        assert_eq!(finder.find("0.jpg"), Ok(folder.path().join("test/0.jpg")));
        assert_eq!(finder.find("1.jpg"), Ok(folder.path().join("1.jpg")));
    }
}
