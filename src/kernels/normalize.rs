//! Rows of length 1, and the gradient through it.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::rows::{RowParallelism, expect};
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source = Source { name: "normalize", text: include_str!("../../shaders/normalize.wgsl") };

/// `x / max(‖x‖, eps)` by rows of `x` `[.., c]`.
pub fn normalize(gpu: &Gpu, x: &Tensor, eps: f32) -> Result<Tensor> {
    normalize_with(gpu, x, eps, RowParallelism::choose(x.columns(), gpu.profile().class))
}

/// [`normalize`] with rows worked through in a given way.
pub fn normalize_with(gpu: &Gpu, x: &Tensor, eps: f32, rows: RowParallelism) -> Result<Tensor> {
    let y = Tensor::empty(gpu, x.shape())?;
    let launch = gpu
        .launch(SOURCE, "normalize_rows", &defines! { WIDE = rows.wide() })?
        .bind("x", x)
        .bind("y", &y)
        .u32("rows", x.rows())
        .u32("columns", x.columns())
        .u32("accumulate", 0)
        .f32("eps", eps);
    rows.dispatch(launch, [x.rows(), x.columns()])?;
    Ok(y)
}

/// The gradient of [`normalize`] with respect to `x`, from `x` and `dy`.
pub fn normalize_grad(gpu: &Gpu, x: &Tensor, dy: &Tensor, eps: f32, dx: &GradTarget) -> Result<()> {
    normalize_grad_with(gpu, x, dy, eps, dx, RowParallelism::choose(x.columns(), gpu.profile().class))
}

/// [`normalize_grad`] with rows worked through in a given way.
pub fn normalize_grad_with(
    gpu: &Gpu,
    x: &Tensor,
    dy: &Tensor,
    eps: f32,
    dx: &GradTarget,
    rows: RowParallelism,
) -> Result<()> {
    expect("normalize", "dy", dy, x.shape())?;
    expect("normalize", "dx", &dx.tensor, x.shape())?;
    let launch = gpu
        .launch(SOURCE, "normalize_grad", &defines! { WIDE = rows.wide() })?
        .bind("x", x)
        .bind("dy", dy)
        .bind("dx", &dx.tensor)
        .u32("rows", x.rows())
        .u32("columns", x.columns())
        .u32("accumulate", dx.flag())
        .f32("eps", eps);
    rows.dispatch(launch, [x.rows(), x.columns()])
}
