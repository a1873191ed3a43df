//! What is asked of an image, and the answers.

mod check;

use super::augment::Draw;
use crate::geometry::Rect;
use crate::{Error, Result};

/// The class of a sample that has none for the task at hand: it takes no part in a loss on labels or in a metric.
pub const MISSING: u32 = u32::MAX;

/// The class of a pixel that has none, in a mask.
pub const IGNORED: u8 = 255;

/// The answer to a question about an attribute that nobody has answered.
pub const UNKNOWN: f32 = -1.0;

/// The part of an object's box that an augmented image must show at least for the object to count (Ultralytics' `area_thr`).
const SLIVER: f64 = 0.1;

/// What kind of answer a task asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "train", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum TaskKind {
    /// One of several classes.
    Class,
    /// Several questions, yes or no each.
    Attributes,
    /// A number.
    Number,
    /// A class of every pixel (semantic segmentation).
    Mask,
    /// A number for every pixel.
    Depth,
    /// Objects: a box and a class each (detection).
    Boxes,
}

impl TaskKind {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            TaskKind::Class => "class",
            TaskKind::Attributes => "attributes",
            TaskKind::Number => "number",
            TaskKind::Mask => "mask",
            TaskKind::Depth => "depth",
            TaskKind::Boxes => "boxes",
        }
    }

    /// Whether the answer belongs to places in the image, and moves with them.
    pub fn is_spatial(self) -> bool {
        matches!(self, TaskKind::Mask | TaskKind::Depth | TaskKind::Boxes)
    }

    /// Whether the answer is a number rather than a choice among names.
    pub fn is_numeric(self) -> bool {
        matches!(self, TaskKind::Number | TaskKind::Depth)
    }

    /// Names that such a task needs at least.
    fn fewest_names(self) -> usize {
        match self {
            TaskKind::Class | TaskKind::Mask => 2,
            TaskKind::Attributes | TaskKind::Boxes => 1,
            TaskKind::Number | TaskKind::Depth => 0,
        }
    }
}

/// One question asked of every image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name in configuration, tables and file names.
    pub name: String,
    /// What kind of answer it asks for.
    pub kind: TaskKind,
    /// The names of its classes or attributes, by which labels are numbered; none for numbers.
    pub classes: Vec<String>,
    /// Whether a mirrored image keeps its label. What belongs to places in the image always moves with them.
    pub flip: bool,
    /// Whether a part of an image keeps its label; a number of things, say, may become smaller.
    pub crop: bool,
    /// Whether its numbers count things: then no answer is below 0.
    pub counts: bool,
}

impl Task {
    /// A task that names one of `classes`; mirroring may change the answer.
    pub fn class(name: impl Into<String>, classes: Vec<String>) -> Self {
        Task { name: name.into(), kind: TaskKind::Class, classes, flip: false, crop: true, counts: false }
    }

    /// A task of another kind, whose answer survives or follows mirroring, and, unless it is a number, cropping.
    pub fn new(name: impl Into<String>, kind: TaskKind, classes: &[&str]) -> Self {
        let classes = classes.iter().map(|c| c.to_string()).collect();
        Task { name: name.into(), kind, classes, flip: true, crop: kind != TaskKind::Number, counts: false }
    }

    /// A task that asks how many things there are.
    pub fn count(name: impl Into<String>) -> Self {
        Task { counts: true, ..Task::new(name, TaskKind::Number, &[]) }
    }

    /// Refuses a task without the names it needs.
    pub(super) fn check(&self) -> Result<()> {
        let (n, kind, fewest) = (self.classes.len(), self.kind.name(), self.kind.fewest_names());
        if n < fewest {
            return Err(Error::Invalid(match self.kind {
                TaskKind::Class => {
                    format!("task {:?} has {n} class(es); classification needs at least two", self.name)
                }
                _ => format!("task {:?} of kind {kind} has {n} name(s) and needs at least {fewest}", self.name),
            }));
        }
        if self.kind == TaskKind::Mask && n > usize::from(IGNORED) {
            return Err(Error::Invalid(format!("task {:?} has {n} classes; a mask tells {IGNORED} apart", self.name)));
        }
        if self.kind.is_numeric() && n > 0 {
            return Err(Error::Invalid(format!("task {:?} asks for a number and has {n} class names", self.name)));
        }
        Ok(())
    }
}

/// An object in an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    /// Its box.
    pub rect: Rect,
    /// Its class.
    pub class: u32,
    /// Square pixels of the object itself; of its box where nothing else is known.
    pub area: f32,
    /// A crowd, or difficult: is not learnt from, and need not be found.
    pub ignored: bool,
}

impl Object {
    /// An object that fills its box and counts.
    pub fn new(rect: Rect, class: u32) -> Self {
        Object { rect, class, area: rect.area() as f32, ignored: false }
    }

    /// The object of an image that lies on `tile` of the canvas, as `draw` shows it in an image of `size`. Where other images lie beside
    /// it, the tile's edges cut it.
    fn moved(&self, draw: &Draw, tile: &Rect, size: [usize; 2]) -> Option<Object> {
        let whole = self.rect.shifted(tile.x0, tile.y0);
        let there = if draw.mosaic.is_some() { whole.within(tile) } else { whole };
        let rect = draw.moves(&there, size).filter(|_| there.is_proper())?;
        // As much of the object is left as of its box.
        let left = rect.area() / draw.shown(&whole, size).area();
        let area = (f64::from(self.area) * draw.magnification() * left) as f32;
        Some(Object { rect, area, ignored: self.ignored || left < SLIVER, ..*self })
    }
}

/// The answers to one task for every sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// `[n]`, [`MISSING`] where there is none.
    Class(Vec<u32>),
    /// `[n, attributes]`, each from 0 (no) to 1 (yes), or [`UNKNOWN`].
    Attributes {
        /// Attributes of a sample.
        count: usize,
        /// All answers.
        answers: Vec<f32>,
    },
    /// `[n]`, NaN where there is none.
    Number(Vec<f32>),
    /// `[n, h, w]`, [`IGNORED`] where there is none.
    Mask(Vec<u8>),
    /// `[n, h, w]`, NaN where there is none.
    Depth(Vec<f32>),
    /// `[n]`, `None` where nobody has looked; an empty list says that there is nothing.
    Boxes(Vec<Option<Vec<Object>>>),
}

impl Labels {
    /// The kind of task they answer.
    pub fn kind(&self) -> TaskKind {
        match self {
            Labels::Class(_) => TaskKind::Class,
            Labels::Attributes { .. } => TaskKind::Attributes,
            Labels::Number(_) => TaskKind::Number,
            Labels::Mask(_) => TaskKind::Mask,
            Labels::Depth(_) => TaskKind::Depth,
            Labels::Boxes(_) => TaskKind::Boxes,
        }
    }

    /// The classes of the samples; empty where the task does not name one of each image.
    pub fn classes(&self) -> &[u32] {
        match self {
            Labels::Class(classes) => classes,
            _ => &[],
        }
    }

    /// `count` samples of `pixels` pixels without an answer to a task of the same kind.
    pub fn missing(&self, samples: usize, pixels: usize) -> Labels {
        match self {
            Labels::Class(_) => Labels::Class(vec![MISSING; samples]),
            Labels::Attributes { count, .. } => {
                Labels::Attributes { count: *count, answers: vec![UNKNOWN; samples * count] }
            }
            Labels::Number(_) => Labels::Number(vec![f32::NAN; samples]),
            Labels::Mask(_) => Labels::Mask(vec![IGNORED; samples * pixels]),
            Labels::Depth(_) => Labels::Depth(vec![f32::NAN; samples * pixels]),
            Labels::Boxes(_) => Labels::Boxes(vec![None; samples]),
        }
    }

    /// Copies of the samples named, in that order. Panics on an index out of range, as slices do.
    pub fn gather(&self, indices: &[u32], pixels: usize) -> Labels {
        fn pick<T: Clone>(from: &[T], indices: &[u32], width: usize) -> Vec<T> {
            let mut to = Vec::with_capacity(indices.len() * width);
            indices.iter().for_each(|&i| to.extend_from_slice(&from[i as usize * width..(i as usize + 1) * width]));
            to
        }
        match self {
            Labels::Class(v) => Labels::Class(pick(v, indices, 1)),
            Labels::Attributes { count, answers } => {
                Labels::Attributes { count: *count, answers: pick(answers, indices, *count) }
            }
            Labels::Number(v) => Labels::Number(pick(v, indices, 1)),
            Labels::Mask(v) => Labels::Mask(pick(v, indices, pixels)),
            Labels::Depth(v) => Labels::Depth(pick(v, indices, pixels)),
            Labels::Boxes(v) => Labels::Boxes(pick(v, indices, 1)),
        }
    }

    /// These samples followed by `other`'s, of the same kind.
    ///
    /// # Errors
    /// [`Error::Invalid`] for labels of another kind.
    pub fn extend(&mut self, other: Labels) -> Result<()> {
        match (self, other) {
            (Labels::Class(a), Labels::Class(b)) => a.extend(b),
            (Labels::Attributes { count, answers }, Labels::Attributes { count: c, answers: b }) if *count == c => {
                answers.extend(b);
            }
            (Labels::Number(a), Labels::Number(b)) | (Labels::Depth(a), Labels::Depth(b)) => a.extend(b),
            (Labels::Mask(a), Labels::Mask(b)) => a.extend(b),
            (Labels::Boxes(a), Labels::Boxes(b)) => a.extend(b),
            (a, b) => {
                let (a, b) = (a.kind().name(), b.kind().name());
                return Err(Error::Invalid(format!("labels of kind {a} and {b} cannot be joined")));
            }
        }
        Ok(())
    }

    /// Moves boxes as the augmentation `draws`, one a row of the batch, moves images of `[height, width]`: one that is clipped to
    /// nothing is dropped, and one of which little is left is ignored. In a mosaic that shows an image nobody has looked at, nobody has.
    /// The GPU moves what belongs to pixels, and the rest stays.
    pub fn augmented(self, draws: &[Draw], size: [usize; 2]) -> Labels {
        let Labels::Boxes(all) = self else { return self };
        let seen = |(row, draw): (usize, &Draw)| {
            let mut objects = Vec::new();
            for (row, tile) in draw.tiles(row, all.len(), size) {
                objects.extend(all[row].as_ref()?.iter().filter_map(|object| object.moved(draw, &tile, size)));
            }
            Some(objects)
        };
        Labels::Boxes(draws.iter().enumerate().take(all.len()).map(seen).collect())
    }

    /// Takes a sample's answer away.
    pub fn forget(&mut self, sample: usize, pixels: usize) {
        let none = self.missing(1, pixels);
        match (self, none) {
            (Labels::Class(a), Labels::Class(b)) => a[sample] = b[0],
            (Labels::Attributes { count, answers }, Labels::Attributes { answers: b, .. }) => {
                answers[sample * *count..(sample + 1) * *count].copy_from_slice(&b);
            }
            (Labels::Number(a), Labels::Number(b)) => a[sample] = b[0],
            (Labels::Mask(a), Labels::Mask(b)) => a[sample * pixels..(sample + 1) * pixels].copy_from_slice(&b),
            (Labels::Depth(a), Labels::Depth(b)) => a[sample * pixels..(sample + 1) * pixels].copy_from_slice(&b),
            (Labels::Boxes(a), _) => a[sample] = None,
            _ => {}
        }
    }

    /// Whether the sample of `pixels` pixels has an answer, or one of its attributes or pixels has.
    pub fn has(&self, sample: usize, pixels: usize) -> bool {
        let own = |width: usize| sample * width..(sample + 1) * width;
        match self {
            Labels::Class(v) => v[sample] != MISSING,
            Labels::Attributes { count, answers } => answers[own(*count)].iter().any(|a| *a >= 0.0),
            Labels::Number(v) => !v[sample].is_nan(),
            Labels::Mask(v) => v[own(pixels)].iter().any(|l| *l != IGNORED),
            Labels::Depth(v) => v[own(pixels)].iter().any(|y| !y.is_nan()),
            Labels::Boxes(v) => v[sample].is_some(),
        }
    }

    /// Whether no sample has an answer.
    pub fn all_missing(&self) -> bool {
        match self {
            Labels::Class(v) => v.iter().all(|l| *l == MISSING),
            Labels::Attributes { answers, .. } => answers.iter().all(|a| *a < 0.0),
            Labels::Number(v) | Labels::Depth(v) => v.iter().all(|y| y.is_nan()),
            Labels::Mask(v) => v.iter().all(|l| *l == IGNORED),
            Labels::Boxes(v) => v.iter().all(Option::is_none),
        }
    }

    /// Objects of an image at most; 0 where the task asks for none.
    pub fn most_objects(&self) -> usize {
        match self {
            Labels::Boxes(all) => all.iter().flatten().map(Vec::len).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// How often each of `classes` classes is the answer, of images or of pixels; of attributes how often each holds, then how often
    /// each does not; empty for other kinds.
    pub fn frequencies(&self, classes: usize) -> Vec<u64> {
        let mut counts = vec![0; classes];
        let mut count = |class: usize| {
            if let Some(count) = counts.get_mut(class) {
                *count += 1;
            }
        };
        match self {
            Labels::Class(v) => v.iter().for_each(|l| count(*l as usize)),
            Labels::Mask(v) => v.iter().filter(|l| **l != IGNORED).for_each(|l| count(usize::from(*l))),
            Labels::Attributes { count, answers } => {
                let mut counts = vec![0; 2 * count];
                for (i, answer) in answers.iter().enumerate().filter(|(_, a)| **a >= 0.0) {
                    counts[i % count + if *answer > 0.5 { 0 } else { *count }] += 1;
                }
                return counts;
            }
            _ => return Vec::new(),
        }
        counts
    }

    /// Mean and standard deviation (population) of the numbers that are there; 0 and 1 where there are none or all are equal, so
    /// that dividing is harmless.
    pub fn moments(&self) -> (f32, f32) {
        let (Labels::Number(values) | Labels::Depth(values)) = self else { return (0.0, 1.0) };
        let known = || values.iter().filter(|y| !y.is_nan()).map(|y| f64::from(*y));
        let n = known().count();
        if n == 0 {
            return (0.0, 1.0);
        }
        let mean = known().sum::<f64>() / n as f64;
        let std = (known().map(|y| (y - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        (mean as f32, if std > 0.0 { std as f32 } else { 1.0 })
    }
}

#[cfg(test)]
mod tests;
