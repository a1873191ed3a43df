//! Cross entropy with label smoothing on logits, fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::LossOut;
use super::rows::{Counting, RowParallelism, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "cross_entropy", text: include_str!("../../shaders/cross_entropy.wgsl") };

/// The label of a sample that has none for this task.
pub const MISSING: u32 = u32::MAX;

/// The mean over the labelled rows of `−(1 − ε) log p[y] − ε/C Σ log p`, with `p = softmax(z)`.
///
/// `z` `[rows, classes]`; `labels` `[rows]` of `u32`, [`MISSING`] where there is none; shares `[rows]` (all 0 where no row has a label).
pub fn cross_entropy(gpu: &Gpu, z: &Tensor, labels: &Tensor, smoothing: f32, out: LossOut) -> Result<()> {
    let class = gpu.profile().class;
    let variant = (RowParallelism::choose(z.columns(), class), Counting::choose(z.rows(), class));
    cross_entropy_with(gpu, z, labels, smoothing, out, variant)
}

fn variant_defines((rows, counting): (RowParallelism, Counting), grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), FUSED = counting.fused(), GRAD = grad }
}

/// [`cross_entropy`] in a given variant.
pub fn cross_entropy_with(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    smoothing: f32,
    out: LossOut,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(Error::Invalid(format!("cross_entropy: the label smoothing is {smoothing}; it must lie in 0..=1")));
    }
    expect("cross_entropy", "labels", labels, &[z.rows()])?;
    let (rows, counting) = variant;
    let defines = variant_defines(variant, out.grad.is_some());
    let launch = counting.launch(gpu, (SOURCE, "cross_entropy"), &defines, (z, z.rows()), &out, |launch| {
        launch.bind("labels", labels).f32("smoothing", smoothing)
    })?;
    rows.dispatch(launch.cost(30 * z.len() as u64), [z.rows(), z.columns()])
}
