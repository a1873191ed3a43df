//! What a run's data are, counted: images, labels, and what was skipped. Shown before any work starts, and kept as `data.json`.

mod text;

use std::collections::HashMap;

use serde::Serialize;

use crate::data::sources::Source;
use crate::data::{Dataset, Labels, Object, SkippedGroup, Split, Task, TaskKind};
use crate::{Error, Result};

/// A data set in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Version of this form: 1.
    pub schema: u32,
    /// The data set's name.
    pub name: String,
    /// Height, width and channels of an image, as the networks see it.
    pub image: [usize; 3],
    /// Images.
    pub images: PerSplit<usize>,
    /// The tasks, in the order of the data.
    pub tasks: Vec<TaskOverview>,
    /// What is not as the configuration asks for, in words.
    pub notes: Vec<String>,
    /// What was left out, is incomplete, or is not named by the table or the annotations, by reason.
    pub skipped: Vec<SkippedGroup>,
}

/// One value for each split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PerSplit<T> {
    /// Of the training split.
    pub train: T,
    /// Of the validation split.
    pub val: T,
    /// Of the test split.
    pub test: T,
}

impl<T> PerSplit<T> {
    /// The value of each split of `data`.
    pub fn of(data: &Dataset, value: impl Fn(&Split) -> T) -> Self {
        PerSplit { train: value(&data.train), val: value(&data.val), test: value(&data.test) }
    }

    /// The values with the splits' names.
    pub fn named(&self) -> [(&'static str, &T); 3] {
        [("train", &self.train), ("val", &self.val), ("test", &self.test)]
    }
}

/// The labels of one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskOverview {
    /// The task.
    pub name: String,
    /// What kind of answer it asks for.
    pub kind: TaskKind,
    /// Its labels.
    pub labels: PerSplit<TaskLabels>,
}

/// The labels of one task in one split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskLabels {
    /// Images that have a label, or one for some of their attributes or pixels.
    pub images: usize,
    /// What the labels are.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Labels of a kind of task, counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Counts {
    /// Images by class.
    Classes {
        /// In the order of the classes.
        classes: Vec<NameCount>,
    },
    /// Answers by attribute.
    Attributes {
        /// In the order of the attributes.
        attributes: Vec<YesNo>,
    },
    /// Numbers, of images or of pixels.
    Numbers {
        /// Those that are known.
        known: u64,
        /// The least of them.
        min: Option<f64>,
        /// Their mean.
        mean: Option<f64>,
        /// The largest.
        max: Option<f64>,
    },
    /// Pixels by class.
    Pixels {
        /// Pixels of the images that have a label.
        pixels: u64,
        /// Those that have a class.
        classed: u64,
        /// In the order of the classes.
        classes: Vec<NameCount>,
    },
    /// Objects by class.
    Objects {
        /// Objects that count.
        objects: u64,
        /// Crowds and difficult ones, which neither teach nor count.
        ignored: u64,
        /// Images known to have no object that counts.
        images_without: u64,
        /// In the order of the classes, without what is ignored.
        classes: Vec<NameCount>,
    },
}

/// How often a class occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameCount {
    /// Its name.
    pub name: String,
    /// Images, pixels or objects of it.
    pub count: u64,
}

/// How often an attribute holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct YesNo {
    /// Its name.
    pub name: String,
    /// Images that have it.
    pub yes: u64,
    /// Images that have it not.
    pub no: u64,
}

impl Overview {
    /// Counts a data set that came from `source`.
    pub fn of(data: &Dataset, source: &Source) -> Self {
        let images = &data.train.images;
        let task = |(k, task): (usize, &Task)| TaskOverview {
            name: task.name.clone(),
            kind: task.kind,
            labels: PerSplit::of(data, |split| TaskLabels::of(task, &split.labels[k], split)),
        };
        Overview {
            schema: 1,
            name: data.name.clone(),
            image: [images.height, images.width, images.channels],
            images: PerSplit::of(data, Split::len),
            tasks: data.tasks.iter().enumerate().map(task).collect(),
            notes: limits(data, source).into_iter().chain(repeated(data)).collect(),
            skipped: SkippedGroup::all(&data.skipped).0,
        }
    }

    /// The text of `data.json`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it holds what JSON cannot.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::Invalid(format!("the data's overview cannot be written as JSON: {e}")))?;
        Ok(text + "\n")
    }
}

/// Limits that are larger than what there is.
fn limits(data: &Dataset, source: &Source) -> Vec<String> {
    let limit = source.limit();
    // Every folder of a task of its own has the limit for itself.
    let folders = source.folders();
    let told = |((name, split), limit): ((&str, &Split), Option<usize>)| {
        let limit = limit.filter(|limit| split.len() < limit * folders)?;
        let each = if folders > 1 { format!(" for each of {folders} folders") } else { String::new() };
        Some(format!("data.limit.{name} is {limit}{each}, but the {name} split has {} images", split.len()))
    };
    data.splits().into_iter().zip([limit.train, limit.val, limit.test]).filter_map(told).collect()
}

/// Images of validation and test that training has, too, whatever their files are called: what is measured on them was learnt.
fn repeated(data: &Dataset) -> Vec<String> {
    let pixels = |split: &Split| split.images.pixels.len().checked_div(split.len()).unwrap_or(0).max(1);
    let (train, each) = (&data.train, pixels(&data.train));
    let mut known: HashMap<&[u8], usize> = HashMap::with_capacity(train.len());
    for (sample, image) in train.images.pixels.chunks_exact(each).enumerate() {
        known.entry(image).or_insert(sample);
    }
    let name = |split: &Split, sample: usize| match split.file(sample) {
        Some(path) => path.display().to_string(),
        None => format!("image {}", sample + 1),
    };
    let told = |(called, split): (&str, &Split)| {
        if pixels(split) != each {
            return None;
        }
        let own = split.images.pixels.chunks_exact(each).enumerate();
        let both: Vec<(usize, usize)> = own.filter_map(|(sample, image)| Some((sample, *known.get(image)?))).collect();
        let (own, learnt) = both.first()?;
        let (n, is) =
            if both.len() == 1 { ("1 image".into(), "is") } else { (format!("{} images", both.len()), "are") };
        let [a, b] = [name(split, *own), name(train, *learnt)];
        Some(format!("{n} of the {called} split {is} in training, too, pixel for pixel, such as {a} ({b} there)"))
    };
    data.splits().into_iter().skip(1).filter_map(told).collect()
}

impl TaskLabels {
    fn of(task: &Task, labels: &Labels, split: &Split) -> Self {
        let size = split.images.height * split.images.width;
        let images = (0..split.len()).filter(|sample| labels.has(*sample, size)).count();
        let named = |counts: &[u64]| {
            let pairs = task.classes.iter().zip(counts);
            pairs.map(|(name, count)| NameCount { name: name.clone(), count: *count }).collect::<Vec<_>>()
        };
        let frequencies = labels.frequencies(task.classes.len());
        let counts = match labels {
            Labels::Class(_) => Counts::Classes { classes: named(&frequencies) },
            Labels::Mask(_) => Counts::Pixels {
                pixels: (images * size) as u64,
                classed: frequencies.iter().sum(),
                classes: named(&frequencies),
            },
            Labels::Attributes { count, .. } => {
                let (yes, no) = frequencies.split_at(*count);
                let of = |((name, yes), no): ((&String, &u64), &u64)| YesNo { name: name.clone(), yes: *yes, no: *no };
                Counts::Attributes { attributes: task.classes.iter().zip(yes).zip(no).map(of).collect() }
            }
            Labels::Number(values) | Labels::Depth(values) => numbers(values),
            Labels::Boxes(all) => {
                let mut counts = vec![0; task.classes.len()];
                let objects = || all.iter().flatten().flatten();
                for object in objects().filter(|o| !o.ignored) {
                    if let Some(count) = counts.get_mut(object.class as usize) {
                        *count += 1;
                    }
                }
                let empty = |image: &&Vec<Object>| image.iter().all(|o| o.ignored);
                Counts::Objects {
                    objects: counts.iter().sum(),
                    ignored: objects().filter(|o| o.ignored).count() as u64,
                    images_without: all.iter().flatten().filter(empty).count() as u64,
                    classes: named(&counts),
                }
            }
        };
        TaskLabels { images, counts }
    }
}

fn numbers(values: &[f32]) -> Counts {
    let known = || values.iter().filter(|y| !y.is_nan()).map(|y| f64::from(*y));
    let count = known().count();
    Counts::Numbers {
        known: count as u64,
        min: known().reduce(f64::min),
        mean: (count > 0).then(|| known().sum::<f64>() / count as f64),
        max: known().reduce(f64::max),
    }
}

#[cfg(test)]
mod tests;
