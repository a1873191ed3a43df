//! Cross entropy with label smoothing on logits, fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::rows::{Counting, RowParallelism, bind_gradient, counted, expect, flag};
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "cross_entropy", text: include_str!("../../shaders/cross_entropy.wgsl") };

/// The label of a sample that has none for this task.
pub const MISSING: u32 = u32::MAX;

/// `weight ·` the mean over the labelled rows of `−(1 − ε) log p[y] − ε/C Σ log p`, with `p = softmax(z)`.
///
/// `z` `[rows, classes]`; `labels` `[rows]` of `u32`, [`MISSING`] where there is none; `dz` (like `z`) receives
/// `weight ·` the gradient; `row_loss` `[rows]` the weighted shares, whose sum is the loss (all 0 where no row has a label).
pub fn cross_entropy(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    smoothing: f32,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let variant =
        (RowParallelism::choose(z.columns(), gpu.profile().class), Counting::choose(z.rows(), gpu.profile().class));
    cross_entropy_with(gpu, z, labels, smoothing, weight, dz, row_loss, variant)
}

fn variant_defines((rows, counting): (RowParallelism, Counting), grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), FUSED = counting.fused(), GRAD = grad }
}

/// [`cross_entropy`] in a given variant.
pub fn cross_entropy_with<'a>(
    gpu: &'a Gpu,
    z: &Tensor,
    labels: &Tensor,
    smoothing: f32,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(Error::Invalid(format!("cross_entropy: the label smoothing is {smoothing}; it must lie in 0..=1")));
    }
    expect("cross_entropy", "labels", labels, &[z.rows()])?;
    expect("cross_entropy", "row_loss", row_loss, &[z.rows()])?;
    if let Some(dz) = dz {
        expect("cross_entropy", "dz", &dz.tensor, z.shape())?;
    }
    let defines = variant_defines(variant, dz.is_some());
    let prepare = |launch: Launch<'a>| {
        launch
            .bind("labels", labels)
            .u32("rows", z.rows())
            .u32("columns", z.columns())
            .u32("samples", z.rows())
            .u32("accumulate", flag(dz))
            .f32("smoothing", smoothing)
            .f32("weight", weight)
    };
    let (rows, counting) = variant;
    let count = counting.count(gpu, SOURCE, &defines, z.rows(), prepare)?;
    let launch = prepare(gpu.launch(SOURCE, "cross_entropy", &defines)?)
        .bind("z", z)
        .bind("row_loss", row_loss)
        .cost(30 * z.len() as u64);
    let launch = counted(bind_gradient(launch, "dz", dz), count.as_ref());
    rows.dispatch(launch, [z.rows(), z.columns()])
}
