//! In-memory data sets: images as bytes, labels per task, three splits; where they come from (the embedded digits, files,
//! two sources on one canvas) and how they reach the training loop (seeded augmentation, a prefetching loader).
//!
//! The order is fixed by the types: a [`Dataset`] is always split already, and [`compose::compose`] takes data sets, so the
//! split happens before composing and no source image is in two splits. Statistics come from the training split alone.
//!
//! ```
//! use limbeck::data::{compose::{Pairing, Samples}, digits};
//!
//! let pairing = Pairing { canvas: [12, 12], samples: Samples { train: 600, val: 150, test: 250 }, seed: 0 };
//! let data = digits::load(&pairing, 0)?;
//! assert_eq!((data.tasks[0].name.as_str(), data.tasks[1].name.as_str()), ("first", "second"));
//! assert_eq!((data.train.len(), data.val.len(), data.test.len()), (600, 150, 250));
//! # Ok::<(), limbeck::Error>(())
//! ```

pub mod augment;
pub mod compose;
pub mod digits;
#[cfg(feature = "formats")]
pub mod formats;
mod labels;
pub mod letterbox;
pub mod loader;
mod originals;
pub mod scenes;
pub mod seed;
mod skipped;
#[cfg(feature = "train")]
pub mod sources;
pub mod split;

pub use labels::{IGNORED, Labels, MISSING, Object, Task, TaskKind, UNKNOWN};
pub use originals::{DepthMap, EvaluateOn, MaskRuns, OriginalLabels, Originals};
pub use skipped::{Fate, Skipped, SkippedGroup};

use crate::{Error, Result, hash};
use std::path::{Path, PathBuf};

/// Images of one size, 8 bits a channel, `[count, height, width, channels]` (NHWC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// `count * height * width * channels` bytes, row-major.
    pub pixels: Vec<u8>,
    /// Number of images.
    pub count: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
}

impl Images {
    /// `count` black images. An error, not an abort, when that much memory is not to be had.
    pub fn black(count: usize, [height, width]: [usize; 2], channels: usize) -> Result<Self> {
        let bytes = count.checked_mul(height).and_then(|v| v.checked_mul(width)).and_then(|v| v.checked_mul(channels));
        let mut pixels = Vec::new();
        let fits = u32::try_from(count).is_ok() && bytes.is_some_and(|b| pixels.try_reserve_exact(b).is_ok());
        if !fits {
            return Err(Error::Invalid(format!(
                "{count} images of {height}x{width}x{channels} do not fit in memory; use fewer or smaller images"
            )));
        }
        pixels.resize(bytes.unwrap_or(0), 0);
        Ok(Images { pixels, count, height, width, channels })
    }

    /// Bytes of one image: `height * width * channels`.
    pub fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The bytes of image `index`, `[height, width, channels]`. Panics when `index >= count`, as slices do.
    pub fn get(&self, index: usize) -> &[u8] {
        let len = self.image_len();
        &self.pixels[index * len..(index + 1) * len]
    }

    /// Copies of the images named, in that order. Panics on an index `>= count`, as slices do.
    pub fn gather(&self, indices: &[u32]) -> Images {
        let mut pixels = Vec::with_capacity(indices.len() * self.image_len());
        indices.iter().for_each(|&i| pixels.extend_from_slice(self.get(i as usize)));
        Images { pixels, count: indices.len(), ..*self }
    }

    fn fingerprint(&self, hash: u64) -> u64 {
        let shape = [self.count, self.height, self.width, self.channels];
        let hash = shape.iter().fold(hash, |h, &v| hash::extend(h, &(v as u64).to_le_bytes()));
        hash::extend(hash, &self.pixels)
    }
}

/// Images with their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// The images.
    pub images: Images,
    /// The answers to each task.
    pub labels: Vec<Labels>,
    /// The images' files, where each has one; empty where none has.
    pub files: Vec<PathBuf>,
    /// Where the images were put on a canvas: what they were before, in which what is found is measured.
    pub originals: Option<Originals>,
}

impl Split {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.images.count
    }

    /// Whether it holds no sample.
    pub fn is_empty(&self) -> bool {
        self.images.count == 0
    }

    /// What splits are stratified by: the first task's classes that names one of each image; all alike where none does.
    pub fn strata(&self) -> Vec<u32> {
        let classes = self.labels.iter().find(|l| l.kind() == TaskKind::Class);
        classes.map_or_else(|| vec![0; self.len()], |l| l.classes().to_vec())
    }

    /// The samples that have an answer to one of `tasks`, by number.
    pub fn labelled(&self, tasks: &[usize]) -> Vec<u32> {
        let pixels = self.images.height * self.images.width;
        let has = |sample: usize| tasks.iter().any(|t| self.labels[*t].has(sample, pixels));
        (0..self.len()).filter(|sample| has(*sample)).map(|sample| sample as u32).collect()
    }

    /// Copies of the samples named, in that order. Panics on an index out of range, as slices do.
    pub fn gather(&self, indices: &[u32]) -> Split {
        let labels = self.labels.iter().map(|l| l.gather(indices, self.images.height * self.images.width)).collect();
        let originals = self.originals.as_ref().map(|o| o.gather(indices));
        let files = indices.iter().filter_map(|i| self.files.get(*i as usize).cloned()).collect();
        Split { images: self.images.gather(indices), labels, files, originals }
    }

    /// The file of a sample, where it has one.
    pub fn file(&self, sample: usize) -> Option<&Path> {
        self.files.get(sample).map(PathBuf::as_path).filter(|path| !path.as_os_str().is_empty())
    }
}

/// How many samples of each split to keep; `None` keeps all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "train", derive(serde::Serialize))]
pub struct Limits {
    /// Training samples.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "Option::is_none"))]
    pub train: Option<usize>,
    /// Validation samples.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "Option::is_none"))]
    pub val: Option<usize>,
    /// Test samples.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "Option::is_none"))]
    pub test: Option<usize>,
}

impl Limits {
    /// Whether all is kept.
    pub fn is_none(&self) -> bool {
        *self == Limits::default()
    }
}

/// A data set, split, in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Its name, for tables.
    pub name: String,
    /// The tasks, in the order of `labels`.
    pub tasks: Vec<Task>,
    /// What the weights are fitted on.
    pub train: Split,
    /// What the best epoch is chosen on.
    pub val: Split,
    /// What is reported, and used for nothing else.
    pub test: Split,
    /// What was left out, or is incomplete.
    pub skipped: Vec<Skipped>,
}

impl Dataset {
    /// The three splits with their names.
    pub fn splits(&self) -> [(&'static str, &Split); 3] {
        [("train", &self.train), ("val", &self.val), ("test", &self.test)]
    }

    /// Refuses what later steps rely on never to meet: an empty split, splits of different image sizes, a label out of range or of
    /// another kind than its task, a split without any label for a task, a task of fewer than two classes. Every loader of this
    /// module ends here.
    pub fn check(&self) -> Result<()> {
        let bad = |m: String| Err(Error::Invalid(format!("data set {}: {m}", self.name)));
        let size = |i: &Images| [i.height, i.width, i.channels];
        if self.tasks.is_empty() {
            return bad("it has no task".into());
        }
        for task in &self.tasks {
            task.check().or_else(|e| bad(e.to_string()))?;
        }
        for (name, split) in self.splits() {
            let images = &split.images;
            if split.is_empty() {
                return bad(format!("the {name} split is empty; use more samples or another split fraction"));
            }
            if size(images) != size(&self.train.images) || images.image_len() == 0 {
                let (a, b) = (size(images), size(&self.train.images));
                return bad(format!(
                    "the images of the {name} split are {a:?} (height, width, channels), train's are {b:?}"
                ));
            }
            if images.pixels.len() != images.count * images.image_len() || split.labels.len() != self.tasks.len() {
                return bad(format!("the {name} split's buffers do not fit its {} images", images.count));
            }
            for (task, labels) in self.tasks.iter().zip(&split.labels) {
                labels.check(task, images).or_else(|e| bad(format!("{name}: {e}")))?;
            }
            if !split.files.is_empty() && split.files.len() != split.len() {
                return bad(format!(
                    "the {name} split has {} files for its {} images",
                    split.files.len(),
                    images.count
                ));
            }
            if let Some(originals) = &split.originals {
                originals.check(split).or_else(|e| bad(format!("{name}: {e}")))?;
            }
        }
        Ok(())
    }

    /// Mean and standard deviation (population) of each channel in units of 0..1, over the **training split only**. A channel
    /// that never varies gets standard deviation 1, so that dividing by it is harmless.
    pub fn channel_stats(&self) -> (Vec<f32>, Vec<f32>) {
        let images = &self.train.images;
        let channels = images.channels.max(1);
        // Exact integer sums: 2^64 / 255^2 is far more pixels than memory holds.
        let (mut sum, mut squares) = (vec![0u64; channels], vec![0u64; channels]);
        for pixel in images.pixels.chunks_exact(channels) {
            for (c, &v) in pixel.iter().enumerate() {
                sum[c] += u64::from(v);
                squares[c] += u64::from(v) * u64::from(v);
            }
        }
        let n = (images.pixels.len() / channels).max(1) as f64;
        let stats = sum.iter().zip(&squares).map(|(&s, &q)| {
            let mean = s as f64 / n;
            let var = (q as f64 / n - mean * mean).max(0.0);
            let std = if var > 0.0 { var.sqrt() / 255.0 } else { 1.0 };
            ((mean / 255.0) as f32, std as f32)
        });
        stats.unzip()
    }

    /// A 64-bit hash (FNV-1a) over the tasks, pixels and labels of all splits. A checkpoint carries it, so that a run is not
    /// resumed on other data. It guards against mistakes, not against forgery.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = hash::EMPTY;
        for task in &self.tasks {
            // The length after each name keeps ["ab", "c"] and ["a", "bc"] apart.
            for name in std::iter::once(&task.name).chain(&task.classes) {
                hash = hash::extend(hash::extend(hash, name.as_bytes()), &(name.len() as u64).to_le_bytes());
            }
            if task.kind != TaskKind::Class {
                hash = hash::extend(hash, task.kind.name().as_bytes());
            }
        }
        for (_, split) in self.splits() {
            hash = split.images.fingerprint(hash);
            hash = split.labels.iter().fold(hash, |hash, labels| labels.fingerprint(hash));
        }
        hash
    }

    /// Takes labels away from training samples, as if nobody had given them: each task keeps the given part of its labels. With
    /// `disjoint` no sample keeps more than one task's, as where data sets were made for one task each.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown task, a part that is not in 0..=1, or disjoint parts of more than 1 together.
    pub fn keep_labels(mut self, parts: &[(&str, f64)], disjoint: bool, seed: u64) -> Result<Self> {
        let sum: f64 = parts.iter().map(|(_, part)| part).sum();
        if parts.iter().any(|(_, part)| !(0.0..=1.0).contains(part)) || (disjoint && sum > 1.0 + 1e-9) {
            return Err(Error::Invalid(format!(
                "parts of labels {parts:?} must be from 0 to 1, disjoint ones together too"
            )));
        }
        let (n, pixels) = (self.train.len(), self.train.images.height * self.train.images.width);
        let mut first = 0;
        for (name, part) in parts {
            let Some(task) = self.tasks.iter().position(|t| t.name == *name) else {
                return Err(Error::Invalid(format!("the data has no task {name:?} to take labels from")));
            };
            let order = split::permutation(n, seed::derive(seed, if disjoint { "labels" } else { name }));
            let count = ((part * n as f64).round() as usize).min(n - first);
            let kept = first..first + count;
            for (_, &sample) in order.iter().enumerate().filter(|(place, _)| !kept.contains(place)) {
                self.train.labels[task].forget(sample as usize, pixels);
                if let Some(originals) = &mut self.train.originals {
                    originals.forget(task, sample as usize);
                }
            }
            first = if disjoint { first + count } else { 0 };
        }
        self.check()?;
        Ok(self)
    }

    /// The images of both, with the tasks of both: an image has no label for the other's tasks. For data sets that were made
    /// for one task each.
    ///
    /// # Errors
    /// [`Error::Invalid`] where images differ in size, or a task is in both.
    pub fn union(self, other: Dataset) -> Result<Self> {
        if let Some(task) = self.tasks.iter().find(|t| other.tasks.iter().any(|o| o.name == t.name)) {
            return Err(Error::Invalid(format!("two data sets have a task {:?}; give one another name", task.name)));
        }
        let join = |a: Split, b: Split| {
            let size = |i: &Images| [i.height, i.width, i.channels];
            if size(&a.images) != size(&b.images) {
                let (a, b) = (size(&a.images), size(&b.images));
                return Err(Error::Invalid(format!(
                    "images of {a:?} and {b:?} (height, width, channels) do not go together"
                )));
            }
            let (n, m, pixels) = (a.images.count, b.images.count, a.images.height * a.images.width);
            let originals = Originals::union(&a, &b)?;
            // Without a name where only the others have one.
            let own = |split: &Split| -> Vec<PathBuf> {
                (0..split.len()).map(|i| split.file(i).unwrap_or(Path::new("")).to_path_buf()).collect()
            };
            let named = !a.files.is_empty() || !b.files.is_empty();
            let files = if named { [own(&a), own(&b)].concat() } else { Vec::new() };
            let mut images = a.images;
            images.pixels.extend_from_slice(&b.images.pixels);
            images.count = n + m;
            let mut labels = a.labels;
            for own in &mut labels {
                own.extend(own.missing(m, pixels))?;
            }
            for other in b.labels {
                let mut all = other.missing(n, pixels);
                all.extend(other)?;
                labels.push(all);
            }
            Ok(Split { images, labels, files, originals })
        };
        let union = Dataset {
            name: self.name,
            tasks: self.tasks.into_iter().chain(other.tasks).collect(),
            train: join(self.train, other.train)?,
            val: join(self.val, other.val)?,
            test: join(self.test, other.test)?,
            skipped: self.skipped.into_iter().chain(other.skipped).collect(),
        };
        union.check()?;
        Ok(union)
    }

    /// At most so many samples of each split, chosen by `seed`, each class of the first task in proportion.
    pub fn limited(mut self, limits: &Limits, seed: u64) -> Result<Self> {
        let parts = [(&mut self.train, limits.train), (&mut self.val, limits.val), (&mut self.test, limits.test)];
        for ((split, limit), name) in parts.into_iter().zip(["train", "val", "test"]) {
            if let Some(limit) = limit.filter(|&l| l < split.len()) {
                let chosen = split::choose(&split.strata(), limit, seed::derive(seed, name));
                *split = split.gather(&chosen);
            }
        }
        self.check()?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
