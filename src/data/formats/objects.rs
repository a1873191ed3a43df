//! From images with objects in them, in whatever format they were annotated, to a data set: every image on a canvas of one size, its
//! proportions kept, with its objects, a mask drawn from their outlines, and their number.

mod checks;

use super::coco::{Instances, OnError};
use super::depth_map::{self, DepthFiles};
pub use super::mask_files::MaskFiles;
use super::outline::Outlined;
pub(super) use super::parallel::in_parallel;
use super::segments::Segments;
use super::{folder, image};
use crate::data::letterbox::Letterbox;
use crate::data::{
    Dataset, DepthMap, IGNORED, Images, Labels, MaskRuns, Object, OriginalLabels, Originals, Skipped, Split, Task,
    TaskKind,
};
use crate::{Error, Result};
use checks::{check_names, check_outlines, once};
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What is asked of images with objects, each a task of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum TaskChoice {
    /// The objects: box and class.
    Boxes,
    /// The class at each pixel, or background.
    Mask,
    /// How many objects there are; crowds are not counted.
    Count,
    /// The depth of each pixel, in metres, from files.
    Depth,
}

impl TaskChoice {
    /// Those that annotations of objects may answer, with the names of their tasks.
    pub const ALL: [(&'static str, TaskChoice); 3] =
        [("boxes", TaskChoice::Boxes), ("mask", TaskChoice::Mask), ("count", TaskChoice::Count)];

    /// The task's name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, q)| *q == self).map_or("depth", |(name, _)| name)
    }

    /// What kind of answer it asks for.
    pub fn kind(self) -> TaskKind {
        match self {
            TaskChoice::Boxes => TaskKind::Boxes,
            TaskChoice::Mask => TaskKind::Mask,
            TaskChoice::Count => TaskKind::Number,
            TaskChoice::Depth => TaskKind::Depth,
        }
    }

    fn task(self, classes: &[String], masks: &Masks) -> Task {
        let own = || classes.iter().map(String::as_str);
        let names: Vec<&str> = match (self, masks) {
            (TaskChoice::Boxes, _) => own().collect(),
            (TaskChoice::Mask, Masks::Files(files)) => files.classes().map(|(_, name)| name).collect(),
            (TaskChoice::Mask, Masks::Segments(names)) => names.iter().map(String::as_str).collect(),
            (TaskChoice::Mask, Masks::Drawn) => ["background"].into_iter().chain(own()).collect(),
            (TaskChoice::Count | TaskChoice::Depth, _) => Vec::new(),
        };
        Task { counts: self == TaskChoice::Count, ..Task::new(self.name(), self.kind(), &names) }
    }
}

/// An image file and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatedImage {
    /// The file.
    pub path: PathBuf,
    /// Height and width, as the annotation has them.
    pub size: [usize; 2],
    /// Its objects with their outlines, where they have one; `None` where nobody has looked.
    pub objects: Option<Vec<Outlined>>,
    /// Its segments, where every pixel belongs to one.
    pub segments: Option<Segments>,
}

/// Where masks come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Masks {
    /// Drawn from the objects' outlines; what is no object is background.
    #[default]
    Drawn,
    /// Files of their own.
    Files(MaskFiles),
    /// The images' segments, of these classes.
    Segments(Vec<String>),
}

/// How a data set is made of them.
#[derive(Debug, Clone)]
pub struct Options {
    /// Height and width of the canvas.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Pixels of the largest image that is decoded.
    pub max_pixels: usize,
    /// What is asked.
    pub questions: Vec<TaskChoice>,
    /// Where masks come from.
    pub masks: Masks,
    /// Where depth maps come from.
    pub depth: Option<DepthFiles>,
    /// What is done with images that cannot be read.
    pub on_error: OnError,
}

/// The images of a COCO file.
pub fn of_instances(instances: &Instances) -> Vec<AnnotatedImage> {
    let one = |entry: &super::coco::Entry| AnnotatedImage {
        path: entry.file.clone(),
        size: entry.size,
        objects: Some(entry.objects.clone()),
        segments: None,
    };
    instances.images.iter().map(one).collect()
}

/// The images in `folder` that are none of `known`, which are not used.
pub fn unlisted<'a>(folder: &Path, known: impl IntoIterator<Item = &'a Path>) -> Vec<Skipped> {
    let known: HashSet<&Path> = known.into_iter().collect();
    let unknown = |path: &PathBuf| folder::is_image(path) && !known.contains(path.as_path());
    let told = |path| Skipped::not_named(path, "by any annotation that was read");
    folder::files(folder).into_iter().filter(unknown).map(told).collect()
}

/// The masks and depth maps in `folder` that belong to none of the images whose names without endings are `stems`.
#[cfg_attr(not(feature = "train"), expect(dead_code))] // for sources
pub(crate) fn without_image(folder: &Path, stems: &BTreeSet<&OsStr>, reason: &str) -> Vec<Skipped> {
    let is_one = |path: &PathBuf| path.extension().is_some_and(|e| e == "png" || e == "npy");
    let orphan = |path: &PathBuf| is_one(path) && path.file_stem().is_some_and(|s| !stems.contains(s));
    folder::files(folder).into_iter().filter(orphan).map(|path| Skipped::left_out(path, reason)).collect()
}

/// Those whose file is there. What is annotated without one is named in `skipped`.
///
/// # Errors
/// [`Error::Data`] where none is there: then the folder is the wrong one.
pub fn present(part: Vec<AnnotatedImage>, skipped: &mut Vec<Skipped>) -> Result<Vec<AnnotatedImage>> {
    let (there, gone): (Vec<_>, Vec<_>) = part.into_iter().partition(|a| a.path.exists());
    if let (true, Some(first)) = (there.is_empty(), gone.first()) {
        let message = format!(
            "is annotated, but not there, as none of {} images is; is data.images the right folder?",
            gone.len()
        );
        return Err(Error::data(&first.path, "", message));
    }
    let told = |a: AnnotatedImage| Skipped::left_out(a.path, "is annotated, but there is no such file");
    skipped.extend(gone.into_iter().map(told));
    Ok(there)
}

/// A data set of `parts`, for training, validation and the test, whose objects' classes are `classes`.
///
/// An annotated image without a file is left out and named.
///
/// # Errors
/// [`Error::Io`] and [`Error::Data`] for an image that cannot be read, or has another size than its annotation, unless
/// `options.on_error` says to skip it; [`Error::Data`] where no file of a part is there; [`Error::Invalid`] for masks to be drawn where no
/// object has an outline, and for a data set that cannot be learnt from ([`Dataset::check`]).
pub fn load(name: &str, classes: &[String], parts: [Vec<AnnotatedImage>; 3], options: &Options) -> Result<Dataset> {
    load_some(name, classes, parts, [None; 3], options)
}

/// [`load`] of so many images of each part at most, its first ones. Where one of them cannot be read and is left out, a later one takes
/// its place.
pub(crate) fn load_some(
    name: &str,
    classes: &[String],
    parts: [Vec<AnnotatedImage>; 3],
    limits: [Option<usize>; 3],
    options: &Options,
) -> Result<Dataset> {
    let tasks: Vec<Task> = options.questions.iter().map(|q| q.task(classes, &options.masks)).collect();
    let mut skipped = Vec::new();
    let parts = parts.map(|part| part.into_iter().map(|image| once(image, classes, &mut skipped)).collect::<Vec<_>>());
    // Before any image is read: a mask cannot number more classes than this allows.
    tasks.iter().try_for_each(Task::check)?;
    check_outlines(&parts, options)?;
    check_names(&parts, options)?;
    let mut limits = limits.into_iter();
    let [train, val, test] = parts.map(|part| {
        let part = present(part, &mut skipped)?;
        split(&part, limits.next().flatten(), options, &mut skipped)
    });
    let (train, val, test) = (train?, val?, test?);
    let data = Dataset { name: name.into(), tasks, train, val, test, skipped };
    data.check()?;
    Ok(data)
}

/// One image on its canvas.
struct Placed {
    pixels: Vec<u8>,
    place: Letterbox,
    mask: Vec<u8>,
    /// The mask of the image's own pixels.
    own_mask: Option<MaskRuns>,
    /// `None` where they are not known.
    objects: Option<Vec<Object>>,
    /// The same objects in the image's own pixels.
    own_objects: Option<Vec<Object>>,
    /// The depth of the canvas's pixels, NaN where it is not known; empty where nobody asks.
    depth: Vec<f32>,
    /// The file it came from.
    own_depth: Option<DepthMap>,
    /// What is not known of it.
    missing: Vec<&'static str>,
}

/// The first images of a part on their canvases, or why they cannot be: so many that can, or all there are.
fn placed<'a>(
    mut part: &'a [AnnotatedImage],
    limit: Option<usize>,
    options: &Options,
) -> Vec<(&'a AnnotatedImage, Result<Placed>)> {
    let (mut all, mut lacking) = (Vec::new(), limit.unwrap_or(part.len()).min(part.len()));
    while lacking > 0 && !part.is_empty() {
        let (now, later) = part.split_at(lacking.min(part.len()));
        let done = in_parallel(now, |a| place(a, options));
        // Where nothing is borne, the first error ends it.
        lacking = done.iter().filter(|d| d.is_err() && options.on_error == OnError::Skip).count();
        all.extend(now.iter().zip(done));
        part = later;
    }
    all
}

fn split(
    part: &[AnnotatedImage],
    limit: Option<usize>,
    options: &Options,
    skipped: &mut Vec<Skipped>,
) -> Result<Split> {
    let mut images = Images::black(0, options.size, options.channels)?;
    let (mut masks, mut boxes) = (Vec::new(), Vec::new());
    let (mut files, mut places, mut own_masks, mut own_boxes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut depths, mut own_depths) = (Vec::new(), Vec::new());
    for (annotated, placed) in placed(part, limit, options) {
        match placed {
            Ok(placed) => {
                images.pixels.extend(placed.pixels);
                masks.extend(placed.mask);
                boxes.push(placed.objects);
                files.push(annotated.path.clone());
                places.push(placed.place);
                own_masks.push(placed.own_mask);
                own_boxes.push(placed.own_objects);
                depths.extend(placed.depth);
                own_depths.push(placed.own_depth);
                images.count += 1;
                skipped.extend(placed.missing.iter().map(|reason| Skipped::incomplete(&annotated.path, *reason)));
            }
            Err(error) if options.on_error == OnError::Skip => {
                let reason = match error {
                    Error::Data { message, .. } => message,
                    other => other.to_string(),
                };
                skipped.push(Skipped::left_out(&annotated.path, reason));
            }
            Err(error) => return Err(error),
        }
    }
    let answer = |question: &TaskChoice| match question {
        TaskChoice::Boxes => Labels::Boxes(boxes.clone()),
        TaskChoice::Mask => Labels::Mask(masks.clone()),
        TaskChoice::Depth => Labels::Depth(depths.clone()),
        TaskChoice::Count => {
            let count = |objects: &Vec<Object>| objects.iter().filter(|o| !o.ignored).count() as f32;
            Labels::Number(boxes.iter().map(|all| all.as_ref().map_or(f32::NAN, count)).collect())
        }
    };
    let labels = options.questions.iter().map(answer).collect();
    let original = |question: &TaskChoice| match question {
        TaskChoice::Boxes => Some(OriginalLabels::Boxes(own_boxes.clone())),
        TaskChoice::Mask => Some(OriginalLabels::Mask(own_masks.clone())),
        TaskChoice::Depth => Some(OriginalLabels::Depth(own_depths.clone())),
        TaskChoice::Count => None,
    };
    let originals = Originals { places, labels: options.questions.iter().map(original).collect() };
    Ok(Split { images, labels, files, originals: Some(originals) })
}

/// Objects of one image. Pictures of crowds have some ten thousand; every place of a detector looks at all of them, and every image of a
/// step has room for as many as the one that has most.
const MOST_OBJECTS: usize = 16_384;

fn place(annotated: &AnnotatedImage, options: &Options) -> Result<Placed> {
    if let Some(n) = annotated.objects.as_ref().map(Vec::len).filter(|n| *n > MOST_OBJECTS) {
        let message = format!(
            "has {n} objects, and {MOST_OBJECTS} of one image can be learnt; leave it out, or cut it into parts"
        );
        return Err(Error::data(&annotated.path, "", message));
    }
    let (pixels, found, boxed) =
        image::read_boxed(&annotated.path, options.size, options.channels, options.max_pixels)?;
    if found != annotated.size {
        let ([h, w], [ah, aw]) = (found, annotated.size);
        let message = format!("is {h}x{w}, its annotation says {ah}x{aw}; is it the image that was annotated?");
        return Err(Error::data(&annotated.path, "", message));
    }
    let (mut mask, mut own_mask, mut missing) = (Vec::new(), None, Vec::new());
    if options.questions.contains(&TaskChoice::Mask) {
        let drawn = match &options.masks {
            Masks::Files(files) => files.read(&annotated.path, found)?,
            Masks::Segments(_) => annotated.segments.as_ref().map(|segments| segments.read(found)).transpose()?,
            Masks::Drawn => annotated.objects.as_ref().map(|objects| drawn(objects, found)),
        };
        if drawn.is_none() && options.masks != Masks::Drawn {
            missing.push("has no mask; its pixels' classes are not known");
        }
        mask = match &drawn {
            Some(drawn) => boxed.place_mask(drawn),
            None => vec![IGNORED; options.size[0] * options.size[1]],
        };
        own_mask = drawn.map(|drawn| MaskRuns::of(&drawn));
    }
    let (mut depth, mut own_depth) = (Vec::new(), None);
    if options.questions.contains(&TaskChoice::Depth) {
        let file = options.depth.as_ref().and_then(|files| Some((files.of(&annotated.path)?, files.unit)));
        depth = match file {
            Some((path, unit)) => {
                let values = depth_map::read(&path, unit, found)?;
                own_depth = Some(DepthMap { path, unit });
                boxed.place_values(&values, f32::NAN)
            }
            None => {
                missing.push("has no depth map; its pixels' depth is not known");
                vec![f32::NAN; options.size[0] * options.size[1]]
            }
        };
    }
    // An object that is smaller than a pixel of the canvas is still one.
    let scale = (boxed.inner[0] * boxed.inner[1]) as f32 / (found[0] * found[1]) as f32;
    let moved = |(object, _): &Outlined| {
        let rect = boxed.place(&object.rect).clipped(options.size);
        rect.is_proper().then_some((Object { rect, area: object.area * scale, ..*object }, *object))
    };
    let both = annotated.objects.as_ref().map(|all| all.iter().filter_map(moved).unzip());
    let (objects, own_objects) = both.unzip();
    Ok(Placed { pixels, place: boxed, mask, own_mask, objects, own_objects, depth, own_depth, missing })
}

/// The class at each pixel of an image: background is 0, later objects lie on earlier ones, and what is known of an object by its box
/// alone is not judged.
fn drawn(objects: &[Outlined], [h, w]: [usize; 2]) -> Vec<u8> {
    let mut mask = vec![0u8; h * w];
    for (object, outline) in objects {
        match outline {
            Some(outline) => outline.pixels([h, w], |y, x| mask[y * w + x] = object.class as u8 + 1),
            None => {
                let rows = object.rect.y0.floor() as usize..(object.rect.y1.ceil() as usize).min(h);
                for y in rows {
                    let columns = object.rect.x0.floor() as usize..(object.rect.x1.ceil() as usize).min(w);
                    mask[y * w..][columns].fill(IGNORED);
                }
            }
        }
    }
    mask
}
