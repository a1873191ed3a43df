//! 2-D convolution: forward with a fused epilogue, and both gradients, each in several variants.
//!
//! [`choose`] names the variant for a shape on an adapter; the `_with` functions take one by name. Every variant is
//! held against the same twin by the same cases.

mod cases;
mod lanes;
mod products;
mod register;
mod variant;
mod winograd;

pub use cases::{cases, permutations};
use lanes::Batch;
pub use register::Tile;
pub use variant::{Pass, Variant, choose, variants};

use crate::gpu::Gpu;
use crate::shape::Conv2d;
use crate::tensor::{Target, Tensor};
use crate::{Error, Result};

/// What follows the sum in the same pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// `[co]`, added.
    pub bias: Option<&'a Tensor>,
    /// `[n, oh, ow, co]`, added after the bias.
    pub residual: Option<&'a Tensor>,
    /// `max(0, ·)` at the end.
    pub relu: bool,
}

fn check(s: &Conv2d, what: &str, tensor: &Tensor, shape: [usize; 4]) -> Result<()> {
    if tensor.len() == shape.iter().product::<usize>() {
        return Ok(());
    }
    Err(Error::Shape(format!("conv2d {s:?}: {what} is {:?}, expected {shape:?}", tensor.shape())))
}

fn check_variant(gpu: &Gpu, pass: Pass, s: &Conv2d, variant: Variant) -> Result<()> {
    if variant.serves(pass, s, gpu.profile()) {
        return Ok(());
    }
    Err(Error::Shape(format!("conv2d {s:?}: the variant {variant} does not serve its {pass}")))
}

/// `y = relu(conv(x, w) + bias + residual)`, `[n, oh, ow, co]`; see [`Epilogue`] for the optional parts.
pub fn forward(gpu: &Gpu, s: &Conv2d, x: &Tensor, w: &Tensor, epilogue: Epilogue) -> Result<Tensor> {
    forward_with(gpu, s, x, w, epilogue, choose(Pass::Forward, s, gpu.profile()))
}

/// [`forward`] in a given variant.
pub fn forward_with(
    gpu: &Gpu,
    s: &Conv2d,
    x: &Tensor,
    w: &Tensor,
    epilogue: Epilogue,
    variant: Variant,
) -> Result<Tensor> {
    s.check()?;
    check(s, "x", x, s.x_shape())?;
    check(s, "w", w, s.w_shape())?;
    if let Some(residual) = epilogue.residual {
        check(s, "residual", residual, s.y_shape())?;
    }
    check_variant(gpu, Pass::Forward, s, variant)?;
    let y = Tensor::empty(gpu, &s.y_shape())?;
    match variant {
        Variant::Register(tile) => register::forward(gpu, s, x, w, epilogue, &y, tile)?,
        Variant::Lanes(tile) => lanes::forward(gpu, s, Batch(1), (x, w), epilogue, &y, tile)?,
        Variant::Winograd(size) => winograd::forward(gpu, s, x, w, epilogue, &y, size)?,
    }
    Ok(y)
}

/// The gradient with respect to `x` from `dy` `[n, oh, ow, co]`.
pub fn input_grad(gpu: &Gpu, s: &Conv2d, dy: &Tensor, w: &Tensor, out: &Target) -> Result<()> {
    input_grad_with(gpu, s, dy, w, out, choose(Pass::InputGrad, s, gpu.profile()))
}

/// [`input_grad`] in a given variant.
pub fn input_grad_with(gpu: &Gpu, s: &Conv2d, dy: &Tensor, w: &Tensor, out: &Target, variant: Variant) -> Result<()> {
    s.check()?;
    check(s, "dy", dy, s.y_shape())?;
    check(s, "w", w, s.w_shape())?;
    check(s, "dx", &out.tensor, s.x_shape())?;
    check_variant(gpu, Pass::InputGrad, s, variant)?;
    match variant {
        Variant::Register(tile) => register::input_grad(gpu, s, dy, w, out, tile),
        Variant::Lanes(tile) => lanes::input_grad(gpu, s, Batch(1), (dy, w), out, tile),
        Variant::Winograd(size) => winograd::input_grad(gpu, s, dy, w, out, size),
    }
}

/// The gradient with respect to `w` from `x` and `dy`.
pub fn weight_grad(gpu: &Gpu, s: &Conv2d, x: &Tensor, dy: &Tensor, out: &Target) -> Result<()> {
    weight_grad_with(gpu, s, x, dy, out, choose(Pass::WeightGrad, s, gpu.profile()))
}

/// [`weight_grad`] in a given variant.
pub fn weight_grad_with(gpu: &Gpu, s: &Conv2d, x: &Tensor, dy: &Tensor, out: &Target, variant: Variant) -> Result<()> {
    s.check()?;
    check(s, "x", x, s.x_shape())?;
    check(s, "dy", dy, s.y_shape())?;
    check(s, "dw", &out.tensor, s.w_shape())?;
    check_variant(gpu, Pass::WeightGrad, s, variant)?;
    match variant {
        Variant::Register(tile) => register::weight_grad(gpu, s, x, dy, out, tile),
        Variant::Lanes(tile) => lanes::weight_grad(gpu, s, x, dy, out, tile),
        Variant::Winograd(size) => winograd::weight_grad(gpu, s, x, dy, out, size),
    }
}

/// Sets the parameters that the shaders of every variant have.
fn geometry<'a>(launch: crate::gpu::Launch<'a>, s: &Conv2d) -> crate::gpu::Launch<'a> {
    launch
        .u32("h", s.h)
        .u32("w", s.w)
        .u32("ci", s.ci)
        .u32("oh", s.oh())
        .u32("ow", s.ow())
        .u32("co", s.co)
        .u32("kh", s.kh)
        .u32("kw", s.kw)
        .u32("stride", s.stride)
        .u32("padding", s.padding)
        .u32("dilation", s.dilation)
        .u32("ci_group", s.ci / s.groups)
        .u32("co_group", s.co / s.groups)
}
