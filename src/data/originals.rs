//! Images as they were before they were put on a canvas: where each lies on it, and the labels of its own pixels. Networks learn from the
//! canvas; what they find is measured in the image.

use super::letterbox::Letterbox;
use super::{IGNORED, Labels, Object, Split, TaskKind};
use crate::{Error, Result};
use std::path::PathBuf;

/// Of every sample of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Originals {
    /// Where each image lies on its canvas.
    pub places: Vec<Letterbox>,
    /// By task: the labels of the images' own pixels, of tasks that ask for places in the image.
    pub labels: Vec<Option<OriginalLabels>>,
}

/// The answers to one task in the images' own pixels, one a sample; `None` where nobody has looked.
#[derive(Debug, Clone, PartialEq)]
pub enum OriginalLabels {
    /// Objects.
    Boxes(Vec<Option<Vec<Object>>>),
    /// The class of each pixel.
    Mask(Vec<Option<MaskRuns>>),
    /// A number for each pixel, which stays in its file: maps of every image would take four times the memory of grey images.
    Depth(Vec<Option<DepthMap>>),
}

/// A depth map in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthMap {
    /// The file.
    pub path: PathBuf,
    /// Metres that a 1 in it stands for; what is usual for the format where absent.
    pub unit: Option<f32>,
}

/// The classes of an image's pixels, row by row, as runs: whole masks of every image would take the memory of the images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskRuns {
    classes: Vec<u8>,
    lengths: Vec<u32>,
}

impl MaskRuns {
    /// Of `[h, w]` classes, [`IGNORED`] where there is none.
    pub fn of(mask: &[u8]) -> Self {
        let (mut classes, mut lengths) = (Vec::new(), Vec::new());
        for run in mask.chunk_by(|a, b| a == b) {
            classes.push(run[0]);
            lengths.push(run.len() as u32);
        }
        MaskRuns { classes, lengths }
    }

    /// The runs: a class and how many pixels have it.
    pub fn iter(&self) -> impl Iterator<Item = (u8, usize)> {
        self.classes.iter().copied().zip(self.lengths.iter().map(|n| *n as usize))
    }

    /// Pixels.
    pub fn pixels(&self) -> usize {
        self.lengths.iter().map(|n| *n as usize).sum()
    }
}

impl OriginalLabels {
    fn samples(&self) -> usize {
        match self {
            OriginalLabels::Boxes(all) => all.len(),
            OriginalLabels::Mask(all) => all.len(),
            OriginalLabels::Depth(all) => all.len(),
        }
    }

    fn gather(&self, indices: &[u32]) -> Self {
        fn pick<T: Clone>(from: &[T], indices: &[u32]) -> Vec<T> {
            indices.iter().map(|i| from[*i as usize].clone()).collect()
        }
        match self {
            OriginalLabels::Boxes(all) => OriginalLabels::Boxes(pick(all, indices)),
            OriginalLabels::Mask(all) => OriginalLabels::Mask(pick(all, indices)),
            OriginalLabels::Depth(all) => OriginalLabels::Depth(pick(all, indices)),
        }
    }

    /// So many samples without an answer to the same task.
    fn missing(&self, samples: usize) -> Self {
        match self {
            OriginalLabels::Boxes(_) => OriginalLabels::Boxes(vec![None; samples]),
            OriginalLabels::Mask(_) => OriginalLabels::Mask(vec![None; samples]),
            OriginalLabels::Depth(_) => OriginalLabels::Depth(vec![None; samples]),
        }
    }

    fn extend(&mut self, other: Self) -> Result<()> {
        match (self, other) {
            (OriginalLabels::Boxes(a), OriginalLabels::Boxes(b)) => a.extend(b),
            (OriginalLabels::Mask(a), OriginalLabels::Mask(b)) => a.extend(b),
            (OriginalLabels::Depth(a), OriginalLabels::Depth(b)) => a.extend(b),
            _ => return Err(Error::Invalid("labels of boxes and of pixels cannot be joined".into())),
        }
        Ok(())
    }

    fn forget(&mut self, sample: usize) {
        match self {
            OriginalLabels::Boxes(all) => all[sample] = None,
            OriginalLabels::Mask(all) => all[sample] = None,
            OriginalLabels::Depth(all) => all[sample] = None,
        }
    }
}

impl Originals {
    /// Of images that were as large as their canvas.
    fn of_canvas(split: &Split) -> Self {
        let size = [split.images.height, split.images.width];
        let pixels = size[0] * size[1];
        let labels = split.labels.iter().map(|labels| match labels {
            Labels::Boxes(all) => Some(OriginalLabels::Boxes(all.clone())),
            Labels::Mask(all) => {
                let one = |mask: &[u8]| mask.iter().any(|c| *c != IGNORED).then(|| MaskRuns::of(mask));
                Some(OriginalLabels::Mask(all.chunks(pixels.max(1)).map(one).collect()))
            }
            _ => None,
        });
        let places = vec![Letterbox::new(size, size); split.len()];
        Originals { places, labels: labels.collect() }
    }

    /// Copies of the samples named, in that order. Panics on an index out of range, as slices do.
    pub fn gather(&self, indices: &[u32]) -> Self {
        Originals {
            places: indices.iter().map(|i| self.places[*i as usize]).collect(),
            labels: self.labels.iter().map(|labels| labels.as_ref().map(|l| l.gather(indices))).collect(),
        }
    }

    /// Takes a sample's answer to a task away.
    pub fn forget(&mut self, task: usize, sample: usize) {
        if let Some(Some(labels)) = self.labels.get_mut(task) {
            labels.forget(sample);
        }
    }

    /// Those of both splits, the second one's samples after the first one's, with the tasks of both; `None` where neither has any.
    ///
    /// # Errors
    /// Never, for splits whose originals fit them.
    pub(super) fn union(a: &Split, b: &Split) -> Result<Option<Self>> {
        if a.originals.is_none() && b.originals.is_none() {
            return Ok(None);
        }
        let own = |split: &Split| split.originals.clone().unwrap_or_else(|| Self::of_canvas(split));
        let (mut all, second) = (own(a), own(b));
        for labels in all.labels.iter_mut().flatten() {
            labels.extend(labels.missing(b.len()))?;
        }
        for labels in second.labels {
            let joined = labels.map(|labels| {
                let mut joined = labels.missing(a.len());
                joined.extend(labels).map(|()| joined)
            });
            all.labels.push(joined.transpose()?);
        }
        all.places.extend(second.places);
        Ok(Some(all))
    }

    /// Refuses those that do not fit the split's labels.
    pub(super) fn check(&self, split: &Split) -> Result<()> {
        let fits = |(own, labels): (&Option<OriginalLabels>, &Labels)| match own {
            Some(own) => {
                own.samples() == split.len()
                    && match own {
                        OriginalLabels::Boxes(_) => labels.kind() == TaskKind::Boxes,
                        OriginalLabels::Depth(_) => labels.kind() == TaskKind::Depth,
                        OriginalLabels::Mask(all) => {
                            let sound = |(mask, place): (&Option<MaskRuns>, &Letterbox)| {
                                mask.as_ref().is_none_or(|m| m.pixels() == place.from[0] * place.from[1])
                            };
                            labels.kind() == TaskKind::Mask && all.iter().zip(&self.places).all(sound)
                        }
                    }
            }
            None => true,
        };
        let whole = self.places.len() == split.len() && self.labels.len() == split.labels.len();
        if whole && self.labels.iter().zip(&split.labels).all(fits) {
            return Ok(());
        }
        Err(Error::Invalid("the labels in the images' own pixels do not fit those on the canvas".into()))
    }
}

/// In which pixels what is found in an image is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "train", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum EvaluateOn {
    /// The image's own, as other tools do.
    #[default]
    Image,
    /// Those of the canvas that the network sees.
    Canvas,
}

impl EvaluateOn {
    #[cfg(feature = "train")]
    pub(crate) fn is_image(&self) -> bool {
        *self == EvaluateOn::Image
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;
    use crate::geometry::Rect;

    fn split(labels: Vec<Labels>, originals: Option<Originals>) -> Split {
        Split { images: Images::black(2, [2, 2], 1).unwrap(), labels, files: Vec::new(), originals }
    }

    #[test]
    fn runs_hold_a_mask() {
        let runs = MaskRuns::of(&[1, 1, 1, IGNORED, 0, 0]);
        assert_eq!(runs.iter().collect::<Vec<_>>(), [(1, 3), (IGNORED, 1), (0, 2)]);
        assert_eq!((runs.pixels(), MaskRuns::of(&[]).pixels()), (6, 0));
    }

    #[test]
    fn what_is_joined_keeps_its_own_pixels() {
        let object = Object::new(Rect::from_size(0.0, 0.0, 4.0, 2.0), 0);
        let boxes = split(
            vec![Labels::Boxes(vec![Some(vec![object]), None])],
            Some(Originals {
                places: vec![Letterbox::new([4, 4], [2, 2]), Letterbox::new([2, 4], [2, 2])],
                labels: vec![Some(OriginalLabels::Boxes(vec![Some(vec![object]), None]))],
            }),
        );
        boxes.originals.as_ref().unwrap().check(&boxes).unwrap();
        let masks = split(vec![Labels::Mask(vec![0, 0, 1, 1, IGNORED, IGNORED, IGNORED, IGNORED])], None);
        let both = Originals::union(&boxes, &masks).unwrap().unwrap();
        assert_eq!(both.places.iter().map(|p| p.from).collect::<Vec<_>>(), [[4, 4], [2, 4], [2, 2], [2, 2]]);
        let seen = |labels: &Option<OriginalLabels>| match labels {
            Some(OriginalLabels::Boxes(all)) => all.iter().map(Option::is_some).collect::<Vec<_>>(),
            Some(OriginalLabels::Mask(all)) => all.iter().map(Option::is_some).collect(),
            Some(OriginalLabels::Depth(all)) => all.iter().map(Option::is_some).collect(),
            None => Vec::new(),
        };
        let all: Vec<Vec<bool>> = both.labels.iter().map(seen).collect();
        assert_eq!(all, [[true, false, false, false], [false, false, true, false]]);
        let mut one = both.gather(&[2]);
        assert_eq!(one.labels.iter().map(seen).collect::<Vec<_>>(), [[false], [true]]);
        one.forget(1, 0);
        assert_eq!(seen(&one.labels[1]), [false]);
        assert_eq!(Originals::union(&masks, &masks).unwrap(), None);
        assert!(both.check(&boxes).is_err());
    }
}
