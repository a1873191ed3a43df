//! Binary cross entropy over independent attributes.

use super::LossRecorder;
use super::method::by_labels_alone;
use crate::Result;
use crate::kernels::binary_cross_entropy;
use crate::tape::Var;
use crate::tensor::Tensor;

/// `−w t log σ(z) − (1 − t) log(1 − σ(z))`, mean over the elements that have a target.
#[derive(Debug, Clone, Default)]
pub struct BinaryCrossEntropy {
    /// `w`, one an attribute: how often what speaks for yes counts (PyTorch's `pos_weight`); 1 where absent.
    pub positive_weights: Option<Tensor>,
}

impl BinaryCrossEntropy {
    /// Adds `weight` times the loss of `logits` `[n, a]` on `targets` `[n, a]` in 0..1 (negative: no target).
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        logits: &Var,
        targets: &Tensor,
    ) -> Result<()> {
        let z = logits.value().clone();
        let positive = self.positive_weights.as_ref();
        losses.add(term, weight, logits, z.rows(), |gpu, out| {
            binary_cross_entropy::binary_cross_entropy(gpu, &z, targets, positive, out)
        })
    }
}

by_labels_alone!(BinaryCrossEntropy);
