//! What methods on the relations between the samples of a batch share.

use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::{linear, relation};
use crate::tensor::{GradTarget, Tensor};

/// Features as one row a sample, `[n, everything]`.
pub(super) fn rows(f: &Tensor) -> Result<Tensor> {
    let n = f.shape().first().copied().unwrap_or(1).max(1);
    f.reshape(&[n, f.len() / n])
}

/// `F Fᵀ` of `f` `[n, d]`, `[n, n]`.
pub(super) fn products(gpu: &Gpu, f: &Tensor) -> Result<Tensor> {
    linear::forward(gpu, f, f, None, false)
}

/// The gradient of `f` through [`products`]: `(dG + dGᵀ) F`.
pub(super) fn products_grad(gpu: &Gpu, f: &Tensor, dg: &Tensor, df: &GradTarget) -> Result<()> {
    let both = relation::symmetric(gpu, dg)?;
    // As a layer whose weight is F: dx = dy W.
    linear::input_grad(gpu, f, &both, f, df)
}
