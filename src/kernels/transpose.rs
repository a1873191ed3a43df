//! Matrices with rows and columns exchanged: maps as one row a channel.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{added, destination, expect};
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Odd and even sizes, single rows and columns.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1, 1), (2, 1, 7), (2, 7, 1), (3, 5, 17), (1, 33, 65), (2, 64, 64)];
    shapes.into_iter().map(|(n, r, c)| Case::new(format!("[{n}, {r}, {c}]"), move |gpu| run(gpu, n, r, c))).collect()
}

fn run(gpu: &Gpu, n: usize, r: usize, c: usize) -> Result<Vec<Check>> {
    let x = values(1, n * r * c);
    let on_gpu = Tensor::from_f32(gpu, &x, &[n, r, c])?;
    let mut checks = Vec::new();
    for accumulate in [false, true] {
        let (out, there) = destination(gpu, &[n, c, r], accumulate)?;
        transpose(gpu, &on_gpu, [r, c], &out)?;
        let want = added(&there, 1.0, &reference::transpose::matrices(&f64s(&x), [r, c]));
        checks.push(Check::sum(format!("y, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, 1));
    }
    Ok(checks)
}
