//! Losses of numbers.

use super::LossRecorder;
use crate::Result;
use crate::kernels::regression::{self, RegressionLoss};
use crate::tape::Var;
use crate::tensor::Tensor;

/// The mean of `e²`, `|e|` or Huber's function of `e = z − t`, over the elements that have a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regression {
    /// Which of them.
    pub loss: RegressionLoss,
}

impl Regression {
    /// Adds `weight` times the loss of `z` `[n, 1]` or `[n, h, w, 1]` on `targets` of the same shape (1e30 or more: no target) as
    /// term `term`.
    pub fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, z: &Var, targets: &Tensor) -> Result<()> {
        let value = z.value().clone();
        losses.add(term, weight, z, value.rows(), |gpu, dz, rows| {
            regression::regression(gpu, &value, targets, self.loss, weight, dz, rows)
        })
    }
}
