//! 2-D convolution: forward with a fused epilogue, and both gradients, each in several variants.
//!
//! [`choose`] names the variant for a shape on an adapter, [`select`] what a measurement found better, if one was made
//! (`limbeck bench --tune`); the `_with` functions take one by name. Every variant is
//! held against the same reference by the same cases.

#[cfg(feature = "selftest")]
mod cases;
mod common;
mod depthwise;
mod flipped;
mod matrix;
mod padded;
mod products;
mod register;
mod subgroup;
mod tiled;
mod tuned;
mod variant;
mod winograd;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
pub use common::{Epilogue, Pass, Tile};
use subgroup::Batch;
pub use tuned::{candidates, key, select};
pub use variant::{Variant, choose, variants};
#[cfg(feature = "selftest")]
pub use workloads::{Timed, distinct, workloads};

use super::batch_norm::Partials;
use crate::gpu::Gpu;
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result};

fn check(s: &Conv2d, what: &str, tensor: &Tensor, shape: [usize; 4]) -> Result<()> {
    if tensor.len() == shape.iter().product::<usize>() {
        return Ok(());
    }
    Err(Error::Shape(format!("conv2d {s:?}: {what} is {:?}, expected {shape:?}", tensor.shape())))
}

fn unserved(s: &Conv2d, pass: Pass, variant: Variant) -> Error {
    Error::Shape(format!("conv2d {s:?}: the variant {variant} does not serve its {pass}"))
}

fn check_variant(gpu: &Gpu, pass: Pass, s: &Conv2d, variant: Variant) -> Result<()> {
    if variant.serves(pass, s, gpu.profile()) { Ok(()) } else { Err(unserved(s, pass, variant)) }
}

/// `y = relu(conv(x, w) + bias + residual)`, `[n, oh, ow, co]`; see [`Epilogue`] for the optional parts.
pub fn forward(gpu: &Gpu, s: &Conv2d, x: &Tensor, w: &Tensor, epilogue: Epilogue) -> Result<Tensor> {
    forward_with(gpu, s, x, w, epilogue, select(gpu, Pass::Forward, s))
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
    run_forward(gpu, s, (x, w), (epilogue, None), variant)
}

/// [`forward`] without an epilogue, for a batch norm that follows: where the variant can, it leaves the partial sums of the
/// norm's statistics, which then need no pass over `y`.
pub fn forward_stats(gpu: &Gpu, s: &Conv2d, x: &Tensor, w: &Tensor) -> Result<(Tensor, Option<Partials>)> {
    forward_stats_with(gpu, s, x, w, select(gpu, Pass::Forward, s))
}

/// [`forward_stats`] in a given variant.
pub fn forward_stats_with(
    gpu: &Gpu,
    s: &Conv2d,
    x: &Tensor,
    w: &Tensor,
    variant: Variant,
) -> Result<(Tensor, Option<Partials>)> {
    s.check()?;
    check(s, "x", x, s.x_shape())?;
    check(s, "w", w, s.w_shape())?;
    let rows = match variant {
        Variant::Lanes(tile) | Variant::Padded(tile) => Some(tile.rows),
        Variant::Winograd(size) => winograd::stats_rows(s, size),
        Variant::Tiled(tile) => tiled::stats_rows(&plan(gpu, Pass::Forward, s, tile)),
        _ => None,
    };
    let chunks = |rows| (s.n * s.oh() * s.ow()).div_ceil(rows);
    let partials = rows.map(|rows| Ok(Partials { part: Tensor::empty(gpu, &[chunks(rows), 2, s.co])?, rows }));
    let partials: Option<Partials> = partials.transpose()?;
    let sums = partials.as_ref().map(|p| &p.part);
    Ok((run_forward(gpu, s, (x, w), (Epilogue::default(), sums), variant)?, partials))
}

/// `sums` is given to variants alone that know how to fill it.
fn run_forward(
    gpu: &Gpu,
    s: &Conv2d,
    (x, w): (&Tensor, &Tensor),
    (epilogue, sums): (Epilogue, Option<&Tensor>),
    variant: Variant,
) -> Result<Tensor> {
    check_variant(gpu, Pass::Forward, s, variant)?;
    let y = Tensor::empty(gpu, &s.y_shape())?;
    match variant {
        Variant::Register(tile) => register::forward(gpu, s, x, w, epilogue, &y, tile)?,
        Variant::Lanes(tile) => {
            subgroup::forward(gpu, s, Batch(1), (x, w), (epilogue, sums), &GradTarget::fresh(y.clone()), tile)?
        }
        Variant::Winograd(size) => {
            winograd::forward(gpu, s, x, w, (epilogue, sums), &y, (size, winograd::scratch(gpu)))?
        }
        Variant::Padded(tile) => {
            padded::forward(gpu, s, (x, w), (epilogue, sums), &GradTarget::fresh(y.clone()), tile)?
        }
        Variant::Turned(_) => return Err(unserved(s, Pass::Forward, variant)),
        Variant::Depthwise => depthwise::forward(gpu, s, x, w, epilogue, &y)?,
        Variant::Matrix(tile) => {
            matrix::forward(gpu, &matrix::Plan::new(Pass::Forward, s, tile, gpu.profile())?, x, w, epilogue, &y)?;
        }
        Variant::Tiled(tile) => {
            tiled::forward(gpu, &plan(gpu, Pass::Forward, s, tile), (x, w), (epilogue, sums), &y)?;
        }
    }
    Ok(y)
}

/// The gradient with respect to `x` from `dy` `[n, oh, ow, co]`.
pub fn input_grad(gpu: &Gpu, s: &Conv2d, dy: &Tensor, w: &Tensor, out: &GradTarget) -> Result<()> {
    input_grad_with(gpu, s, dy, w, out, select(gpu, Pass::InputGrad, s))
}

/// [`input_grad`] in a given variant.
pub fn input_grad_with(
    gpu: &Gpu,
    s: &Conv2d,
    dy: &Tensor,
    w: &Tensor,
    out: &GradTarget,
    variant: Variant,
) -> Result<()> {
    s.check()?;
    check(s, "dy", dy, s.y_shape())?;
    check(s, "w", w, s.w_shape())?;
    check(s, "dx", &out.tensor, s.x_shape())?;
    check_variant(gpu, Pass::InputGrad, s, variant)?;
    match variant {
        Variant::Register(tile) => register::input_grad(gpu, s, dy, w, out, tile),
        Variant::Lanes(tile) => subgroup::input_grad(gpu, s, Batch(1), (dy, w), out, tile),
        Variant::Padded(_) => Err(unserved(s, Pass::InputGrad, variant)),
        Variant::Turned(tile) => flipped::input_grad(gpu, s, dy, w, out, tile),
        Variant::Winograd(size) => winograd::input_grad(gpu, s, dy, w, out, (size, winograd::scratch(gpu))),
        Variant::Depthwise => depthwise::input_grad(gpu, s, dy, w, out),
        Variant::Matrix(tile) => {
            matrix::input_grad(gpu, &matrix::Plan::new(Pass::InputGrad, s, tile, gpu.profile())?, dy, w, out)
        }
        Variant::Tiled(tile) => tiled::input_grad(gpu, &plan(gpu, Pass::InputGrad, s, tile), dy, w, out),
    }
}

/// The gradient with respect to `w` from `x` and `dy`.
pub fn weight_grad(gpu: &Gpu, s: &Conv2d, x: &Tensor, dy: &Tensor, out: &GradTarget) -> Result<()> {
    weight_grad_with(gpu, s, x, dy, out, select(gpu, Pass::WeightGrad, s))
}

/// [`weight_grad`] in a given variant.
pub fn weight_grad_with(
    gpu: &Gpu,
    s: &Conv2d,
    x: &Tensor,
    dy: &Tensor,
    out: &GradTarget,
    variant: Variant,
) -> Result<()> {
    s.check()?;
    check(s, "x", x, s.x_shape())?;
    check(s, "dy", dy, s.y_shape())?;
    check(s, "dw", &out.tensor, s.w_shape())?;
    check_variant(gpu, Pass::WeightGrad, s, variant)?;
    match variant {
        Variant::Register(tile) => register::weight_grad(gpu, s, x, dy, out, tile),
        Variant::Lanes(tile) => subgroup::weight_grad(gpu, s, x, dy, out, tile),
        Variant::Padded(tile) => padded::weight_grad(gpu, s, x, dy, out, tile),
        Variant::Turned(_) => Err(unserved(s, Pass::WeightGrad, variant)),
        Variant::Winograd(size) => winograd::weight_grad(gpu, s, x, dy, out, size),
        Variant::Depthwise => depthwise::weight_grad(gpu, s, x, dy, out),
        Variant::Matrix(tile) => {
            matrix::weight_grad(gpu, &matrix::Plan::new(Pass::WeightGrad, s, tile, gpu.profile())?, x, dy, out)
        }
        Variant::Tiled(tile) => tiled::weight_grad(gpu, &plan(gpu, Pass::WeightGrad, s, tile), x, dy, out),
    }
}

fn plan<'a>(gpu: &Gpu, pass: Pass, s: &'a Conv2d, tile: Tile) -> tiled::Plan<'a> {
    tiled::Plan::new(pass, s, 1, tile, gpu.profile().class)
}
