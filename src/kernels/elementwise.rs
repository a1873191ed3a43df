//! Element-wise passes.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

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
