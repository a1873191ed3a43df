//! Max, average and global average pooling over `[n, h, w, c]`, and their gradients.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::rows::expect;
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::shape::Pool2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "pool", text: include_str!("../../shaders/pool.wgsl") };

/// Channels an invocation serves.
pub fn choose(channels: usize) -> usize {
    if channels.is_multiple_of(4) { 4 } else { 1 }
}

/// The common strides are compiled in, as dividing by them is dear.
fn variant_defines(vec: usize, stride: usize) -> Defines {
    defines! { VEC = vec, STRIDE = if stride <= 2 { stride } else { 0 } }
}

fn x_shape(s: &Pool2d) -> [usize; 4] {
    [s.n, s.h, s.w, s.c]
}

fn y_shape(s: &Pool2d) -> [usize; 4] {
    [s.n, s.oh(), s.ow(), s.c]
}

/// A launch of `entry` over the elements of `shape`, all parameters set; and the number of its invocations.
fn launch<'a>(
    gpu: &'a Gpu,
    entry: &'static str,
    s: &Pool2d,
    shape: &[usize],
    out: Option<&GradTarget>,
    vec: usize,
) -> Result<(Launch<'a>, usize)> {
    let total = shape.iter().product::<usize>() / vec;
    let window = s.kernel * (s.kernel + 1);
    // The windows a pixel lies in, and the loops over their rows.
    let windows = s.kernel.div_ceil(s.stride).pow(2) + s.kernel.div_ceil(s.stride);
    let turns = match entry {
        "global_avg" => s.h * s.w,
        "max_pool_grad" => windows * (1 + window),
        "avg_pool_grad" => windows,
        _ => window,
    };
    let launch = gpu
        .launch(SOURCE, entry, &variant_defines(vec, s.stride))?
        .u32("total", total)
        .u32("h", s.h)
        .u32("w", s.w)
        .u32("oh", s.oh())
        .u32("ow", s.ow())
        .u32("c", s.c)
        .u32("kernel", s.kernel)
        .u32("stride", s.stride)
        .u32("padding", s.padding)
        .u32("accumulate", out.map_or(0, GradTarget::flag))
        .turns(turns)
        .cost((shape.iter().product::<usize>() * s.kernel * s.kernel) as u64 * 2);
    Ok((launch, total))
}

/// The maximum of each window, `[n, oh, ow, c]`; padding is never the maximum.
pub fn max(gpu: &Gpu, s: &Pool2d, x: &Tensor) -> Result<Tensor> {
    max_with(gpu, s, x, choose(s.c))
}

/// [`max`] with 4 channels or 1 an invocation.
pub fn max_with(gpu: &Gpu, s: &Pool2d, x: &Tensor, vec: usize) -> Result<Tensor> {
    forward(gpu, "max_pool", s, x, vec)
}

/// The mean of each window, `[n, oh, ow, c]`; padding counts as zeros (`count_include_pad`).
pub fn avg(gpu: &Gpu, s: &Pool2d, x: &Tensor) -> Result<Tensor> {
    avg_with(gpu, s, x, choose(s.c))
}

/// [`avg`] with 4 channels or 1 an invocation.
pub fn avg_with(gpu: &Gpu, s: &Pool2d, x: &Tensor, vec: usize) -> Result<Tensor> {
    forward(gpu, "avg_pool", s, x, vec)
}

fn forward(gpu: &Gpu, entry: &'static str, s: &Pool2d, x: &Tensor, vec: usize) -> Result<Tensor> {
    s.check()?;
    expect("pool", "x", x, &x_shape(s))?;
    let y = Tensor::empty(gpu, &y_shape(s))?;
    let (launch, total) = launch(gpu, entry, s, y.shape(), None, vec)?;
    launch.bind("x", x).bind("y", &y).threads(total)?;
    Ok(y)
}

/// The gradient of [`max`] with respect to `x`, from `x`, `y` and `dy`: each `dy` goes to the window's first maximum
/// (row by row), as in PyTorch.
pub fn max_grad(gpu: &Gpu, s: &Pool2d, x: &Tensor, y: &Tensor, dy: &Tensor, out: &GradTarget) -> Result<()> {
    max_grad_with(gpu, s, x, y, dy, out, choose(s.c))
}

/// [`max_grad`] with 4 channels or 1 an invocation.
pub fn max_grad_with(
    gpu: &Gpu,
    s: &Pool2d,
    x: &Tensor,
    y: &Tensor,
    dy: &Tensor,
    out: &GradTarget,
    vec: usize,
) -> Result<()> {
    s.check()?;
    expect("pool", "x", x, &x_shape(s))?;
    expect("pool", "y", y, &y_shape(s))?;
    expect("pool", "dy", dy, &y_shape(s))?;
    expect("pool", "dx", &out.tensor, &x_shape(s))?;
    let (launch, total) = launch(gpu, "max_pool_grad", s, &x_shape(s), Some(out), vec)?;
    launch.bind("x", x).bind("out", y).bind("dy", dy).bind("dx", &out.tensor).threads(total)
}

/// The gradient of [`avg`] with respect to `x`, from `dy`.
pub fn avg_grad(gpu: &Gpu, s: &Pool2d, dy: &Tensor, out: &GradTarget) -> Result<()> {
    avg_grad_with(gpu, s, dy, out, choose(s.c))
}

/// [`avg_grad`] with 4 channels or 1 an invocation.
pub fn avg_grad_with(gpu: &Gpu, s: &Pool2d, dy: &Tensor, out: &GradTarget, vec: usize) -> Result<()> {
    s.check()?;
    expect("pool", "dy", dy, &y_shape(s))?;
    expect("pool", "dx", &out.tensor, &x_shape(s))?;
    let (launch, total) = launch(gpu, "avg_pool_grad", s, &x_shape(s), Some(out), vec)?;
    launch.bind("dy", dy).bind("dx", &out.tensor).threads(total)
}

/// The whole image as one window.
fn whole(shape: &[usize]) -> Result<Pool2d> {
    match *shape {
        [n, h, w, c] if n * h * w * c > 0 => Ok(Pool2d { n, h, w, c, kernel: 1, stride: 1, padding: 0 }),
        _ => Err(Error::Shape(format!("global average pooling of {shape:?}, expected [n, h, w, c]"))),
    }
}

/// The mean over the pixels of `x` `[n, h, w, c]`: `[n, c]`.
pub fn global_avg(gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
    global_avg_with(gpu, x, choose(x.columns()))
}

/// [`global_avg`] with 4 channels or 1 an invocation.
pub fn global_avg_with(gpu: &Gpu, x: &Tensor, vec: usize) -> Result<Tensor> {
    let s = whole(x.shape())?;
    let y = Tensor::empty(gpu, &[s.n, s.c])?;
    let (launch, total) = launch(gpu, "global_avg", &s, y.shape(), None, vec)?;
    launch.cost(x.len() as u64).bind("x", x).bind("y", &y).threads(total)?;
    Ok(y)
}

/// The gradient of [`global_avg`] with respect to `x`, from `dy` `[n, c]`; `out` has the shape of `x`.
pub fn global_avg_grad(gpu: &Gpu, dy: &Tensor, out: &GradTarget) -> Result<()> {
    global_avg_grad_with(gpu, dy, out, choose(dy.columns()))
}

/// [`global_avg_grad`] with 4 channels or 1 an invocation.
pub fn global_avg_grad_with(gpu: &Gpu, dy: &Tensor, out: &GradTarget, vec: usize) -> Result<()> {
    let s = whole(out.tensor.shape())?;
    expect("pool", "dy", dy, &[s.n, s.c])?;
    let (launch, total) = launch(gpu, "global_avg_grad", &s, out.tensor.shape(), Some(out), vec)?;
    launch.bind("dy", dy).bind("dx", &out.tensor).threads(total)
}
