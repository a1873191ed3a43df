//! From images with objects in them, in whatever format they were annotated, to a data set: every image on a canvas of one size, its
//! proportions kept, with its objects, a mask drawn from their outlines, and their number.

use super::coco::{Instances, OnError};
use super::image;
use super::outline::Outline;
use crate::data::letterbox::Letterbox;
use crate::data::{Dataset, IGNORED, Images, Labels, Object, Skipped, Split, Task, TaskKind};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// What is asked of images with objects, each a task of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Question {
    /// The objects: box and class.
    Boxes,
    /// The class at each pixel, or background.
    Mask,
    /// How many objects there are; crowds are not counted.
    Count,
}

impl Question {
    /// All of them with the names of their tasks.
    pub const ALL: [(&'static str, Question); 3] =
        [("boxes", Question::Boxes), ("mask", Question::Mask), ("count", Question::Count)];

    /// The task's name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, q)| *q == self).map_or("", |(name, _)| name)
    }

    /// What kind of answer it asks for.
    pub fn kind(self) -> TaskKind {
        match self {
            Question::Boxes => TaskKind::Boxes,
            Question::Mask => TaskKind::Mask,
            Question::Count => TaskKind::Number,
        }
    }

    fn task(self, classes: &[String]) -> Task {
        let names: Vec<&str> = match self {
            Question::Boxes => classes.iter().map(String::as_str).collect(),
            Question::Mask => ["background"].into_iter().chain(classes.iter().map(String::as_str)).collect(),
            Question::Count => Vec::new(),
        };
        Task::new(self.name(), self.kind(), &names)
    }
}

/// An image file and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotated {
    /// The file.
    pub path: PathBuf,
    /// Height and width, as the annotation has them.
    pub size: [usize; 2],
    /// Its objects with their outlines, where they have one.
    pub objects: Vec<(Object, Option<Outline>)>,
}

/// How a data set is made of them.
#[derive(Debug, Clone)]
pub struct Options {
    /// Height and width of the canvas.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// What is asked.
    pub questions: Vec<Question>,
    /// What is done with images that cannot be read.
    pub on_error: OnError,
}

/// The images of a COCO file, which lie in `folder`.
pub fn of_instances(instances: &Instances, folder: &Path) -> Vec<Annotated> {
    let one = |entry: &super::coco::Entry| Annotated {
        path: folder.join(&entry.file),
        size: entry.size,
        objects: entry.objects.clone(),
    };
    instances.images.iter().map(one).collect()
}

/// A data set of `parts`, for training, validation and the test, whose objects' classes are `classes`.
///
/// # Errors
/// [`Error::Io`] and [`Error::Data`] for an image that cannot be read, or has another size than its annotation, unless
/// `options.on_error` says to skip it; [`Error::Invalid`] for a data set that cannot be learnt from ([`Dataset::check`]).
pub fn load(name: &str, classes: &[String], parts: [Vec<Annotated>; 3], options: &Options) -> Result<Dataset> {
    let tasks: Vec<Task> = options.questions.iter().map(|q| q.task(classes)).collect();
    // Before any image is read: a mask cannot number more classes than this allows.
    tasks.iter().try_for_each(Task::check)?;
    let mut skipped = Vec::new();
    let [train, val, test] = parts.map(|part| split(&part, options, &mut skipped));
    let (train, val, test) = (train?, val?, test?);
    let data = Dataset { name: name.into(), tasks, train, val, test, skipped };
    data.check()?;
    Ok(data)
}

/// One image on its canvas.
struct Placed {
    pixels: Vec<u8>,
    mask: Vec<u8>,
    objects: Vec<Object>,
}

fn split(part: &[Annotated], options: &Options, skipped: &mut Vec<Skipped>) -> Result<Split> {
    let mut images = Images::black(0, options.size, options.channels)?;
    let (mut masks, mut boxes) = (Vec::new(), Vec::new());
    for (annotated, placed) in part.iter().zip(in_parallel(part, |a| place(a, options))) {
        match placed {
            Ok(placed) => {
                images.pixels.extend(placed.pixels);
                masks.extend(placed.mask);
                boxes.push(placed.objects);
                images.count += 1;
            }
            Err(error) if options.on_error == OnError::Skip => {
                let reason = match error {
                    Error::Data { message, .. } => message,
                    other => other.to_string(),
                };
                skipped.push(Skipped { path: annotated.path.clone(), reason });
            }
            Err(error) => return Err(error),
        }
    }
    let answer = |question: &Question| match question {
        Question::Boxes => Labels::Boxes(boxes.iter().cloned().map(Some).collect()),
        Question::Mask => Labels::Mask(masks.clone()),
        Question::Count => {
            let count = |objects: &Vec<Object>| objects.iter().filter(|o| !o.ignored).count() as f32;
            Labels::Number(boxes.iter().map(count).collect())
        }
    };
    let labels = options.questions.iter().map(answer).collect();
    Ok(Split { images, labels })
}

fn place(annotated: &Annotated, options: &Options) -> Result<Placed> {
    let (pixels, found, boxed) = image::read_boxed(&annotated.path, options.size, options.channels)?;
    if found != annotated.size {
        let ([h, w], [ah, aw]) = (found, annotated.size);
        let message = format!("is {h}x{w}, its annotation says {ah}x{aw}; is it the image that was annotated?");
        return Err(Error::data(&annotated.path, "", message));
    }
    let wanted = options.questions.contains(&Question::Mask);
    let mask = if wanted { mask(annotated, &boxed) } else { Vec::new() };
    // An object that is smaller than a pixel of the canvas is still one.
    let scale = (boxed.inner[0] * boxed.inner[1]) as f32 / (found[0] * found[1]) as f32;
    let moved = |(object, _): &(Object, Option<Outline>)| {
        let rect = boxed.place(&object.rect).clipped(options.size);
        rect.is_proper().then_some(Object { rect, area: object.area * scale, ..*object })
    };
    Ok(Placed { pixels, mask, objects: annotated.objects.iter().filter_map(moved).collect() })
}

/// The class at each pixel of the canvas: background is 0, later objects lie on earlier ones, and what is known of an object by its
/// box alone is not judged.
fn mask(annotated: &Annotated, boxed: &Letterbox) -> Vec<u8> {
    let [h, w] = annotated.size;
    let mut mask = vec![0u8; h * w];
    for (object, outline) in &annotated.objects {
        match outline {
            Some(outline) => outline.pixels(annotated.size, |y, x| mask[y * w + x] = object.class as u8 + 1),
            None => {
                let rows = object.rect.y0.floor() as usize..(object.rect.y1.ceil() as usize).min(h);
                for y in rows {
                    let columns = object.rect.x0.floor() as usize..(object.rect.x1.ceil() as usize).min(w);
                    mask[y * w..][columns].fill(IGNORED);
                }
            }
        }
    }
    boxed.place_mask(&mask)
}

/// `of` every item, on all cores, in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], of: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else { break };
            let result = of(item);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((i, result));
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
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}
