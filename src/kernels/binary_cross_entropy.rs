//! Binary cross entropy on logits, fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::rows::{Counting, RowParallelism, bind_gradient, counted, expect, flag};
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source =
    Source { name: "binary_cross_entropy", text: include_str!("../../shaders/binary_cross_entropy.wgsl") };

/// The target of an element that has none; any negative value means the same.
pub const MISSING: f32 = -1.0;

/// `weight ·` the mean over the elements with a target of `max(z, 0) − z·t + log(1 + exp(−|z|))`.
///
/// With `positive_weights` `[columns]` what speaks for yes counts so many times: `−(w t log σ(z) + (1 − t) log(1 − σ(z)))`, PyTorch's
/// `pos_weight`.
///
/// `z`, `targets` (in 0..=1, or [`MISSING`]) and `dz` `[rows, columns]`; `dz` receives `weight ·` the gradient, `row_loss`
/// `[rows]` the weighted shares, whose sum is the loss (all 0 where nothing has a target).
pub fn binary_cross_entropy(
    gpu: &Gpu,
    z: &Tensor,
    targets: &Tensor,
    positive_weights: Option<&Tensor>,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let variant =
        (RowParallelism::choose(z.columns(), gpu.profile().class), Counting::choose(z.len(), gpu.profile().class));
    binary_cross_entropy_with(gpu, z, targets, positive_weights, weight, dz, row_loss, variant)
}

fn variant_defines((rows, counting): (RowParallelism, Counting), positive: bool, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), FUSED = counting.fused(), POSITIVE = positive, GRAD = grad }
}

/// [`binary_cross_entropy`] in a given variant.
pub fn binary_cross_entropy_with<'a>(
    gpu: &'a Gpu,
    z: &Tensor,
    targets: &Tensor,
    positive_weights: Option<&Tensor>,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    expect("binary_cross_entropy", "targets", targets, z.shape())?;
    expect("binary_cross_entropy", "row_loss", row_loss, &[z.rows()])?;
    if let Some(dz) = dz {
        expect("binary_cross_entropy", "dz", &dz.tensor, z.shape())?;
    }
    let (rows, counting) = variant;
    let defines = variant_defines(variant, positive_weights.is_some(), dz.is_some());
    let prepare = |launch: Launch<'a>| {
        launch
            .bind("targets", targets)
            .u32("rows", z.rows())
            .u32("columns", z.columns())
            .u32("samples", z.len())
            .u32("accumulate", flag(dz))
            .f32("weight", weight)
    };
    let count = counting.count(gpu, SOURCE, &defines, z.len(), prepare)?;
    let mut launch = prepare(gpu.launch(SOURCE, "binary_cross_entropy", &defines)?)
        .bind("z", z)
        .bind("row_loss", row_loss)
        .cost(30 * z.len() as u64);
    if let Some(weights) = positive_weights {
        expect("binary_cross_entropy", "positive_weights", weights, &[z.columns()])?;
        launch = launch.bind("positive_weights", weights);
    }
    let launch = counted(bind_gradient(launch, "dz", dz), count.as_ref());
    rows.dispatch(launch, [z.rows(), z.columns()])
}
