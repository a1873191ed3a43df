//! Losses of numbers (squared, absolute, Huber), fused with their gradients.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::rows::{Counting, RowParallelism, bind_gradient, counted, expect, flag};
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
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

/// `weight ·` the mean over the elements with a target of the loss of `z − targets`.
///
/// `z`, `targets` ([`MISSING`]: none) and `dz` `[rows, columns]`; `dz` receives `weight ·` the gradient, `row_loss` `[rows]` the
/// weighted shares, whose sum is the loss (all 0 where nothing has a target).
pub fn regression(
    gpu: &Gpu,
    z: &Tensor,
    targets: &Tensor,
    loss: RegressionLoss,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let class = gpu.profile().class;
    let variant = (RowParallelism::choose(z.columns(), class), Counting::choose(z.len(), class));
    regression_with(gpu, z, targets, loss, weight, dz, row_loss, variant)
}

fn variant_defines(loss: RegressionLoss, (rows, counting): (RowParallelism, Counting), grad: bool) -> Defines {
    defines! { KIND = loss.kind(), WIDE = rows.wide(), FUSED = counting.fused(), GRAD = grad }
}

/// [`regression`] in a given variant.
pub fn regression_with<'a>(
    gpu: &'a Gpu,
    z: &Tensor,
    targets: &Tensor,
    loss: RegressionLoss,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    if let RegressionLoss::Huber { delta } = loss
        && !(delta.is_finite() && delta > 0.0)
    {
        return Err(Error::Invalid(format!("regression: Huber's delta is {delta}; it must be above 0")));
    }
    expect("regression", "targets", targets, z.shape())?;
    expect("regression", "row_loss", row_loss, &[z.rows()])?;
    if let Some(dz) = dz {
        expect("regression", "dz", &dz.tensor, z.shape())?;
    }
    let (rows, counting) = variant;
    let defines = variant_defines(loss, variant, dz.is_some());
    let prepare = |launch: Launch<'a>| {
        launch
            .bind("targets", targets)
            .u32("rows", z.rows())
            .u32("columns", z.columns())
            .u32("samples", z.len())
            .u32("accumulate", flag(dz))
            .f32("delta", loss.delta())
            .f32("weight", weight)
    };
    let count = counting.count(gpu, SOURCE, &defines, z.len(), prepare)?;
    let launch = prepare(gpu.launch(SOURCE, "regression", &defines)?)
        .bind("z", z)
        .bind("row_loss", row_loss)
        .cost(8 * z.len() as u64);
    let launch = counted(bind_gradient(launch, "dz", dz), count.as_ref());
    rows.dispatch(launch, [z.rows(), z.columns()])
}
