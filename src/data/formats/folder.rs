//! Class folders: `root/<class>/*.{png,jpg,jpeg}`, as torchvision's ImageFolder reads them, or `root/{train,val,test}/<class>/` of them.

mod decode;

pub(crate) use super::listing::{files, is_image};
use super::members::Members;
use crate::data::{Dataset, Limits, Skipped, Task, seed, split};
use crate::{Error, Result};
use decode::decode_some;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What to read and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that holds the class folders, or `train/` with them and perhaps `val/` and `test/`.
    pub root: PathBuf,
    /// Height and width every image is resized to.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Pixels of the largest image that is decoded.
    pub max_pixels: usize,
    /// The task's name.
    pub task: String,
    /// Whether a mirrored image keeps its label.
    pub flip: bool,
    /// Part of the training files cut off for validation when there is no `val/`.
    pub val_fraction: f64,
    /// Part of the training files cut off for the test when there is no `test/`.
    pub test_fraction: f64,
    /// Decides the cuts and the limits' choice.
    pub split_seed: u64,
    /// At most so many files of each split, every class in proportion; the others are not decoded.
    pub limits: Limits,
}

/// An image file with its label, not decoded yet: splits are cut and limited on names, which costs nothing.
#[derive(Debug, Clone)]
struct Listed {
    file: PathBuf,
    label: u32,
}

/// The names that the folders of the splits go by.
pub(crate) const SPLITS: [&[&str]; 3] =
    [&["train", "training"], &["val", "valid", "validation", "dev"], &["test", "testing"]];

/// The folders of training, validation and test in `root`, where they are there.
///
/// # Errors
/// [`Error::Data`] where a split has two.
pub(crate) fn splits(root: &Path) -> Result<[Option<PathBuf>; 3]> {
    let mut found = [None, None, None];
    for (names, found) in SPLITS.iter().zip(&mut found) {
        let mut there = names.iter().map(|name| root.join(name)).filter(|path| path.is_dir());
        *found = there.next();
        if let (Some(first), Some(second)) = (found.as_ref(), there.next()) {
            let message = format!("is a folder of the same split as {}; keep one of the two", first.display());
            return Err(Error::data(second, "", message));
        }
    }
    Ok(found)
}

/// Reads a data set of class folders. The classes are the sub-folders of `train/` in byte order of their names; `val/` (or `valid/`,
/// `validation/`, `dev/`) and `test/` may have fewer but no others. Where one of the two is missing it is cut from train, test first.
/// Without any of the three, the sub-folders of the root are the classes, and both are cut.
///
/// Hidden files (`.name`) are ignored. What is not a readable PNG or JPEG image is left out and named in
/// [`Dataset::skipped`]; a class of which nothing could be read is an error, and so is an empty class folder.
pub fn load(name: &str, options: &Options) -> Result<Dataset> {
    load_tasks(name, std::slice::from_ref(options), None)
}

/// Reads several such folders, each a task of its own, into one data set whose images have labels for one of the tasks. Lists say which
/// image of any of them belongs to which split.
///
/// # Errors
/// As [`load`] and [`Dataset::union`]; those of [`Members`] that cannot be followed.
pub fn load_tasks(name: &str, all: &[Options], members: Option<&Members>) -> Result<Dataset> {
    let mut folders = all.iter().map(ClassFolders::list).collect::<Result<Vec<_>>>()?;
    let mut skipped = Vec::new();
    if let Some(members) = members {
        let mut parts = [None, None, None];
        for (number, folder) in folders.iter_mut().enumerate() {
            for (part, own) in parts.iter_mut().zip(&mut folder.parts) {
                let own = own.take().map(|own| own.into_iter().map(|one| (number, one)).collect::<Vec<_>>());
                *part = match (part.take(), own) {
                    (Some(a), Some(b)) => Some([a, b].concat()),
                    (a, b) => a.or(b),
                };
            }
        }
        let divided = members.divide(parts, |(_, one)| &one.file, None, &mut skipped)?;
        for (place, part) in divided.into_iter().enumerate() {
            for (number, one) in part.into_iter().flatten() {
                folders[number].parts[place].get_or_insert_default().push(one);
            }
        }
    }
    let mut sets = folders.into_iter().zip(all).map(|(folder, options)| folder.decode(name, options));
    let first = sets.next().ok_or_else(|| Error::Invalid("a data set without class folders".into()))??;
    let mut data = sets.try_fold(first, |all, next| all.union(next?))?;
    data.skipped.extend(skipped);
    Ok(data)
}

/// The classes and images of a folder, none of which is decoded yet.
struct ClassFolders {
    classes: Vec<String>,
    /// For training, validation and the test; `None` for what is to be cut from training.
    parts: [Option<Vec<Listed>>; 3],
    skipped: Vec<Skipped>,
}

impl ClassFolders {
    fn list(options: &Options) -> Result<Self> {
        let mut skipped = Vec::new();
        let [train_root, val_root, test_root] = roots(&options.root)?;
        let Some(train_root) = train_root else {
            let message = "no such folder; expected images at train/<class>/*.png or *.jpg below data.folder, or at <class>/*.png";
            return Err(Error::data(options.root.join("train"), "", message));
        };
        if train_root != options.root {
            let used = [Some(&train_root), val_root.as_ref(), test_root.as_ref()];
            for path in entries(&options.root)?.into_iter().filter(|path| path.is_dir() && !used.contains(&Some(path)))
            {
                skipped.push(Skipped::left_out(path, "a folder beside train/ of no split's name is not read"));
            }
        }
        let classes = class_names(&train_root, &mut skipped)?;
        if classes.len() < 2 {
            let message = format!("{} class folder(s); classification needs at least two", classes.len());
            return Err(Error::data(train_root, "", message));
        }
        let train = list(&train_root, &classes, &mut skipped)?;
        let mut part =
            |name, root: Option<PathBuf>| root.map(|root| own(&root, name, &classes, &mut skipped)).transpose();
        let (test, val) = (part("test", test_root)?, part("val", val_root)?);
        let parts = [Some(train), val, test];
        Ok(ClassFolders { classes, parts, skipped })
    }

    /// Cuts what has no part of its own, limits and decodes.
    fn decode(self, name: &str, options: &Options) -> Result<Dataset> {
        let ClassFolders { classes, parts, mut skipped } = self;
        let own = parts.each_ref().map(Option::is_some);
        let by_class = split::stratified(|one: &Listed| one.label, options.split_seed);
        let parts = split::complete(parts, [options.val_fraction, options.test_fraction], by_class)?;
        let limits = [options.limits.train, options.limits.val, options.limits.test];
        let mut splits = Vec::with_capacity(3);
        let parts = ["train", "val", "test"].into_iter().zip(&parts);
        for (((part, listing), limit), own) in parts.zip(limits).zip(own) {
            let seed = seed::derive(seed::derive(options.split_seed, "limit"), part);
            // Of a cut-off part, a class may be a single file; losing that is no reason to refuse the set.
            let required: &[String] = if own { &classes } else { &[] };
            splits.push(decode_some(listing, limit, seed, required, options, &mut skipped)?);
        }
        let task = Task { flip: options.flip, ..Task::class(&options.task, classes) };
        let (test, val, train) = (splits.pop(), splits.pop(), splits.pop());
        let (Some(train), Some(val), Some(test)) = (train, val, test) else {
            return Err(Error::Invalid("a split is missing".into()));
        };
        let data = Dataset { name: name.into(), tasks: vec![task], train, val, test, skipped };
        data.check()?;
        Ok(data)
    }
}

/// The folders of the class folders of each split; where no split has one, `root` itself is that of training.
fn roots(root: &Path) -> Result<[Option<PathBuf>; 3]> {
    let own = splits(root)?;
    if own[0].is_some() {
        return Ok(own);
    }
    if let Some(other) = own.iter().flatten().next() {
        let name = other.file_name().unwrap_or_default().display();
        let message = format!(
            "no such folder, but there is {name}/ beside it; expected images at train/<class>/*.png or *.jpg, or class folders alone. If \
             {name} is a class, move all class folders into train/"
        );
        return Err(Error::data(root.join("train"), "", message));
    }
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let classes = files(root).iter().any(|path| path.is_dir() && !hidden(path));
    Ok([classes.then(|| root.to_path_buf()), None, None])
}

/// The images of a split that has a folder of its own, numbered by the classes of training.
fn own(folder: &Path, part: &str, classes: &[String], skipped: &mut Vec<Skipped>) -> Result<Vec<Listed>> {
    let found = class_names(folder, skipped)?;
    if let Some(stranger) = found.iter().find(|c| !classes.contains(c)) {
        let message = format!("train/ has no class of this name (it has {})", classes.join(", "));
        return Err(Error::data(folder.join(stranger), "", message));
    }
    if found.is_empty() {
        let message = format!("no class folder in it; add some, or remove it to cut {part} from train");
        return Err(Error::data(folder, "", message));
    }
    let mut listing = list(folder, &found, skipped)?;
    // The labels of `list` count the folders found here.
    for one in &mut listing {
        one.label = classes.iter().position(|c| *c == found[one.label as usize]).unwrap_or(0) as u32;
    }
    Ok(listing)
}

/// Entries of a folder that are not hidden, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |e| Error::io(folder, "read", e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn class_names(folder: &Path, skipped: &mut Vec<Skipped>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for path in entries(folder)? {
        match path.file_name().and_then(|n| n.to_str()) {
            _ if !path.is_dir() => skipped.push(Skipped::left_out(path, "a file beside the class folders")),
            Some(name) => names.push(name.to_string()),
            None => return Err(Error::data(path, "", "the class folder's name is not valid UTF-8; rename it")),
        }
    }
    Ok(names)
}

/// The files of a folder that are wanted, by their names without the ending.
pub(super) fn by_name(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<BTreeMap<String, PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "read", e))?;
    let mut found = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for path in entries.flatten().map(|e| e.path()).filter(|p| wanted(p)) {
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        if found.insert(stem.clone(), path).is_some() {
            twice.insert(stem);
        }
    }
    match twice.first() {
        Some(stem) => Err(Error::data(folder, stem, "there are two files of this name; which of them is labelled?")),
        None => Ok(found),
    }
}

fn list(folder: &Path, classes: &[String], skipped: &mut Vec<Skipped>) -> Result<Vec<Listed>> {
    let mut listing = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let class = folder.join(class);
        let before = listing.len();
        for file in entries(&class)? {
            if file.is_dir() {
                skipped.push(Skipped::left_out(file, "a folder inside a class folder is not read"));
            } else if is_image(&file) {
                listing.push(Listed { file, label: label as u32 });
            } else {
                skipped.push(Skipped::left_out(file, "not named .png, .jpg or .jpeg"));
            }
        }
        if listing.len() == before {
            let message = "no .png, .jpg or .jpeg file in this class folder; add images or remove the folder";
            return Err(Error::data(class, "", message));
        }
    }
    Ok(listing)
}
