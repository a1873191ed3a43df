//! Element-wise passes.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{added, destination};
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

const SOURCE: Source = Source { name: "elementwise", text: include_str!("../../shaders/elementwise.wgsl") };

fn pass(
    gpu: &Gpu,
    entry: &'static str,
    alpha: f32,
    x: Option<&Tensor>,
    out: Option<&Tensor>,
    y: &GradTarget,
) -> Result<()> {
    let length = y.tensor.len();
    if let Some(other) = x.iter().chain(&out).find(|t| t.len() != length) {
        return Err(Error::Shape(format!("{entry} of {:?} into {:?}", other.shape(), y.tensor.shape())));
    }
    let mut launch = gpu
        .launch(SOURCE, entry, &defines! {})?
        .bind("y", &y.tensor)
        .u32("length", length)
        .u32("accumulate", y.flag())
        .f32("alpha", alpha);
    if let Some(x) = x {
        launch = launch.bind("x", x);
    }
    if let Some(out) = out {
        launch = launch.bind("out", out);
    }
    launch.threads(length)
}

/// `y (+)= alpha · x`.
pub fn axpy(gpu: &Gpu, alpha: f32, x: &Tensor, y: &GradTarget) -> Result<()> {
    pass(gpu, "axpy", alpha, Some(x), None, y)
}

/// `max(0, x)`.
pub fn relu(gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
    let y = Tensor::empty(gpu, x.shape())?;
    pass(gpu, "relu", 0.0, Some(x), None, &GradTarget::fresh(y.clone()))?;
    Ok(y)
}

/// `dx (+)= dy · [y > 0]`, from the output `y`.
pub fn relu_grad(gpu: &Gpu, dy: &Tensor, y: &Tensor, dx: &GradTarget) -> Result<()> {
    pass(gpu, "relu_grad", 0.0, Some(dy), Some(y), dx)
}

/// Sets every value.
pub fn fill(gpu: &Gpu, y: &Tensor, value: f32) -> Result<()> {
    pass(gpu, "fill", value, None, None, &GradTarget::fresh(y.clone()))
}

/// `y += factor · (x − y)`, with `factor` `[1]` on the device so that a recorded step may take another each time.
pub fn lerp(gpu: &Gpu, x: &Tensor, factor: &Tensor, y: &Tensor) -> Result<()> {
    if x.len() != y.len() || factor.len() != 1 {
        return Err(Error::Shape(format!("lerp of {:?} into {:?} by {:?}", x.shape(), y.shape(), factor.shape())));
    }
    gpu.launch(SOURCE, "lerp", &defines! {})?
        .bind("x", x)
        .bind("out", factor)
        .bind("y", y)
        .u32("length", y.len())
        .u32("accumulate", 1)
        .f32("alpha", 0.0)
        .threads(y.len())
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Lengths around the group's width, and one whose groups must be folded into two dimensions.
pub fn cases() -> Vec<Case> {
    [1, 63, 64, 65, 1000, 4_200_001].map(|n| Case::new(format!("{n} values"), move |gpu| run(gpu, n))).into()
}

fn run(gpu: &Gpu, n: usize) -> Result<Vec<Check>> {
    let (x, y) = (values(1, n), values(2, n));
    let (x64, y64) = (f64s(&x), f64s(&y));
    let (x, y) = (Tensor::from_f32(gpu, &x, &[n])?, Tensor::from_f32(gpu, &y, &[n])?);
    let mut checks = vec![Check::sum("relu", relu(gpu, &x)?.to_f32(gpu)?, reference::elementwise::relu(&x64), 1)];
    for accumulate in [false, true] {
        let (out, there) = destination(gpu, &[n], accumulate)?;
        axpy(gpu, -1.5, &x, &out)?;
        let want = reference::elementwise::axpy(-1.5, &x64, &there);
        checks.push(Check::sum(format!("axpy, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, 1));
        let (out, there) = destination(gpu, &[n], accumulate)?;
        relu_grad(gpu, &x, &y, &out)?;
        let want = added(&there, 1.0, &reference::elementwise::relu_grad(&y64, &x64));
        checks.push(Check::sum(format!("relu_grad, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, 1));
    }
    let there = values(3, n);
    let (average, factor) = (Tensor::from_f32(gpu, &there, &[n])?, Tensor::from_f32(gpu, &[0.25], &[1])?);
    lerp(gpu, &x, &factor, &average)?;
    let want = reference::elementwise::lerp(&f64s(&there), &x64, 0.25);
    checks.push(Check::sum("lerp", average.to_f32(gpu)?, want, 2));
    let filled = Tensor::empty(gpu, &[n])?;
    fill(gpu, &filled, 0.25)?;
    checks.push(Check::sum("fill", filled.to_f32(gpu)?, vec![0.25; n], 1));
    Ok(checks)
}
