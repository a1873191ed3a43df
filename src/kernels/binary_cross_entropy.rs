//! Binary cross entropy on logits, fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::LossOut;
use super::rows::{Counting, RowParallelism, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Result, defines};

const SOURCE: Source =
    Source { name: "binary_cross_entropy", text: include_str!("../../shaders/binary_cross_entropy.wgsl") };

/// The target of an element that has none; any negative value means the same.
pub const MISSING: f32 = -1.0;

/// The mean over the elements with a target of `max(z, 0) − z·t + log(1 + exp(−|z|))`.
///
/// With `positive_weights` `[columns]` what speaks for yes counts so many times: `−(w t log σ(z) + (1 − t) log(1 − σ(z)))`, PyTorch's
/// `pos_weight`.
///
/// `z` and `targets` (in 0..=1, or [`MISSING`]) `[rows, columns]`; shares `[rows]` (all 0 where nothing has a target).
pub fn binary_cross_entropy(
    gpu: &Gpu,
    z: &Tensor,
    targets: &Tensor,
    positive_weights: Option<&Tensor>,
    out: LossOut,
) -> Result<()> {
    let class = gpu.profile().class;
    let variant = (RowParallelism::choose(z.columns(), class), Counting::choose(z.len(), class));
    binary_cross_entropy_with(gpu, z, targets, positive_weights, out, variant)
}

fn variant_defines((rows, counting): (RowParallelism, Counting), positive: bool, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), FUSED = counting.fused(), POSITIVE = positive, GRAD = grad }
}

/// [`binary_cross_entropy`] in a given variant.
pub fn binary_cross_entropy_with(
    gpu: &Gpu,
    z: &Tensor,
    targets: &Tensor,
    positive_weights: Option<&Tensor>,
    out: LossOut,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    expect("binary_cross_entropy", "targets", targets, z.shape())?;
    let (rows, counting) = variant;
    let defines = variant_defines(variant, positive_weights.is_some(), out.grad.is_some());
    let entry = (SOURCE, "binary_cross_entropy");
    let mut launch =
        counting.launch(gpu, entry, &defines, (z, z.len()), &out, |launch| launch.bind("targets", targets))?;
    if let Some(weights) = positive_weights {
        expect("binary_cross_entropy", "positive_weights", weights, &[z.columns()])?;
        launch = launch.bind("positive_weights", weights);
    }
    rows.dispatch(launch.cost(30 * z.len() as u64), [z.rows(), z.columns()])
}
