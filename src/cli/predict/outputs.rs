//! Files of answers: a picture, the masks and the depths of each image, under names that tell which image they belong to.

use limbeck::checkpoint::ModelCard;
use limbeck::data::TaskKind;
use limbeck::data::formats::image::Picture;
use limbeck::data::formats::{depth_map, index_mask};
use limbeck::predict::{TaskOutput, TaskPrediction};
use limbeck::report::{PictureOptions, prediction_png_with};
use limbeck::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

/// Where pictures go.
pub enum Drawn {
    /// The picture of the one image.
    File(PathBuf),
    /// A folder of them.
    Folder(PathBuf),
}

impl Drawn {
    /// A path that ends like an image's is one picture, any other a folder.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one picture of several images, and for a folder that is a file.
    pub fn to(path: &Path, images: usize) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let one = matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg")) && !path.is_dir();
        match images {
            1 if one => Ok(Drawn::File(path.to_path_buf())),
            n if one => {
                let message =
                    format!("--draw {} is one picture, and there are {n} images; give a folder", path.display());
                Err(Error::Invalid(message))
            }
            _ => folder_for("--draw", path).map(Drawn::Folder),
        }
    }
}

/// A folder that is there or can be made.
///
/// # Errors
/// [`Error::Invalid`] where it is a file.
pub fn folder_for(option: &str, path: &Path) -> Result<PathBuf> {
    if path.is_file() {
        return Err(Error::Invalid(format!("{option} {} is a file; give a folder", path.display())));
    }
    Ok(path.to_path_buf())
}

/// What is written of each image.
pub struct Outputs {
    names: Vec<String>,
    drawn: Option<Drawn>,
    masks: Option<PathBuf>,
    channels: usize,
    options: PictureOptions,
}

impl Outputs {
    /// The files of these images; objects are drawn that are at least `least` sure, where it is given.
    ///
    /// # Errors
    /// [`Error::Invalid`] where one would be written over an image, or two under one name.
    pub fn new(
        images: &[PathBuf],
        drawn: Option<Drawn>,
        masks: Option<PathBuf>,
        card: &ModelCard,
        least: Option<f64>,
    ) -> Result<Self> {
        let mut options = PictureOptions::of(card);
        options.least = least.map_or(options.least, |least| least as f32);
        let outputs = Outputs { names: names(images), drawn, masks, channels: card.image[2], options };
        if outputs.any() {
            let tasks: Vec<(&str, TaskKind)> = card.tasks.iter().map(|task| (task.name.as_str(), task.kind)).collect();
            outputs.check(images, &tasks)?;
        }
        Ok(outputs)
    }

    /// Whether there is any file to write.
    pub fn any(&self) -> bool {
        self.drawn.is_some() || self.masks.is_some()
    }

    fn check(&self, images: &[PathBuf], tasks: &[(&str, TaskKind)]) -> Result<()> {
        let identity = |path: &Path| path.canonicalize().ok();
        let inputs: BTreeSet<PathBuf> = images.iter().filter_map(|path| identity(path)).collect();
        let mut known = BTreeSet::new();
        for number in 0..images.len() {
            let masks = tasks.iter().filter_map(|(task, kind)| self.mask_path(number, task, *kind));
            for path in self.picture_path(number).into_iter().chain(masks) {
                if identity(&path).is_some_and(|path| inputs.contains(&path)) {
                    let message =
                        format!("{} is an image that would be written over; give another folder", path.display());
                    return Err(Error::Invalid(message));
                }
                if let Some(twice) = known.replace(path) {
                    let message = "would be both a picture and a mask; give --draw and --masks folders of their own";
                    return Err(Error::Invalid(format!("{}: {message}", twice.display())));
                }
            }
        }
        Ok(())
    }

    fn picture_path(&self, number: usize) -> Option<PathBuf> {
        match self.drawn.as_ref()? {
            Drawn::File(path) => Some(path.clone()),
            Drawn::Folder(folder) => Some(folder.join(format!("{}.png", self.names.get(number)?))),
        }
    }

    fn mask_path(&self, number: usize, task: &str, kind: TaskKind) -> Option<PathBuf> {
        let ending = match kind {
            TaskKind::Mask => "png",
            TaskKind::Depth => "npy",
            TaskKind::Class | TaskKind::Attributes | TaskKind::Number | TaskKind::Boxes => return None,
        };
        // A task's name may be anything.
        let folder = self.masks.as_ref()?.join(task.replace(['/', '\\'], "-"));
        Some(folder.join(format!("{}.{ending}", self.names.get(number)?)))
    }

    /// Writes the files of one image: those of masks and depths by task, and what went wrong.
    pub fn write(
        &self,
        number: usize,
        image: &Path,
        tasks: &[TaskPrediction],
    ) -> (BTreeMap<String, PathBuf>, Vec<Error>) {
        let (mut files, mut errors) = (BTreeMap::new(), Vec::new());
        for TaskPrediction { task, answer } in tasks {
            let path = |kind| self.mask_path(number, task, kind);
            let (path, written) = match answer {
                TaskOutput::Mask { size, classes, .. } => {
                    let Some(path) = path(TaskKind::Mask) else { continue };
                    let written = index_mask::write(&path, classes, *size);
                    (path, written)
                }
                TaskOutput::Depth { size, values } => {
                    let Some(path) = path(TaskKind::Depth) else { continue };
                    let written = depth_map::write(&path, values, *size);
                    (path, written)
                }
                _ => continue,
            };
            match written {
                Ok(()) => drop(files.insert(task.clone(), path)),
                Err(error) => errors.push(error),
            }
        }
        if let Some(path) = self.picture_path(number) {
            let drawn = Picture::read(image, self.channels)
                .and_then(|p| prediction_png_with(&p.pixels, p.shape, tasks, &self.options, path));
            errors.extend(drawn.err());
        }
        (files, errors)
    }
}

/// A name for each image's files: its own without the ending. Images that share one have as many of their folders before it as tell them
/// apart (`a-0`, `b-0`), images of one folder their endings behind it, and what is still the same is numbered. Upper case and lower case
/// count as the same: some systems do not tell them apart.
fn names(images: &[PathBuf]) -> Vec<String> {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let stem = |path: &Path| (path.parent().map(Path::to_path_buf), text(path.file_stem()).to_lowercase());
    let mut stems = HashMap::new();
    images.iter().for_each(|path| *stems.entry(stem(path)).or_insert(0) += 1);
    // Of each image its name, and its folders from the innermost on.
    let parts: Vec<Vec<String>> = images
        .iter()
        .map(|path| {
            let alone = stems.get(&stem(path)) == Some(&1);
            let name = text(if alone { path.file_stem() } else { path.file_name() });
            let folders = path.parent().into_iter().flat_map(Path::components).rev();
            let folders =
                folders.filter(|part| matches!(part, Component::Normal(_))).map(|part| text(Some(part.as_os_str())));
            std::iter::once(name).chain(folders).collect()
        })
        .collect();
    let joined = |parts: &[String], depth: usize| {
        let used: Vec<&str> = parts.iter().take(depth).rev().map(String::as_str).collect();
        used.join("-")
    };
    let mut depths = vec![1; images.len()];
    loop {
        let all: Vec<String> = parts.iter().zip(&depths).map(|(parts, depth)| joined(parts, *depth)).collect();
        let mut times = HashMap::new();
        all.iter().for_each(|name| *times.entry(name.to_lowercase()).or_insert(0) += 1);
        let mut longer = false;
        for ((depth, parts), name) in depths.iter_mut().zip(&parts).zip(&all) {
            if *depth < parts.len() && times.get(&name.to_lowercase()).is_some_and(|n| *n > 1) {
                *depth += 1;
                longer = true;
            }
        }
        if !longer {
            return numbered(all);
        }
    }
}

/// The names, with numbers behind those that were there before.
fn numbered(all: Vec<String>) -> Vec<String> {
    let mut known: BTreeSet<String> = all.iter().map(|name| name.to_lowercase()).collect();
    let mut used = BTreeSet::new();
    let one = |name: String| {
        if used.insert(name.to_lowercase()) {
            return name;
        }
        let free = (2..).map(|n| format!("{name}-{n}")).find(|name| known.insert(name.to_lowercase()));
        free.unwrap_or(name)
    };
    all.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(paths: &[&str]) -> Vec<String> {
        names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_the_images_own_and_unique() {
        assert_eq!(named(&["photos/a.png", "photos/b.c.jpg"]), ["a", "b.c"]);
        assert_eq!(named(&["x/a/0.png", "x/b/0.png", "x/1.png"]), ["a-0", "b-0", "1"]);
        assert_eq!(named(&["x/a/0.png", "y/a/0.png", "x/b/0.png"]), ["x-a-0", "y-a-0", "b-0"]);
        assert_eq!(named(&["x/a.png", "x/a.jpg", "x/b.jpg"]), ["a.png", "a.jpg", "b"]);
        assert_eq!(named(&["x/a.png", "x/A.png"]), ["x-a.png", "x-A.png-2"]);
        assert_eq!(named(&["0.png", "a/0.png", "a-0.png"]), ["0", "a-0", "a-0-2"]);
        assert_eq!(named(&["a.png", "../a.png"]), ["a", "a-2"]);
        assert!(named(&[]).is_empty());
    }

    #[test]
    fn one_picture_is_for_one_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(matches!(Drawn::to(&path("a.PNG"), 1), Ok(Drawn::File(_))));
        assert!(matches!(Drawn::to(&path("drawn"), 1), Ok(Drawn::Folder(_))));
        assert!(matches!(Drawn::to(&path("v1.0"), 7), Ok(Drawn::Folder(_))));
        let told = Drawn::to(&path("a.png"), 3).err().unwrap().to_string();
        assert!(told.contains("there are 3 images; give a folder"), "{told}");
        std::fs::create_dir(path("odd.png")).unwrap();
        assert!(matches!(Drawn::to(&path("odd.png"), 3), Ok(Drawn::Folder(_))));
        std::fs::write(path("file"), "").unwrap();
        assert!(Drawn::to(&path("file"), 3).err().unwrap().to_string().contains("is a file"));
    }

    #[test]
    fn nothing_is_written_over_an_image_or_a_mask() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("a.png");
        std::fs::write(&image, "").unwrap();
        let images = [image.clone()];
        let outputs = |drawn: Option<&Path>, masks: Option<&Path>| Outputs {
            names: names(&images),
            drawn: drawn.map(|path| Drawn::Folder(path.into())),
            masks: masks.map(Path::to_path_buf),
            channels: 3,
            options: PictureOptions::default(),
        };
        let (root, other) = (folder.path(), folder.path().join("other"));
        let tasks = [("mask", TaskKind::Mask), ("depth", TaskKind::Depth), ("class", TaskKind::Class)];
        let told = outputs(Some(root), None).check(&images, &tasks).unwrap_err().to_string();
        assert!(told.contains("a.png is an image that would be written over"), "{told}");
        assert!(outputs(Some(&other), Some(&other)).check(&images, &tasks).is_ok());
        let told = outputs(Some(&other.join("mask")), Some(&other)).check(&images, &tasks).unwrap_err().to_string();
        assert!(told.contains("both a picture and a mask"), "{told}");
        let paths = outputs(None, Some(&other));
        assert_eq!(paths.mask_path(0, "mask", TaskKind::Mask), Some(other.join("mask/a.png")));
        assert_eq!(paths.mask_path(0, "a/b", TaskKind::Depth), Some(other.join("a-b/a.npy")));
        assert_eq!(paths.mask_path(0, "class", TaskKind::Class), None);
    }

    #[test]
    fn masks_and_pictures_are_written_and_what_fails_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        image::RgbImage::from_pixel(3, 2, image::Rgb([9, 9, 9])).save(root.join("a.png")).unwrap();
        let images = [root.join("a.png")];
        let outputs = Outputs {
            names: names(&images),
            drawn: Some(Drawn::Folder(root.join("drawn"))),
            masks: Some(root.join("masks")),
            channels: 3,
            options: PictureOptions::default(),
        };
        let (mask, depths) = (vec![0, 1, 1, 0, 0, 1], vec![0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        let tasks = [
            ("mask", TaskOutput::Mask { size: [2, 3], names: Vec::new(), classes: mask.clone() }),
            ("depth", TaskOutput::Depth { size: [2, 3], values: depths.clone() }),
            ("count", TaskOutput::Number { value: 1.0 }),
        ];
        let tasks = tasks.map(|(task, answer)| TaskPrediction { task: task.into(), answer });
        let (files, errors) = outputs.write(0, &images[0], &tasks);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(files.keys().collect::<Vec<_>>(), ["depth", "mask"]);
        assert_eq!(index_mask::read(&files["mask"]).unwrap(), (mask, [2, 3]));
        assert_eq!(depth_map::read(&files["depth"], None, [2, 3]).unwrap(), depths);
        assert!(root.join("drawn/a.png").is_file());
        // A file where a folder is to be: the others are written.
        std::fs::remove_dir_all(root.join("masks/mask")).unwrap();
        std::fs::write(root.join("masks/mask"), "").unwrap();
        let (files, errors) = outputs.write(0, &images[0], &tasks);
        assert_eq!((files.len(), errors.len()), (1, 1), "{errors:?}");
    }
}
