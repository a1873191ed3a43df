//! Small steps on the way from features to the relations between the samples of a batch.

use super::case::{Case, Check, Permutation, f64s, values};
use super::reduce;
use super::rows::{added, destination, expect};
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Odd and even sizes.
pub fn cases() -> Vec<Case> {
    [(2, 1), (3, 5), (16, 33), (65, 64)]
        .into_iter()
        .map(|(m, c)| Case::new(format!("[{m}, {c}]"), move |gpu| run(gpu, m, c)))
        .collect()
}

fn run(gpu: &Gpu, m: usize, c: usize) -> Result<Vec<Check>> {
    let (x, square) = (values(1, m * c), values(2, m * m));
    let (x64, square64) = (f64s(&x), f64s(&square));
    let (x, square) = (Tensor::from_f32(gpu, &x, &[m, c])?, Tensor::from_f32(gpu, &square, &[m, m])?);
    let got = symmetric(gpu, &square)?.to_f32(gpu)?;
    let mut checks = vec![Check::sum("symmetric", got, reference::relation::symmetric(&square64, m), 1)];
    for accumulate in [false, true] {
        let (out, there) = destination(gpu, &[m, c], accumulate)?;
        centre(gpu, &x, &out)?;
        let want = added(&there, 1.0, &reference::relation::centre(&x64, c));
        checks.push(Check::sum(format!("centre, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, m));
    }
    Ok(checks)
}
