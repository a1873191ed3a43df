//! Class folders: `root/<class>/*.{png,jpg,jpeg}`, as torchvision's ImageFolder reads them, or `root/{train,val,test}/<class>/` of them.

use super::image;
use crate::{
    Error, Result,
    data::{Dataset, Images, Labels, Limits, Skipped, Split, Task, seed, split},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

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

/// Image files with their labels, not decoded yet: splits are cut and limited on names, which costs nothing.
#[derive(Debug, Default, Clone)]
struct Listing {
    files: Vec<PathBuf>,
    labels: Vec<u32>,
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
    let mut skipped = Vec::new();
    let [train_root, val_root, test_root] = roots(&options.root)?;
    let Some(train_root) = train_root else {
        let message =
            "no such folder; expected images at train/<class>/*.png or *.jpg below data.folder, or at <class>/*.png";
        return Err(Error::data(options.root.join("train"), "", message));
    };
    if train_root != options.root {
        let used = [Some(&train_root), val_root.as_ref(), test_root.as_ref()];
        for path in entries(&options.root)?.into_iter().filter(|path| path.is_dir() && !used.contains(&Some(path))) {
            skipped.push(Skipped::left_out(path, "a folder beside train/ of no split's name is not read"));
        }
    }
    let classes = class_names(&train_root, &mut skipped)?;
    if classes.len() < 2 {
        let message = format!("{} class folder(s); classification needs at least two", classes.len());
        return Err(Error::data(train_root, "", message));
    }
    let mut train = list(&train_root, &classes, &mut skipped)?;
    let seed = options.split_seed;
    let left = if test_root.is_some() { 1.0 } else { 1.0 - options.test_fraction };
    let own = [true, val_root.is_some(), test_root.is_some()];
    let mut part =
        |name, folder, fraction| own_or_cut(folder, (name, fraction, seed), &classes, &mut train, &mut skipped);
    let test = part("test", test_root, options.test_fraction)?;
    let val = part("val", val_root, options.val_fraction / left)?;
    let limits = [options.limits.train, options.limits.val, options.limits.test];
    let mut splits = Vec::with_capacity(3);
    let parts = [("train", train), ("val", val), ("test", test)].into_iter();
    for (((part, listing), limit), own) in parts.zip(limits).zip(own) {
        let seed = seed::derive(seed::derive(options.split_seed, "limit"), part);
        // Of a cut-off part, a class may be a single file; losing that is no reason to refuse the set.
        let required: &[String] = if own { &classes } else { &[] };
        splits.push(decode_some(&listing, limit, seed, required, options, &mut skipped)?);
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

/// The split's own folder if there is one, else a part of train, which loses it.
fn own_or_cut(
    folder: Option<PathBuf>,
    (part, fraction, seed): (&str, f64, u64),
    classes: &[String],
    train: &mut Listing,
    skipped: &mut Vec<Skipped>,
) -> Result<Listing> {
    let Some(folder) = folder else {
        let (rest, cut) = split::cut(&train.labels, fraction, seed::derive(seed, part))?;
        let cut = train.gather(&cut);
        *train = train.gather(&rest);
        return Ok(cut);
    };
    let found = class_names(&folder, skipped)?;
    if let Some(stranger) = found.iter().find(|c| !classes.contains(c)) {
        let message = format!("train/ has no class of this name (it has {})", classes.join(", "));
        return Err(Error::data(folder.join(stranger), "", message));
    }
    if found.is_empty() {
        return Err(Error::data(
            folder,
            "",
            format!("no class folder in it; add some, or remove it to cut {part} from train"),
        ));
    }
    let mut listing = Listing::default();
    let own = list(&folder, &found, skipped)?;
    // The labels of `list` count the folders found here; train's numbering is the one that holds.
    for (file, label) in own.files.into_iter().zip(own.labels) {
        let class = classes.iter().position(|c| *c == found[label as usize]).unwrap_or(0);
        listing.files.push(file);
        listing.labels.push(class as u32);
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

/// Whether the file's name is that of an image that can be read.
pub(crate) fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
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

fn list(folder: &Path, classes: &[String], skipped: &mut Vec<Skipped>) -> Result<Listing> {
    let mut listing = Listing::default();
    for (label, class) in classes.iter().enumerate() {
        let class = folder.join(class);
        let before = listing.files.len();
        for path in entries(&class)? {
            if path.is_dir() {
                skipped.push(Skipped::left_out(path, "a folder inside a class folder is not read"));
            } else if is_image(&path) {
                listing.files.push(path);
                listing.labels.push(label as u32);
            } else {
                skipped.push(Skipped::left_out(path, "not named .png, .jpg or .jpeg"));
            }
        }
        if listing.files.len() == before {
            let message = "no .png, .jpg or .jpeg file in this class folder; add images or remove the folder";
            return Err(Error::data(class, "", message));
        }
    }
    Ok(listing)
}

impl Listing {
    fn gather(&self, indices: &[u32]) -> Listing {
        let pick = |&i: &u32| (self.files[i as usize].clone(), self.labels[i as usize]);
        let (files, labels) = indices.iter().map(pick).unzip();
        Listing { files, labels }
    }
}

/// Decodes so many of the files, or all of them. Where one cannot be read, another takes its place.
fn decode_some(
    listing: &Listing,
    limit: Option<usize>,
    seed: u64,
    required: &[String],
    options: &Options,
    skipped: &mut Vec<Skipped>,
) -> Result<Split> {
    let Some(limit) = limit else { return decode_all(listing, required, options, skipped) };
    let chosen = split::choose(&listing.labels, limit, seed);
    let mut decoded = decode_all(&listing.gather(&chosen), required, options, skipped)?;
    let mut left: Vec<u32> = (0..listing.files.len() as u32).filter(|i| chosen.binary_search(i).is_err()).collect();
    for round in 1.. {
        let lacking = limit.saturating_sub(decoded.len());
        if lacking == 0 || left.is_empty() {
            break;
        }
        let labels: Vec<u32> = left.iter().map(|i| listing.labels[*i as usize]).collect();
        let places = split::choose(&labels, lacking, seed::derive_n(seed, round));
        let more: Vec<u32> = places.iter().map(|place| left[*place as usize]).collect();
        left.retain(|i| more.binary_search(i).is_err());
        let more = decode_all(&listing.gather(&more), &[], options, skipped)?;
        decoded.images.pixels.extend(more.images.pixels);
        decoded.images.count += more.images.count;
        decoded.files.extend(more.files);
        for (labels, more) in decoded.labels.iter_mut().zip(more.labels) {
            labels.extend(more)?;
        }
    }
    Ok(decoded)
}

/// Decodes the files on all cores. Those that fail go to `skipped`, and the images behind them close up. Each class of
/// `required` that has files must keep at least one.
fn decode_all(listing: &Listing, required: &[String], options: &Options, skipped: &mut Vec<Skipped>) -> Result<Split> {
    // Small enough to share out evenly, large enough that nobody waits at the lock.
    const CHUNK: usize = 32;
    let mut images = Images::black(listing.files.len(), options.size, options.channels)?;
    let len = images.image_len();
    if len == 0 {
        return Err(Error::Invalid("data.size: both sides and the channels must be above 0".into()));
    }
    let mut reasons: Vec<Option<String>> = vec![None; listing.files.len()];
    let jobs = images.pixels.chunks_mut(CHUNK * len).zip(listing.files.chunks(CHUNK)).zip(reasons.chunks_mut(CHUNK));
    let jobs = Mutex::new(jobs);
    let worker = || {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(((pixels, files), reasons)) = job else { break };
            for ((out, path), reason) in pixels.chunks_exact_mut(len).zip(files).zip(reasons) {
                match image::read(path, options.size, options.channels, options.max_pixels) {
                    Ok(bytes) => out.copy_from_slice(&bytes),
                    Err(Error::Data { message, .. }) => *reason = Some(message),
                    Err(error) => *reason = Some(error.to_string()),
                }
            }
        }
    };
    let helpers = thread::available_parallelism().map_or(1, |n| n.get()) - 1;
    thread::scope(|scope| {
        for _ in 0..helpers {
            // A refused thread only makes it slower: this one works as well.
            let _ = thread::Builder::new().spawn_scoped(scope, worker);
        }
        worker();
    });
    check_classes(listing, &reasons, required)?;
    let (mut labels, mut files) = (Vec::with_capacity(listing.labels.len()), Vec::new());
    for (i, reason) in reasons.into_iter().enumerate() {
        match reason {
            Some(reason) => skipped.push(Skipped::left_out(&listing.files[i], reason)),
            None => {
                images.pixels.copy_within(i * len..(i + 1) * len, labels.len() * len);
                labels.push(listing.labels[i]);
                files.push(listing.files[i].clone());
            }
        }
    }
    images.pixels.truncate(labels.len() * len);
    images.count = labels.len();
    Ok(Split { images, labels: vec![Labels::Class(labels)], files, originals: None })
}

/// A class of which nothing could be read would be learnt or measured as nothing, in silence.
fn check_classes(listing: &Listing, reasons: &[Option<String>], classes: &[String]) -> Result<()> {
    for (label, class) in classes.iter().enumerate() {
        let of_class = || (0..reasons.len()).filter(|&i| listing.labels[i] as usize == label);
        let (tried, failed) = (of_class().count(), of_class().filter(|&i| reasons[i].is_some()).count());
        if let Some(first) = of_class().next().filter(|_| tried == failed) {
            let reason = reasons[first].as_deref().unwrap_or_default();
            let message = format!("none of the {tried} image(s) of class {class:?} could be read; this one: {reason}");
            return Err(Error::data(&listing.files[first], "", message));
        }
    }
    Ok(())
}

/// What lies in a folder, in byte order; nothing where it cannot be read, which reading its files will tell.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    files.sort();
    files
}
