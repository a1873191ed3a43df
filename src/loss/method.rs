//! What all losses on labels have in common: how they are applied, what they are made from, and the table's row.

use std::collections::BTreeMap;

use super::LossRecorder;
use crate::data::TaskKind;
use crate::gpu::Gpu;
use crate::setting::Key;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What the places of a detector should predict for a batch, and the sums that its losses are divided by. Its losses share them: the first
/// that is applied to a batch finds them.
pub type Assigned = Option<(Tensor, Tensor)>;

/// A loss on labels, ready to be applied.
pub trait LabelLoss {
    /// Adds `weight` times the loss of a head's output `z` on the batch's labels as term `term`: its value to the log, its gradient to the
    /// tape. `assigned` is empty when a batch begins and stays with the head for the batch.
    fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        z: &Var,
        labels: &Tensor,
        assigned: &mut Assigned,
    ) -> Result<()>;
}

/// A loss whose own `apply` takes a head's output and the labels, and shares nothing with other losses of the head.
macro_rules! by_labels_alone {
    ($loss:ty) => {
        impl $crate::loss::LabelLoss for $loss {
            fn apply(
                &self,
                losses: &mut $crate::loss::LossRecorder,
                term: usize,
                weight: f32,
                z: &$crate::tape::Var,
                labels: &$crate::tensor::Tensor,
                _: &mut $crate::loss::Assigned,
            ) -> $crate::Result<()> {
                // The type's own, which comes before the trait's.
                <$loss>::apply(self, losses, term, weight, z, labels)
            }
        }
    };
}
pub(super) use by_labels_alone;

/// What a loss is made from.
pub struct LossSetup<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// Every setting of the loss, by its key.
    pub settings: &'a BTreeMap<String, f64>,
    /// How much each class counts; 1 each where absent.
    pub class_weights: Option<&'a [f32]>,
    /// The number of classes.
    pub classes: usize,
    /// The part of a label's probability that is spread over all classes.
    pub label_smoothing: f32,
}

impl LossSetup<'_> {
    /// A setting.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not there.
    pub fn number(&self, key: &str) -> Result<f32> {
        let missing = || Error::Invalid(format!("this loss needs the setting {key}"));
        self.settings.get(key).map(|v| *v as f32).ok_or_else(missing)
    }

    /// The weights of the classes, `[classes]`, on the device.
    pub fn weights(&self) -> Result<Tensor> {
        match self.class_weights {
            Some(weights) => Tensor::from_f32(self.gpu, weights, &[weights.len()]),
            None => Tensor::from_f32(self.gpu, &vec![1.0; self.classes], &[self.classes]),
        }
    }
}

/// A row of the table of losses that a task may choose.
pub struct LossMethod {
    /// Its name in a run's file.
    pub name: &'static str,
    /// Its name in the log: `task/ce`.
    pub term: &'static str,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// The kinds of tasks whose labels it takes.
    pub kinds: &'static [TaskKind],
    /// Whether it can be learnt from labels that are smoothed.
    pub smooths: bool,
    /// Its settings.
    pub keys: &'static [Key],
    /// Makes the loss.
    pub make: fn(&LossSetup) -> Result<Box<dyn LabelLoss>>,
}

/// Classes, of images or of pixels.
pub(super) const CLASSES: &[TaskKind] = &[TaskKind::Class, TaskKind::Mask];
/// Numbers, of images or of pixels.
pub(super) const NUMBERS: &[TaskKind] = &[TaskKind::Number, TaskKind::Depth];
