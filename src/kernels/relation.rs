//! Small steps on the way from features to the relations between the samples of a batch.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::reduce;
use super::rows::expect;
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "relation", text: include_str!("../../shaders/relation.wgsl") };

/// `y (+)= x − mean over the rows`, of `x` `[rows, c]`. Its gradient is the same, of the gradient.
pub fn centre(gpu: &Gpu, x: &Tensor, y: &GradTarget) -> Result<()> {
    expect("centre", "y", &y.tensor, x.shape())?;
    let mean = Tensor::empty(gpu, &[x.columns()])?;
    reduce::column_sum(gpu, x, 1.0 / x.rows() as f32, &GradTarget::fresh(mean.clone()))?;
    gpu.launch(SOURCE, "centre", &defines! {})?
        .bind("x", x)
        .bind("mean", &mean)
        .bind("y", &y.tensor)
        .u32("rows", x.rows())
        .u32("columns", x.columns())
        .u32("accumulate", y.flag())
        .threads(x.len())
}

/// `x + xᵀ` of `x` `[n, n]`.
pub fn symmetric(gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
    if x.rows() != x.columns() {
        return Err(Error::Shape(format!("{:?} is not square", x.shape())));
    }
    let y = Tensor::empty(gpu, x.shape())?;
    gpu.launch(SOURCE, "symmetric", &defines! {})?
        .bind("x", x)
        .bind("y", &y)
        .u32("rows", x.rows())
        .u32("columns", x.columns())
        .u32("accumulate", 0)
        .threads(x.len())?;
    Ok(y)
}
