//! Average pooling to a given size (PyTorch's `adaptive_avg_pool2d`), and its gradient.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{added, destination};
use crate::gpu::{Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Sizes that divide and sizes that do not, to one and to itself.
pub fn cases() -> Vec<Case> {
    let shapes = [
        ([1, 1, 1, 1], [1, 1]),
        ([2, 8, 8, 5], [4, 4]),
        ([2, 5, 7, 3], [2, 4]),
        ([1, 9, 4, 8], [1, 1]),
        ([3, 6, 6, 4], [6, 6]),
        ([1, 33, 17, 2], [5, 16]),
    ];
    shapes.into_iter().map(|(x, y)| Case::new(format!("{x:?} to {y:?}"), move |gpu| run(gpu, x, y))).collect()
}

fn run(gpu: &Gpu, size: [usize; 4], out: [usize; 2]) -> Result<Vec<Check>> {
    let [n, _, _, c] = size;
    let (x, dy) = (values(1, size.iter().product()), values(2, n * out[0] * out[1] * c));
    let want = reference::adaptive_pool::forward(&f64s(&x), size, out);
    let grad = reference::adaptive_pool::grad(&f64s(&dy), size, out);
    let (x, dy) = (Tensor::from_f32(gpu, &x, &size)?, Tensor::from_f32(gpu, &dy, &[n, out[0], out[1], c])?);
    let mut checks = vec![Check::sum("y", adaptive_pool(gpu, &x, out)?.to_f32(gpu)?, want, 16)];
    for accumulate in [false, true] {
        let (target, there) = destination(gpu, &size, accumulate)?;
        adaptive_pool_grad(gpu, &dy, &target)?;
        let want = added(&there, 1.0, &grad);
        checks.push(Check::sum(format!("dx, accumulate {accumulate}"), target.tensor.to_f32(gpu)?, want, 4));
    }
    Ok(checks)
}
