//! Losses between feature maps, fused with their gradients: mean squared (FitNet, Romero et al. 2015) and
//! channel-normalised (KD4MTL, Li and Bilen 2020).

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::rows::{RowParallelism, bind_gradient, expect, flag};
use crate::gpu::{AdapterClass, Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
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

/// `weight · mean (s − t)²`; `s`, `t` and `ds` `[n, h, w, c]`, `row_loss` `[n·h·w]` (its sum is the loss).
pub fn mse(gpu: &Gpu, s: &Tensor, t: &Tensor, weight: f32, ds: Option<&GradTarget>, row_loss: &Tensor) -> Result<()> {
    feature_loss_with(gpu, s, t, Distance::Squared, weight, ds, row_loss, choose(s.columns(), gpu.profile().class))
}

/// `weight ·` the mean over pixels of `‖n(s) − n(t)‖²`; shapes as in [`mse`].
pub fn normalised(
    gpu: &Gpu,
    s: &Tensor,
    t: &Tensor,
    eps: f32,
    weight: f32,
    ds: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    feature_loss_with(
        gpu,
        s,
        t,
        Distance::Normalised { eps },
        weight,
        ds,
        row_loss,
        choose(s.columns(), gpu.profile().class),
    )
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
    s: &Tensor,
    t: &Tensor,
    distance: Distance,
    weight: f32,
    ds: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (usize, RowParallelism),
) -> Result<()> {
    expect("feature_loss", "the teacher's features", t, s.shape())?;
    expect("feature_loss", "row_loss", row_loss, &[s.rows()])?;
    if let Some(ds) = ds {
        expect("feature_loss", "ds", &ds.tensor, s.shape())?;
    }
    let eps = match distance {
        Distance::Squared => 0.0,
        Distance::Normalised { eps } => eps,
    };
    let launch = gpu
        .launch(SOURCE, "feature_loss", &variant_defines(distance, variant, ds.is_some()))?
        .bind("s", s)
        .bind("t", t)
        .bind("row_loss", row_loss)
        .u32("rows", s.rows())
        .u32("columns", s.columns())
        .u32("accumulate", flag(ds))
        .f32("eps", eps)
        .f32("weight", weight)
        .cost(20 * s.len() as u64);
    variant.1.dispatch(bind_gradient(launch, "ds", ds), [s.rows(), s.columns()])
}
