//! Dice loss over the classes of pixels.

use super::LossRecorder;
use super::method::{LossMethod, by_labels_alone};
use crate::Result;
use crate::data::TaskKind;
use crate::kernels::dice;
use crate::tape::Var;
use crate::tensor::Tensor;

/// `1 − D`, `D = (2 Σ p g + s) / (Σ p + Σ g + s)`, `p = softmax(z)`, `g` 1 where a pixel is of the class; the mean over the classes that
/// occur among the batch's labels, each counting with its weight. A class of few pixels counts as much as one of many.
///
/// Milletari et al. 2016 (V-Net, arXiv 1606.04797) square p and g in the denominator; this has the plain sums of Drozdzal et al. 2016
/// (arXiv 1608.04117), Sudre et al. 2017 (arXiv 1707.03237) and nnU-Net (Isensee et al. 2021, arXiv 1809.10486). Sums are taken over the
/// whole batch, as nnU-Net's `batch_dice`: in a single small image most classes have few pixels or none, and their D would jump between
/// 0 and 1. Unlike nnU-Net, which leaves the background out and keeps classes that do not occur, class 0 is a class like any other, and
/// a class without a labelled pixel in the batch is left out of the mean: its D says nothing but how small Σ p is.
#[derive(Debug, Clone)]
pub struct Dice {
    /// s: 0, or more; [`Dice::SMOOTHING`] is usual.
    pub smoothing: f32,
    /// `[c]`, none below 0.
    pub class_weights: Tensor,
}

impl Dice {
    /// nnU-Net's value.
    pub const SMOOTHING: f32 = 1e-5;

    /// Adds `weight` times the loss of `logits` `[N, H, W, C]` on `labels` `[N, H, W]` (`u32`; `u32::MAX`: no label) as term `term`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        logits: &Var,
        labels: &Tensor,
    ) -> Result<()> {
        let z = logits.value().clone();
        losses.add(term, weight, logits, z.columns(), |gpu, out| {
            dice::dice(gpu, &z, labels, &self.class_weights, self.smoothing, out)
        })
    }
}

by_labels_alone!(Dice);

pub(super) const DICE: LossMethod = LossMethod {
    name: "dice",
    term: "dice",
    about: "how much predicted and labelled pixels overlap, class by class",
    kinds: &[TaskKind::Mask],
    smooths: false,
    keys: &[],
    make: |setup| Ok(Box::new(Dice { smoothing: Dice::SMOOTHING, class_weights: setup.weights()? })),
};
