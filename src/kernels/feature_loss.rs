//! Losses between feature maps, fused with their gradients: mean squared (FitNet, Romero et al. 2015) and
//! channel-normalised (KD4MTL, Li and Bilen 2020).

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::LossOut;
use super::rows::{RowParallelism, expect};
use crate::gpu::{AdapterClass, Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Result, defines};

const SOURCE: Source = Source { name: "feature_loss", text: include_str!("../../shaders/feature_loss.wgsl") };

/// Which distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distance {
    /// `(s − t)²`, mean over all elements.
    Squared,
    /// `‖n(s) − n(t)‖²` with `n(f) = f / max(‖f‖, eps)` over the channels, mean over the rows.
    Normalised {
        /// Norms below it count as it.
        eps: f32,
    },
}

/// `mean (s − t)²`; `s` and `t` `[n, h, w, c]`, shares `[n·h·w]`.
pub fn mse(gpu: &Gpu, s: &Tensor, t: &Tensor, out: LossOut) -> Result<()> {
    feature_loss_with(gpu, (s, t), Distance::Squared, out, choose(s.columns(), gpu.profile().class))
}

/// The mean over pixels of `‖n(s) − n(t)‖²`; shapes as in [`mse`].
pub fn normalised(gpu: &Gpu, s: &Tensor, t: &Tensor, eps: f32, out: LossOut) -> Result<()> {
    let variant = choose(s.columns(), gpu.profile().class);
    feature_loss_with(gpu, (s, t), Distance::Normalised { eps }, out, variant)
}

/// Channels per load (4 or 1), and who works through a row.
pub fn choose(channels: usize, class: AdapterClass) -> (usize, RowParallelism) {
    let vec = if channels.is_multiple_of(4) { 4 } else { 1 };
    (vec, RowParallelism::choose(channels / vec, class))
}

fn variant_defines(distance: Distance, (vec, rows): (usize, RowParallelism), grad: bool) -> Defines {
    defines! { MODE = distance != Distance::Squared, VEC = vec, WIDE = rows.wide(), GRAD = grad }
}

/// [`mse`] or [`normalised`] in a given variant; 4 channels a load need `c % 4 == 0`.
pub fn feature_loss_with(
    gpu: &Gpu,
    (s, t): (&Tensor, &Tensor),
    distance: Distance,
    out: LossOut,
    variant: (usize, RowParallelism),
) -> Result<()> {
    expect("feature_loss", "the teacher's features", t, s.shape())?;
    let eps = match distance {
        Distance::Squared => 0.0,
        Distance::Normalised { eps } => eps,
    };
    let launch = out
        .launch(gpu, (SOURCE, "feature_loss"), &variant_defines(distance, variant, out.grad.is_some()), s, "ds")?
        .bind("s", s)
        .bind("t", t)
        .f32("eps", eps)
        .cost(20 * s.len() as u64);
    variant.1.dispatch(launch, [s.rows(), s.columns()])
}
