//! The kinds of tasks, one file each: how labels reach the GPU, the head, the losses on labels, how a head's output is read, and the metric.
//!
//! A new kind is a file with an implementation of `Rules`, a row in `rules`, and its form of labels in [`crate::data::Labels`].

mod attributes;
mod boxes;
mod class;
mod config;
mod depth;
mod mask;
mod matrix;
mod number;
mod objective;
mod output;
mod tally;
mod target;

pub use config::{Balanced, ClassWeights, TaskConfig};
pub use output::{DetectedObject, TaskOutput};

pub(crate) use objective::TaskObjective;
pub(crate) use tally::{Seen, Tally};
pub(crate) use target::TaskTarget;

use std::borrow::Cow;

use crate::Result;
use crate::data::{Labels, TaskKind};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::loss::LabelLoss;
use crate::nn::HeadSpec;
use crate::nn::boxes::NmsConfig;
use crate::tensor::Tensor;

/// Losses on labels with their names in the log.
pub(crate) type NamedLosses = Vec<(&'static str, Box<dyn LabelLoss>)>;

/// What sets a kind of task apart from the others.
pub(crate) trait Rules: Sync {
    /// The head of a task called `task` of so many classes: perceptrons over pooled features have layers as wide as `hidden`, decoders and
    /// detectors have `channels`.
    fn head(&self, task: &str, classes: usize, hidden: &[usize], channels: usize) -> HeadSpec;

    /// The bytes that are uploaded for a batch with these labels.
    fn bytes<'a>(&self, target: &TaskTarget, labels: &'a Labels) -> Result<Cow<'a, [u8]>>;

    /// The shape of what is uploaded for `rows` images of `[height, width]`; as many words as there are bytes where absent.
    fn shape(&self, target: &TaskTarget, rows: usize, size: [usize; 2]) -> Option<Vec<usize>>;

    /// The labels of an uploaded batch of `[rows, height, width]` as losses and metrics take them, moved as `warps` moved the images.
    fn moved(&self, _gpu: &Gpu, uploaded: &Tensor, _shape: [usize; 3], _warps: Option<&Tensor>) -> Result<Tensor> {
        Ok(uploaded.clone())
    }

    /// The losses on its labels; `levels` are those of the network's detectors. The task's weight is that of each.
    fn losses(&self, gpu: &Gpu, objective: &TaskObjective, levels: &[Level]) -> Result<NamedLosses>;

    /// Nothing seen yet of a task.
    fn tally(&self, gpu: &Gpu, target: &TaskTarget) -> Result<Box<dyn Tally>>;

    /// What a head's output says of each image of a batch.
    #[cfg_attr(not(feature = "train"), expect(dead_code, reason = "read by stored networks alone"))]
    fn decode(&self, gpu: &Gpu, said: &Tensor, reading: &Reading) -> Result<Vec<TaskOutput>>;
}

/// What it takes to read a head's output.
pub(crate) struct Reading<'a> {
    /// The names of the classes or attributes.
    pub classes: &'a [String],
    /// Mean and standard deviation of the training labels, of tasks that ask for a number.
    pub moments: (f32, f32),
    /// Whether numbers count things.
    pub counts: bool,
    /// Height and width of the canvas.
    pub size: [usize; 2],
    /// The levels of the network's detectors.
    pub levels: &'a [Level],
    /// Which objects are told.
    pub keep: NmsConfig,
}

impl Reading<'_> {
    /// Every class or attribute with its value.
    fn named(&self, values: impl Iterator<Item = f32>) -> Vec<(String, f32)> {
        self.classes.iter().cloned().zip(values).collect()
    }
}

/// The rules of a kind.
pub(crate) fn rules(kind: TaskKind) -> &'static dyn Rules {
    match kind {
        TaskKind::Class => &class::Class,
        TaskKind::Attributes => &attributes::Attributes,
        TaskKind::Number => &number::Number,
        TaskKind::Mask => &mask::Mask,
        TaskKind::Depth => &depth::Depth,
        TaskKind::Boxes => &boxes::Boxes,
    }
}
