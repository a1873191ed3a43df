//! Maps in another size (PyTorch's `interpolate`, nearest and bilinear), and the gradients through them.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use crate::gpu::{Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "resize", text: include_str!("../../shaders/resize.wgsl") };

fn size(x: &[usize], [oh, ow]: [usize; 2]) -> Result<[usize; 4]> {
    match x {
        &[n, h, w, c] if n * h * w * c * oh * ow > 0 => Ok([n, h, w, c]),
        other => Err(Error::Shape(format!("{other:?} cannot be resized to {oh}x{ow}"))),
    }
}

/// How a value between the inputs is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The input nearest to it.
    Nearest,
    /// Between the four inputs around it (`align_corners=False`).
    Bilinear,
}

/// Channels that one invocation has.
fn choose(c: usize) -> usize {
    if c.is_multiple_of(4) { 4 } else { 1 }
}

fn launch<'a>(
    gpu: &'a Gpu,
    entry: &'static str,
    [n, h, w, c]: [usize; 4],
    [oh, ow]: [usize; 2],
    vec: usize,
) -> Result<Launch<'a>> {
    if !matches!(vec, 1 | 4) || !c.is_multiple_of(vec) {
        return Err(Error::Shape(format!("resize: {vec} of {c} channels an invocation")));
    }
    let launch = gpu.launch(SOURCE, entry, &defines! { VEC = vec })?;
    Ok(launch.u32("n", n).u32("h", h).u32("w", w).u32("c", c / vec).u32("oh", oh).u32("ow", ow))
}

/// `x` `[n, h, w, c]` → `[n, oh, ow, c]`, each output the input nearest to it.
pub fn nearest(gpu: &Gpu, x: &Tensor, out: [usize; 2]) -> Result<Tensor> {
    resize_with(gpu, Interpolation::Nearest, x, out, choose(x.columns()))
}

/// `x` `[n, h, w, c]` → `[n, oh, ow, c]`, each output between the four inputs around it (`align_corners=False`).
pub fn bilinear(gpu: &Gpu, x: &Tensor, out: [usize; 2]) -> Result<Tensor> {
    resize_with(gpu, Interpolation::Bilinear, x, out, choose(x.columns()))
}

/// [`nearest`] or [`bilinear`] with 4 channels or 1 an invocation.
pub fn resize_with(gpu: &Gpu, how: Interpolation, x: &Tensor, out: [usize; 2], vec: usize) -> Result<Tensor> {
    let size = size(x.shape(), out)?;
    let y = Tensor::empty(gpu, &[size[0], out[0], out[1], size[3]])?;
    let (entry, from, to) = match how {
        Interpolation::Nearest => ("nearest", "x", "y"),
        Interpolation::Bilinear => ("bilinear", "source", "scaled"),
    };
    let launch = launch(gpu, entry, size, out, vec)?.bind(from, x).bind(to, &y).u32("accumulate", 0);
    launch.threads(y.len() / vec)?;
    Ok(y)
}

/// The gradient of [`nearest`] with respect to `x`, from `dy` `[n, oh, ow, c]`.
pub fn nearest_grad(gpu: &Gpu, dy: &Tensor, dx: &GradTarget) -> Result<()> {
    grad_with(gpu, Interpolation::Nearest, dy, dx, choose(dy.columns()))
}

/// The gradient of [`bilinear`] with respect to `x`, from `dy` `[n, oh, ow, c]`.
pub fn bilinear_grad(gpu: &Gpu, dy: &Tensor, dx: &GradTarget) -> Result<()> {
    grad_with(gpu, Interpolation::Bilinear, dy, dx, choose(dy.columns()))
}

/// [`nearest_grad`] or [`bilinear_grad`] with 4 channels or 1 an invocation.
pub fn grad_with(gpu: &Gpu, how: Interpolation, dy: &Tensor, dx: &GradTarget, vec: usize) -> Result<()> {
    let &[n, oh, ow, c] = dy.shape() else {
        return Err(Error::Shape(format!("resize: the gradient of a map is no {:?}", dy.shape())));
    };
    let size = size(dx.tensor.shape(), [oh, ow])?;
    if (n, c) != (size[0], size[3]) {
        let (dy, dx) = (dy.shape(), dx.tensor.shape());
        return Err(Error::Shape(format!("resize: a gradient {dy:?} for a map {dx:?}")));
    }
    // Outputs along one side that an input may go into.
    let reach = |size: usize, out: usize| match how {
        Interpolation::Nearest => out.div_ceil(size) + 1,
        Interpolation::Bilinear => 2 * out.div_ceil(size) + 2,
    };
    let entry = if how == Interpolation::Nearest { "nearest_grad" } else { "bilinear_grad" };
    let launch = launch(gpu, entry, size, [oh, ow], vec)?.bind("dy", dy).bind("dx", &dx.tensor);
    let launch = launch.u32("accumulate", dx.flag()).turns(reach(size[1], oh) * (reach(size[2], ow) + 1));
    launch.threads(dx.tensor.len() / vec)
}
