//! Each image of a split with its labels and what a network says of it.

use std::path::{Path, PathBuf};

use crate::config::EvaluateOn;
use crate::data::formats::depth_map;
use crate::data::letterbox::Letterbox;
use crate::data::loader::Batch;
use crate::data::{Labels, Object, OriginalLabels, Split, Task};
use crate::geometry::Rect;
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::nn::boxes::NmsConfig;
use crate::tasks::{Reading, TaskOutput, rules};
use crate::tensor::Tensor;
use crate::train::inputs::Inputs;
use crate::{Error, Result};

/// An image of a split that is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredImage<'a> {
    /// The network: `distilled`, `teacher/<task>`, ….
    pub model: &'a str,
    /// The seed it was trained with.
    pub seed: u64,
    /// `train`, `val` or `test`.
    pub split: &'a str,
    /// In which pixels boxes, masks and depths are, those of labels and those of answers.
    pub evaluate_on: EvaluateOn,
    /// Its place in the split, from 0 on.
    pub number: usize,
    /// Its file below `data.root` with `/` between the parts, or the whole path of a file that lies elsewhere: what `[data.members]` takes.
    /// `None` where images are not read from files one by one.
    pub path: Option<String>,
    /// Height and width of these pixels.
    pub size: [usize; 2],
    /// The network's tasks, in the order of its heads.
    pub tasks: Vec<AnsweredTask<'a>>,
}

/// One task of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredTask<'a> {
    /// The task.
    pub task: &'a Task,
    /// What the data say; `None` where they say nothing.
    pub label: Option<TaskLabel>,
    /// What the network says.
    pub answer: TaskOutput,
}

/// What the data say of an image about one task, by the task's kind.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskLabel {
    /// The class.
    Class(String),
    /// Every attribute, and whether it holds, where that is known.
    Attributes(Vec<(String, Option<bool>)>),
    /// The number.
    Number(f32),
    /// The class of each pixel, `[h, w]`, [`IGNORED`](crate::data::IGNORED) where it has none.
    Mask(Vec<u8>),
    /// The number of each pixel, `[h, w]`, NaN where it is not known.
    Depth(Vec<f32>),
    /// The objects.
    Boxes(Vec<LabelledObject>),
}

/// An object as the data have it.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledObject {
    /// Its class.
    pub label: String,
    /// Its class by number.
    pub class: usize,
    /// Its box.
    pub rect: Rect,
    /// Its area in square pixels.
    pub area: f32,
    /// Whether it is a crowd, or difficult: it neither teaches nor counts.
    pub ignored: bool,
}

/// Is told of each image.
pub type EachImage<'a> = &'a mut dyn FnMut(&AnsweredImage) -> Result<()>;

/// A network's answers on their way to whom they are told.
pub(super) struct Telling<'a> {
    pub gpu: &'a Gpu,
    pub inputs: &'a Inputs,
    pub split: &'a Split,
    /// The data's tasks, by the network's heads.
    pub heads: &'a [usize],
    /// Where the data's paths begin.
    pub root: &'a Path,
    pub model: &'a str,
    pub seed: u64,
    pub name: &'a str,
}

impl Telling<'_> {
    /// Tells of the images of a batch, of which the heads say `said`.
    pub(super) fn batch(&self, batch: &Batch, said: &[Tensor], levels: &[Level], each: EachImage) -> Result<()> {
        let [h, w, _] = self.inputs.image();
        let answers = |(head, said): (&usize, &Tensor)| {
            let target = &self.inputs.targets[*head];
            let (moments, counts) = (target.moments, target.task.counts);
            let keep = NmsConfig::default();
            let reading = Reading { classes: &target.task.classes, moments, counts, size: [h, w], levels, keep };
            Ok(rules(target.task.kind).decode(self.gpu, said, &reading)?.into_iter())
        };
        let mut answers = self.heads.iter().zip(said).map(answers).collect::<Result<Vec<_>>>()?;
        let originals = self.split.originals.as_ref().filter(|_| self.inputs.evaluate_on == EvaluateOn::Image);
        for sample in batch.indices.iter().take(batch.valid).map(|i| *i as usize) {
            let place = originals.map(|originals| &originals.places[sample]);
            let task = |(head, answers): (&usize, &mut std::vec::IntoIter<TaskOutput>)| {
                let task = &self.inputs.tasks[*head];
                let no_answer = || Error::Shape(format!("task {:?}: fewer answers than images", task.name));
                let answer = answers.next().ok_or_else(no_answer)?;
                let own = originals.and_then(|originals| originals.labels[*head].as_ref());
                let label = match (own, place) {
                    (Some(own), Some(place)) => original_label(task, own, sample, place)?,
                    _ => canvas_label(task, &self.split.labels[*head], sample, h * w),
                };
                let answer = match place {
                    Some(place) => answer.back(place),
                    None => answer,
                };
                Ok(AnsweredTask { task, label, answer })
            };
            let tasks = self.heads.iter().zip(&mut answers).map(task).collect::<Result<_>>()?;
            each(&AnsweredImage {
                model: self.model,
                seed: self.seed,
                split: self.name,
                evaluate_on: self.inputs.evaluate_on,
                number: sample,
                path: self.split.file(sample).map(|path| name_of(self.root, path)),
                size: place.map_or([h, w], |place| place.from),
                tasks,
            })?;
        }
        Ok(())
    }
}

/// What lists of members call a file of data that lie below `root`.
fn name_of(root: &Path, path: &Path) -> String {
    match path.strip_prefix(root) {
        Ok(below) => below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"),
        Err(_) => std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)).to_string_lossy().into_owned(),
    }
}

fn objects(task: &Task, all: &[Object]) -> TaskLabel {
    let one = |object: &Object| {
        let class = object.class as usize;
        let label = task.classes.get(class).cloned().unwrap_or_default();
        LabelledObject { label, class, rect: object.rect, area: object.area, ignored: object.ignored }
    };
    TaskLabel::Boxes(all.iter().map(one).collect())
}

/// The label in the image's own pixels.
fn original_label(task: &Task, own: &OriginalLabels, sample: usize, place: &Letterbox) -> Result<Option<TaskLabel>> {
    Ok(match own {
        OriginalLabels::Boxes(all) => all[sample].as_ref().map(|all| objects(task, all)),
        OriginalLabels::Mask(all) => all[sample].as_ref().map(|runs| {
            TaskLabel::Mask(runs.iter().flat_map(|(class, length)| std::iter::repeat_n(class, length)).collect())
        }),
        OriginalLabels::Depth(all) => match &all[sample] {
            Some(map) => Some(TaskLabel::Depth(depth_map::read(&map.path, map.unit, place.from)?)),
            None => None,
        },
    })
}

/// The label as the network learns it; `pixels` of the canvas.
fn canvas_label(task: &Task, labels: &Labels, sample: usize, pixels: usize) -> Option<TaskLabel> {
    if !labels.has(sample, pixels) {
        return None;
    }
    let own = sample * pixels..(sample + 1) * pixels;
    Some(match labels {
        Labels::Class(all) => TaskLabel::Class(task.classes.get(all[sample] as usize)?.clone()),
        Labels::Attributes { count, answers } => {
            let answers = answers[sample * count..(sample + 1) * count].iter();
            let known = answers.map(|a| (*a >= 0.0).then_some(*a > 0.5));
            TaskLabel::Attributes(task.classes.iter().cloned().zip(known).collect())
        }
        Labels::Number(all) => TaskLabel::Number(all[sample]),
        Labels::Mask(all) => TaskLabel::Mask(all[own].to_vec()),
        Labels::Depth(all) => TaskLabel::Depth(all[own].to_vec()),
        Labels::Boxes(all) => objects(task, all[sample].as_ref()?),
    })
}
