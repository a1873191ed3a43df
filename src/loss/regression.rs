//! Losses of numbers.

use super::LossRecorder;
use super::method::{LossMethod, NUMBERS, by_labels_alone};
use crate::Result;
use crate::kernels::regression::{self, RegressionLoss};
use crate::setting::{Domain, Key};
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
        losses
            .add(term, weight, z, value.rows(), |gpu, out| regression::regression(gpu, &value, targets, self.loss, out))
    }
}

by_labels_alone!(Regression);

pub(super) const L2: LossMethod = LossMethod {
    name: "l2",
    term: "l2",
    about: "squared error",
    kinds: NUMBERS,
    smooths: false,
    keys: &[],
    make: |_| Ok(Box::new(Regression { loss: RegressionLoss::L2 })),
};

pub(super) const L1: LossMethod = LossMethod {
    name: "l1",
    term: "l1",
    about: "absolute error",
    make: |_| Ok(Box::new(Regression { loss: RegressionLoss::L1 })),
    ..L2
};

pub(super) const HUBER: LossMethod = LossMethod {
    name: "huber",
    term: "huber",
    about: "squared error up to `delta` standard deviations of the training labels, linear beyond (Huber 1964)",
    keys: &[Key { name: "delta", default: 1.0, domain: Domain::Moderate }],
    make: |setup| Ok(Box::new(Regression { loss: RegressionLoss::Huber { delta: setup.number("delta")? } })),
    ..L2
};
