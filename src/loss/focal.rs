//! Focal loss over class labels, with class weights.

use super::LossRecorder;
use super::method::{CLASSES, LossMethod, by_labels_alone};
use crate::Result;
use crate::kernels::focal;
use crate::setting::{Domain, Key};
use crate::tape::Var;
use crate::tensor::Tensor;

/// `w_y (1 − p_y)^γ (−log p_y)`, `p = softmax(z)`, over the labelled samples, divided by the sum of their weights (Lin et al. 2017, over
/// a softmax). γ of 0 is cross entropy with class weights in PyTorch's form.
#[derive(Debug, Clone)]
pub struct Focal {
    /// γ: 0, or at least 1.
    pub gamma: f32,
    /// `[c]`, none below 0.
    pub class_weights: Tensor,
}

impl Focal {
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
            focal::focal(gpu, &z, labels, &self.class_weights, self.gamma, out)
        })
    }
}

by_labels_alone!(Focal);

pub(super) const FOCAL: LossMethod = LossMethod {
    name: "focal",
    term: "focal",
    about: "cross entropy that counts less for what is predicted well, the less the larger `gamma` (Lin et al. 2017)",
    kinds: CLASSES,
    smooths: false,
    keys: &[Key { name: "gamma", default: 2.0, domain: Domain::AtLeastOne }],
    make: |setup| Ok(Box::new(Focal { gamma: setup.number("gamma")?, class_weights: setup.weights()? })),
};
