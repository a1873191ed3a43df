//! Max, average and global average pooling over `[n, h, w, c]`, and their gradients.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{added, destination, expect};
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::shape::Pool2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = [1, 4].iter().flat_map(|vec| [1, 2, 3].map(|stride| variant_defines(*vec, stride)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even images and channels, windows that overlap, leave pixels out, or reach into the padding; every window
/// of the rounded values has several maxima.
pub fn cases() -> Vec<Case> {
    let s = |n, h, w, c, kernel, stride, padding| Pool2d { n, h, w, c, kernel, stride, padding };
    let shapes = [
        s(2, 16, 16, 8, 2, 2, 0),
        s(2, 15, 13, 5, 3, 2, 1),
        s(1, 7, 7, 3, 3, 1, 1),
        s(3, 5, 9, 4, 2, 2, 1),
        s(1, 33, 17, 10, 3, 2, 0),
        s(5, 3, 3, 100, 3, 1, 1),
        s(1, 9, 8, 12, 2, 3, 0),
        s(1, 1, 1, 1, 1, 1, 0),
        s(2, 8, 5, 4, 5, 2, 2),
        s(17, 1, 3, 65, 1, 2, 0),
    ];
    let all = shapes.into_iter().flat_map(|s| [false, true].map(|rounded| (s, rounded)));
    all.map(|(s, rounded)| Case::new(format!("{s:?} rounded {rounded}"), move |gpu| run(gpu, &s, rounded))).collect()
}

fn run(gpu: &Gpu, s: &Pool2d, rounded: bool) -> Result<Vec<Check>> {
    let (x_shape, y_shape) = (x_shape(s), y_shape(s));
    let (x_len, y_len) = (x_shape.iter().product(), y_shape.iter().product());
    let x: Vec<f32> = values(1, x_len).iter().map(|v| if rounded { v.round() } else { *v }).collect();
    let (dy, dg) = (values(2, y_len), values(3, s.n * s.c));
    let (x64, dy64) = (f64s(&x), f64s(&dy));
    let max_want = reference::pool::max(s, &x64);
    let avg_want = reference::pool::avg(s, &x64);
    let global_want = reference::pool::global_avg(&x64, s.n, s.h * s.w, s.c);
    let max_dx = reference::pool::max_grad(s, &x64, &dy64);
    let avg_dx = reference::pool::avg_grad(s, &dy64);
    let global_dx = reference::pool::global_avg_grad(&f64s(&dg), s.n, s.h * s.w, s.c);
    let x = Tensor::from_f32(gpu, &x, &x_shape)?;
    let dy = Tensor::from_f32(gpu, &dy, &y_shape)?;
    let dg = Tensor::from_f32(gpu, &dg, &[s.n, s.c])?;
    let area = s.kernel * s.kernel;
    let mut checks = Vec::new();
    for vec in [1, 4].into_iter().filter(|vec| s.c.is_multiple_of(*vec)) {
        let y = max_with(gpu, s, &x, vec)?;
        let mut push = |what: &str, got: &Tensor, want: Vec<f64>, k: usize| -> Result<()> {
            checks.push(Check::sum(format!("{what}, VEC {vec}"), got.to_f32(gpu)?, want, k));
            Ok(())
        };
        push("max", &y, max_want.clone(), 1)?;
        push("avg", &avg_with(gpu, s, &x, vec)?, avg_want.clone(), area)?;
        push("global_avg", &global_avg_with(gpu, &x, vec)?, global_want.clone(), s.h * s.w)?;
        for accumulate in [false, true] {
            let (out, there) = destination(gpu, &x_shape, accumulate)?;
            max_grad_with(gpu, s, &x, &y, &dy, &out, vec)?;
            push(&format!("max_grad, accumulate {accumulate}"), &out.tensor, added(&there, 1.0, &max_dx), area)?;
            let (out, there) = destination(gpu, &x_shape, accumulate)?;
            avg_grad_with(gpu, s, &dy, &out, vec)?;
            push(&format!("avg_grad, accumulate {accumulate}"), &out.tensor, added(&there, 1.0, &avg_dx), area)?;
            let (out, there) = destination(gpu, &x_shape, accumulate)?;
            global_avg_grad_with(gpu, &dg, &out, vec)?;
            push(&format!("global_avg_grad, accumulate {accumulate}"), &out.tensor, added(&there, 1.0, &global_dx), 1)?;
        }
    }
    Ok(checks)
}
