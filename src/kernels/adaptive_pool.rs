//! Average pooling to a given size (PyTorch's `adaptive_avg_pool2d`), and its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use crate::gpu::{Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "adaptive_pool", text: include_str!("../../shaders/adaptive_pool.wgsl") };

/// The input's size, where it can be pooled to `[oh, ow]`.
fn size(x: &[usize], [oh, ow]: [usize; 2]) -> Result<[usize; 4]> {
    match x {
        &[n, h, w, c] if (1..=h).contains(&oh) && (1..=w).contains(&ow) => Ok([n, h, w, c]),
        other => Err(Error::Shape(format!("{other:?} cannot be pooled to {oh}x{ow}"))),
    }
}

fn prepare<'a>(launch: Launch<'a>, [n, h, w, c]: [usize; 4], [oh, ow]: [usize; 2]) -> Launch<'a> {
    let windows = (h.div_ceil(oh) + 1) * (w.div_ceil(ow) + 1);
    launch.u32("n", n).u32("h", h).u32("w", w).u32("c", c).u32("oh", oh).u32("ow", ow).turns(windows.max(9))
}

/// `x` `[n, h, w, c]` → `[n, oh, ow, c]`, no size larger than before.
pub fn adaptive_pool(gpu: &Gpu, x: &Tensor, out: [usize; 2]) -> Result<Tensor> {
    let size = size(x.shape(), out)?;
    let y = Tensor::empty(gpu, &[size[0], out[0], out[1], size[3]])?;
    let launch = gpu.launch(SOURCE, "adaptive_pool", &defines! {})?.bind("x", x).bind("y", &y).u32("accumulate", 0);
    prepare(launch, size, out).threads(y.len())?;
    Ok(y)
}

/// The gradient of [`adaptive_pool`] with respect to `x`, from `dy` `[n, oh, ow, c]`.
pub fn adaptive_pool_grad(gpu: &Gpu, dy: &Tensor, dx: &GradTarget) -> Result<()> {
    let &[n, oh, ow, c] = dy.shape() else {
        return Err(Error::Shape(format!("adaptive_pool: the gradient of a map is no {:?}", dy.shape())));
    };
    let size = size(dx.tensor.shape(), [oh, ow])?;
    if (n, c) != (size[0], size[3]) {
        let (dy, dx) = (dy.shape(), dx.tensor.shape());
        return Err(Error::Shape(format!(
            "adaptive_pool: the gradient {dy:?} is of another batch or width than {dx:?}"
        )));
    }
    let launch = gpu.launch(SOURCE, "adaptive_pool_grad", &defines! {})?.bind("dy", dy).bind("dx", &dx.tensor);
    prepare(launch.u32("accumulate", dx.flag()), size, [oh, ow]).threads(dx.tensor.len())
}
