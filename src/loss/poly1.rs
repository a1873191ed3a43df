//! Poly-1 over class labels.

use super::LossRecorder;
use super::method::{Assigned, CLASSES, LabelLoss, LossMethod};
use crate::Result;
use crate::kernels::focal;
use crate::setting::{Domain, Key};
use crate::tape::Var;
use crate::tensor::Tensor;

/// `w_y (−log p_y + ε (1 − p_y))`, `p = softmax(z)`, over the labelled samples, divided by the sum of their weights: the first term of the
/// expansion of cross entropy in powers of 1 − p_y has the weight 1 + ε (Leng et al. 2022, arXiv 2204.12511).
#[derive(Debug, Clone)]
pub struct Poly1 {
    /// ε, at least −1.
    pub epsilon: f32,
    /// `[c]`, none below 0.
    pub class_weights: Tensor,
}

impl LabelLoss for Poly1 {
    fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        z: &Var,
        labels: &Tensor,
        _: &mut Assigned,
    ) -> Result<()> {
        let value = z.value().clone();
        losses.add(term, weight, z, value.rows(), |gpu, out| {
            focal::poly1(gpu, &value, labels, &self.class_weights, self.epsilon, out)
        })
    }
}

pub(super) const POLY1: LossMethod = LossMethod {
    name: "poly1",
    term: "poly1",
    about: "cross entropy and `epsilon` times 1 - p of the label (Leng et al. 2022, who search `epsilon` for each data set)",
    kinds: CLASSES,
    smooths: false,
    keys: &[Key { name: "epsilon", default: 1.0, domain: Domain::AtLeastMinusOne }],
    make: |setup| Ok(Box::new(Poly1 { epsilon: setup.number("epsilon")?, class_weights: setup.weights()? })),
};
