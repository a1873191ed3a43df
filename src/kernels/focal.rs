//! Focal loss over classes with class weights, fused with its gradient.

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

const SOURCE: Source = Source { name: "focal", text: include_str!("../../shaders/focal.wgsl") };

/// The label of a sample that has none for this task.
pub const MISSING: u32 = u32::MAX;

/// The mean over the labelled rows, each counting with its class's weight, of `(1 − p[y])^γ (−log p[y])`, `p = softmax(z)` (Lin et al.
/// 2017, over a softmax). γ of 0 is cross entropy with class weights in PyTorch's form.
///
/// `z` `[rows, classes]`; `labels` `[rows]` of `u32`, [`MISSING`] where there is none; `class_weights` `[classes]`, none below 0; shares
/// `[rows]` (all 0 where nothing counts). γ between 0 and 1 is refused: its gradient has no bound.
pub fn focal(gpu: &Gpu, z: &Tensor, labels: &Tensor, class_weights: &Tensor, gamma: f32, out: LossOut) -> Result<()> {
    focal_with(gpu, z, labels, class_weights, gamma, out, choose(gpu, z))
}

/// The same with `ε (1 − p[y])` added to the cross entropy of each row: Poly-1 (Leng et al. 2022, arXiv 2204.12511).
pub fn poly1(gpu: &Gpu, z: &Tensor, labels: &Tensor, class_weights: &Tensor, epsilon: f32, out: LossOut) -> Result<()> {
    poly1_with(gpu, z, labels, class_weights, epsilon, out, choose(gpu, z))
}

type Variant = (RowParallelism, Counting);

fn choose(gpu: &Gpu, z: &Tensor) -> Variant {
    let class = gpu.profile().class;
    (RowParallelism::choose(z.columns(), class), Counting::choose(z.rows(), class))
}

fn variant_defines((rows, counting): Variant, grad: bool, poly: bool) -> Defines {
    defines! { WIDE = rows.wide(), FUSED = counting.fused(), GRAD = grad, POLY = poly }
}

/// [`focal`] in a given variant.
pub fn focal_with(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    gamma: f32,
    out: LossOut,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    launch(gpu, z, labels, class_weights, (gamma, None), out, variant)
}

/// [`poly1`] in a given variant.
pub fn poly1_with(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    epsilon: f32,
    out: LossOut,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    launch(gpu, z, labels, class_weights, (0.0, Some(epsilon)), out, variant)
}

fn launch(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    (gamma, epsilon): (f32, Option<f32>),
    out: LossOut,
    variant: Variant,
) -> Result<()> {
    if !(gamma == 0.0 || (gamma.is_finite() && gamma >= 1.0)) {
        return Err(Error::Invalid(format!("focal: gamma is {gamma}; it must be 0 or at least 1")));
    }
    expect("focal", "labels", labels, &[z.rows()])?;
    expect("focal", "class_weights", class_weights, &[z.columns()])?;
    let (rows, counting) = variant;
    let defines = variant_defines(variant, out.grad.is_some(), epsilon.is_some());
    let launch = counting.launch(gpu, (SOURCE, "focal"), &defines, (z, z.rows()), &out, |launch| {
        let launch = launch.bind("labels", labels).bind("class_weights", class_weights);
        launch.f32("gamma", gamma).f32("epsilon", epsilon.unwrap_or(0.0))
    })?;
    rows.dispatch(launch.cost(40 * z.len() as u64), [z.rows(), z.columns()])
}
