//! Matrices with rows and columns exchanged: maps as one row a channel.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::rows::expect;
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source = Source { name: "transpose", text: include_str!("../../shaders/transpose.wgsl") };

/// `y (+)= xᵀ` for each matrix of `x` `[batch, rows, columns]`, `y` `[batch, columns, rows]`.
pub fn transpose(gpu: &Gpu, x: &Tensor, [rows, columns]: [usize; 2], y: &GradTarget) -> Result<()> {
    expect("transpose", "y", &y.tensor, x.shape())?;
    let batch = x.len() / (rows * columns).max(1);
    expect("transpose", "x", x, &[batch, rows, columns])?;
    gpu.launch(SOURCE, "transpose_matrices", &defines! {})?
        .bind("x", x)
        .bind("y", &y.tensor)
        .u32("count", x.len())
        .u32("rows", rows)
        .u32("columns", columns)
        .u32("accumulate", y.flag())
        .threads(x.len())
}
