//! Cross entropy over class labels.

use super::LossRecorder;
use super::focal::Focal;
use super::method::{CLASSES, LossMethod, by_labels_alone};
use crate::Result;
use crate::kernels::cross_entropy;
use crate::tape::Var;
use crate::tensor::Tensor;

/// `−Σ_c q_c log softmax(z)_c`, mean over the labelled samples, `q = (1 − ε) onehot(y) + ε / C` (label smoothing, Szegedy et
/// al. 2016, in PyTorch's form).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CrossEntropy {
    /// ε.
    pub label_smoothing: f32,
}

impl CrossEntropy {
    /// Adds `weight` times the loss of `logits` `[n, c]` on `labels` `[n]` (`u32`; `u32::MAX`: no label) as term `term`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        logits: &Var,
        labels: &Tensor,
    ) -> Result<()> {
        let z = logits.value().clone();
        losses.add(term, weight, logits, z.rows(), |gpu, out| {
            cross_entropy::cross_entropy(gpu, &z, labels, self.label_smoothing, out)
        })
    }
}

by_labels_alone!(CrossEntropy);

pub(super) const CROSS_ENTROPY: LossMethod = LossMethod {
    name: "cross_entropy",
    term: "ce",
    about: "cross entropy over a softmax",
    kinds: CLASSES,
    smooths: true,
    keys: &[],
    make: |setup| match setup.class_weights {
        None => Ok(Box::new(CrossEntropy { label_smoothing: setup.label_smoothing })),
        // Without focus the focal loss is cross entropy with class weights.
        Some(_) => Ok(Box::new(Focal { gamma: 0.0, class_weights: setup.weights()? })),
    },
};
