//! Focal loss over classes with class weights, fused with its gradient.

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

const SOURCE: Source = Source { name: "focal", text: include_str!("../../shaders/focal.wgsl") };

/// The label of a sample that has none for this task.
pub const MISSING: u32 = u32::MAX;

/// `weight ·` the mean over the labelled rows, each counting with its class's weight, of `(1 − p[y])^γ (−log p[y])`, `p = softmax(z)`
/// (Lin et al. 2017, over a softmax). γ of 0 is cross entropy with class weights in PyTorch's form.
///
/// `z` `[rows, classes]`; `labels` `[rows]` of `u32`, [`MISSING`] where there is none; `class_weights` `[classes]`, none below 0; `dz`
/// (like `z`) receives `weight ·` the gradient; `row_loss` `[rows]` the weighted shares, whose sum is the loss (all 0 where nothing
/// counts). γ between 0 and 1 is refused: its gradient has no bound.
pub fn focal(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    gamma: f32,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let variant =
        (RowParallelism::choose(z.columns(), gpu.profile().class), Counting::choose(z.rows(), gpu.profile().class));
    focal_with(gpu, z, labels, class_weights, gamma, weight, dz, row_loss, variant)
}

/// The same with `ε (1 − p[y])` added to the cross entropy of each row: Poly-1 (Leng et al. 2022, arXiv 2204.12511).
pub fn poly1(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    epsilon: f32,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let class = gpu.profile().class;
    let variant = (RowParallelism::choose(z.columns(), class), Counting::choose(z.rows(), class));
    poly1_with(gpu, z, labels, class_weights, epsilon, weight, dz, row_loss, variant)
}

fn variant_defines((rows, counting): (RowParallelism, Counting), grad: bool, poly: bool) -> Defines {
    defines! { WIDE = rows.wide(), FUSED = counting.fused(), GRAD = grad, POLY = poly }
}

/// [`poly1`] in a given variant.
pub fn poly1_with(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    epsilon: f32,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    launch(gpu, z, labels, class_weights, (0.0, Some(epsilon)), weight, dz, row_loss, variant)
}

/// [`focal`] in a given variant.
pub fn focal_with(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    gamma: f32,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    launch(gpu, z, labels, class_weights, (gamma, None), weight, dz, row_loss, variant)
}

fn launch<'a>(
    gpu: &'a Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    (gamma, epsilon): (f32, Option<f32>),
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    if !(gamma == 0.0 || (gamma.is_finite() && gamma >= 1.0)) {
        return Err(Error::Invalid(format!("focal: gamma is {gamma}; it must be 0 or at least 1")));
    }
    expect("focal", "labels", labels, &[z.rows()])?;
    expect("focal", "class_weights", class_weights, &[z.columns()])?;
    expect("focal", "row_loss", row_loss, &[z.rows()])?;
    if let Some(dz) = dz {
        expect("focal", "dz", &dz.tensor, z.shape())?;
    }
    let defines = variant_defines(variant, dz.is_some(), epsilon.is_some());
    let prepare = |launch: Launch<'a>| {
        launch
            .bind("labels", labels)
            .bind("class_weights", class_weights)
            .u32("rows", z.rows())
            .u32("columns", z.columns())
            .u32("samples", z.rows())
            .u32("accumulate", flag(dz))
            .f32("gamma", gamma)
            .f32("epsilon", epsilon.unwrap_or(0.0))
            .f32("weight", weight)
    };
    let (rows, counting) = variant;
    let count = counting.count(gpu, SOURCE, &defines, z.rows(), prepare)?;
    let launch = prepare(gpu.launch(SOURCE, "focal", &defines)?)
        .bind("z", z)
        .bind("row_loss", row_loss)
        .cost(40 * z.len() as u64);
    let launch = counted(bind_gradient(launch, "dz", dz), count.as_ref());
    rows.dispatch(launch, [z.rows(), z.columns()])
}
