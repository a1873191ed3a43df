//! Losses of numbers (squared, absolute, Huber), fused with their gradients.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::LossOut;
use super::rows::{Counting, RowParallelism, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "regression", text: include_str!("../../shaders/regression.wgsl") };

/// The target of an element that has none; anything from 1e30 on means the same.
pub const MISSING: f32 = f32::MAX;

/// How an error `e` is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RegressionLoss {
    /// `e²`.
    L2,
    /// `|e|`.
    L1,
    /// `e²/2` up to `delta`, linear beyond (Huber 1964).
    Huber {
        /// Where the parabola ends.
        delta: f32,
    },
}

impl RegressionLoss {
    fn kind(self) -> i64 {
        match self {
            RegressionLoss::L2 => 0,
            RegressionLoss::L1 => 1,
            RegressionLoss::Huber { .. } => 2,
        }
    }

    fn delta(self) -> f32 {
        match self {
            RegressionLoss::Huber { delta } => delta,
            _ => 0.0,
        }
    }
}

/// The mean over the elements with a target of the loss of `z − targets`.
///
/// `z` and `targets` ([`MISSING`]: none) `[rows, columns]`; shares `[rows]` (all 0 where nothing has a target).
pub fn regression(gpu: &Gpu, z: &Tensor, targets: &Tensor, loss: RegressionLoss, out: LossOut) -> Result<()> {
    let class = gpu.profile().class;
    let variant = (RowParallelism::choose(z.columns(), class), Counting::choose(z.len(), class));
    regression_with(gpu, z, targets, loss, out, variant)
}

fn variant_defines(loss: RegressionLoss, (rows, counting): (RowParallelism, Counting), grad: bool) -> Defines {
    defines! { KIND = loss.kind(), WIDE = rows.wide(), FUSED = counting.fused(), GRAD = grad }
}

/// [`regression`] in a given variant.
pub fn regression_with(
    gpu: &Gpu,
    z: &Tensor,
    targets: &Tensor,
    loss: RegressionLoss,
    out: LossOut,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    if let RegressionLoss::Huber { delta } = loss
        && !(delta.is_finite() && delta > 0.0)
    {
        return Err(Error::Invalid(format!("regression: Huber's delta is {delta}; it must be above 0")));
    }
    expect("regression", "targets", targets, z.shape())?;
    let (rows, counting) = variant;
    let defines = variant_defines(loss, variant, out.grad.is_some());
    let launch = counting.launch(gpu, (SOURCE, "regression"), &defines, (z, z.len()), &out, |launch| {
        launch.bind("targets", targets).f32("delta", loss.delta())
    })?;
    rows.dispatch(launch.cost(8 * z.len() as u64), [z.rows(), z.columns()])
}
