//! Object detection: average precision as COCO and as Pascal VOC measure it.
//!
//! Both walk through the detections of a class from the surest to the least sure, call each right or wrong by its overlap with
//! the objects of its image, and average the precision over the recall. They differ in what they call right and in how they
//! average; numbers of one say nothing in the other.

mod coco;
mod confusion;
mod voc;

#[cfg(test)]
mod tests;

pub use coco::{CocoClass, CocoScores};
pub use voc::Interpolation;

pub use crate::geometry::Detection;
use crate::geometry::Rect;
use crate::{Error, Result};

/// An object that is in an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truth {
    /// Its box.
    pub rect: Rect,
    /// Its class.
    pub class: usize,
    /// Square pixels of the object itself, by which COCO tells small from large; that of the box where nothing else is known.
    pub area: f64,
    /// Need not be found, and finding it is no mistake: a crowd (COCO; then any number of detections within it are passed over)
    /// or a difficult object (VOC; then one is).
    pub ignored: bool,
}

impl Truth {
    /// An object that counts and fills its box.
    pub fn new(rect: Rect, class: usize) -> Self {
        Truth { rect, class, area: rect.area(), ignored: false }
    }
}

/// Objects and detections of a whole split, image by image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DetectionTally {
    classes: usize,
    images: Vec<(Vec<Truth>, Vec<Detection>)>,
}

impl DetectionTally {
    /// Of so many classes; no image yet.
    pub fn new(classes: usize) -> Self {
        DetectionTally { classes, images: Vec::new() }
    }

    /// Adds an image.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a class out of range, or a score or a box that is no number.
    pub fn add(&mut self, truths: Vec<Truth>, detections: Vec<Detection>) -> Result<()> {
        let finite = |r: &Rect| [r.x0, r.y0, r.x1, r.y1].iter().all(|v| v.is_finite());
        let classes = truths.iter().map(|t| t.class).chain(detections.iter().map(|d| d.class));
        if let Some(class) = classes.into_iter().find(|c| *c >= self.classes) {
            let n = self.classes;
            return Err(Error::Invalid(format!("an object of class {class}, where there are {n} classes")));
        }
        let sound = truths.iter().all(|t| finite(&t.rect) && t.area.is_finite())
            && detections.iter().all(|d| finite(&d.rect) && d.score.is_finite());
        if !sound {
            return Err(Error::Invalid("a box, an area or a score is not a finite number".into()));
        }
        self.images.push((truths, detections));
        Ok(())
    }

    /// Images so far.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no image yet.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The objects and detections of one class, image by image; detections from the surest to the least sure, those of one
    /// score in the order in which they were given.
    fn of_class(&self, class: usize) -> Vec<(Vec<&Truth>, Vec<&Detection>)> {
        self.images.iter().map(|(truths, detections)| pick(truths, detections, class)).collect()
    }
}

fn pick<'a>(truths: &'a [Truth], detections: &'a [Detection], class: usize) -> (Vec<&'a Truth>, Vec<&'a Detection>) {
    let truths = truths.iter().filter(|t| t.class == class).collect();
    let mut detections: Vec<&Detection> = detections.iter().filter(|d| d.class == class).collect();
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    (truths, detections)
}

/// Precision and recall after each detection, of which `hits` tells whether it is right; `total` objects are to be found.
pub(super) fn curve(hits: impl Iterator<Item = bool>, total: usize) -> (Vec<f64>, Vec<f64>) {
    let mut right = 0.0;
    hits.enumerate()
        .map(|(i, hit)| {
            right += f64::from(u8::from(hit));
            (right / (i + 1) as f64, right / total as f64)
        })
        .unzip()
}

/// The mean of what is there; `None` where nothing is.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f64)
}
