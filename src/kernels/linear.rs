//! The linear layer `y = x Wᵀ + b`: a 1x1 convolution over a 1x1 image, so it runs on the convolution's kernels.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::conv2d::{self, Epilogue};
use super::reduce;
use crate::gpu::Gpu;
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result};

fn shape(x: &Tensor, w: &Tensor) -> Result<Conv2d> {
    match w.shape() {
        &[n, k] if x.columns() == k => Ok(Conv2d::square(x.rows(), 1, 1, k, n, 1, 1, 0)),
        other => Err(Error::Shape(format!("linear: x {:?} and weight {other:?}", x.shape()))),
    }
}

/// `x [m, k]`, `w [n, k]`, `bias [n]` → `[m, n]`, through a ReLU if asked.
pub fn forward(gpu: &Gpu, x: &Tensor, w: &Tensor, bias: Option<&Tensor>, relu: bool) -> Result<Tensor> {
    let s = shape(x, w)?;
    conv2d::forward(gpu, &s, x, w, Epilogue { bias, relu, residual: None })?.reshape(&[s.n, s.co])
}

/// `dx (+)= dy W`.
pub fn input_grad(gpu: &Gpu, x: &Tensor, dy: &Tensor, w: &Tensor, out: &GradTarget) -> Result<()> {
    conv2d::input_grad(gpu, &shape(x, w)?, dy, w, out)
}

/// `dW (+)= dyᵀ x`.
pub fn weight_grad(gpu: &Gpu, x: &Tensor, dy: &Tensor, w: &Tensor, out: &GradTarget) -> Result<()> {
    conv2d::weight_grad(gpu, &shape(x, w)?, x, dy, out)
}

/// `db (+)= Σ_m dy`.
pub fn bias_grad(gpu: &Gpu, dy: &Tensor, out: &GradTarget) -> Result<()> {
    reduce::column_sum(gpu, dy, 1.0, out)
}
