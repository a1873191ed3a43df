//! Maps in another size (PyTorch's `interpolate`, nearest and bilinear), and the gradients through them.

mod workloads;

pub use workloads::workloads;

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{added, destination};
use crate::gpu::{Gpu, Launch, Source};
use crate::tensor::{Target, Tensor};
use crate::{Error, Result, defines, twin};

const SOURCE: Source = Source { name: "resize", text: include_str!("../../shaders/resize.wgsl") };

fn size(x: &[usize], [oh, ow]: [usize; 2]) -> Result<[usize; 4]> {
    match x {
        &[n, h, w, c] if n * h * w * c * oh * ow > 0 => Ok([n, h, w, c]),
        other => Err(Error::Shape(format!("{other:?} cannot be resized to {oh}x{ow}"))),
    }
}

fn prepare<'a>(launch: Launch<'a>, [n, h, w, c]: [usize; 4], [oh, ow]: [usize; 2]) -> Launch<'a> {
    launch.u32("n", n).u32("h", h).u32("w", w).u32("c", c).u32("oh", oh).u32("ow", ow)
}

/// `x` `[n, h, w, c]` → `[n, oh, ow, c]`, each output the input nearest to it.
pub fn nearest(gpu: &Gpu, x: &Tensor, out: [usize; 2]) -> Result<Tensor> {
    forward(gpu, "nearest", ("x", "y"), x, out)
}

/// `x` `[n, h, w, c]` → `[n, oh, ow, c]`, each output between the four inputs around it (`align_corners=False`).
pub fn bilinear(gpu: &Gpu, x: &Tensor, out: [usize; 2]) -> Result<Tensor> {
    forward(gpu, "bilinear", ("source", "scaled"), x, out)
}

fn forward(gpu: &Gpu, entry: &'static str, (from, to): (&str, &str), x: &Tensor, out: [usize; 2]) -> Result<Tensor> {
    let size = size(x.shape(), out)?;
    let y = Tensor::empty(gpu, &[size[0], out[0], out[1], size[3]])?;
    let launch = gpu.launch(SOURCE, entry, &defines! {})?.bind(from, x).bind(to, &y).u32("accumulate", 0);
    prepare(launch, size, out).threads(y.len())?;
    Ok(y)
}

/// The gradient of [`nearest`] with respect to `x`, from `dy` `[n, oh, ow, c]`.
pub fn nearest_grad(gpu: &Gpu, dy: &Tensor, dx: &Target) -> Result<()> {
    backward(gpu, "nearest_grad", dy, dx, |size, out| out.div_ceil(size) + 1)
}

/// The gradient of [`bilinear`] with respect to `x`, from `dy` `[n, oh, ow, c]`.
pub fn bilinear_grad(gpu: &Gpu, dy: &Tensor, dx: &Target) -> Result<()> {
    backward(gpu, "bilinear_grad", dy, dx, |size, out| 2 * out.div_ceil(size) + 2)
}

/// `reach(size, out)`: outputs along one side that an input may go into.
fn backward(gpu: &Gpu, entry: &'static str, dy: &Tensor, dx: &Target, reach: fn(usize, usize) -> usize) -> Result<()> {
    let &[n, oh, ow, c] = dy.shape() else {
        return Err(Error::Shape(format!("resize: the gradient of a map is no {:?}", dy.shape())));
    };
    let size = size(dx.tensor.shape(), [oh, ow])?;
    if (n, c) != (size[0], size[3]) {
        let (dy, dx) = (dy.shape(), dx.tensor.shape());
        return Err(Error::Shape(format!("resize: a gradient {dy:?} for a map {dx:?}")));
    }
    let turns = reach(size[1], oh) * (reach(size[2], ow) + 1);
    let launch = gpu.launch(SOURCE, entry, &defines! {})?.bind("dy", dy).bind("dx", &dx.tensor);
    prepare(launch.u32("accumulate", dx.flag()), size, [oh, ow]).turns(turns).threads(dx.tensor.len())
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Larger and smaller, by whole factors and by others.
pub fn cases() -> Vec<Case> {
    let shapes = [
        ([1, 1, 1, 1], [1, 1]),
        ([2, 4, 4, 5], [8, 8]),
        ([2, 1, 1, 3], [7, 5]),
        ([2, 3, 5, 3], [7, 8]),
        ([1, 9, 4, 8], [4, 2]),
        ([3, 6, 6, 4], [6, 6]),
        ([1, 33, 17, 2], [5, 40]),
    ];
    shapes.into_iter().map(|(x, y)| Case::new(format!("{x:?} to {y:?}"), move |gpu| run(gpu, x, y))).collect()
}

fn run(gpu: &Gpu, size: [usize; 4], out: [usize; 2]) -> Result<Vec<Check>> {
    let [n, _, _, c] = size;
    let (x, dy) = (values(1, size.iter().product()), values(2, n * out[0] * out[1] * c));
    let twins = [
        ("nearest", twin::resize::nearest(&f64s(&x), size, out), twin::resize::nearest_grad(&f64s(&dy), size, out)),
        ("bilinear", twin::resize::bilinear(&f64s(&x), size, out), twin::resize::bilinear_grad(&f64s(&dy), size, out)),
    ];
    let (x, dy) = (Tensor::from_f32(gpu, &x, &size)?, Tensor::from_f32(gpu, &dy, &[n, out[0], out[1], c])?);
    let mut checks = Vec::new();
    for (mode, want, grad) in twins {
        let y = if mode == "nearest" { nearest(gpu, &x, out)? } else { bilinear(gpu, &x, out)? };
        checks.push(Check::sum(format!("y, {mode}"), y.to_f32(gpu)?, want, 4));
        for accumulate in [false, true] {
            let (target, there) = destination(gpu, &size, accumulate)?;
            let backward = if mode == "nearest" { nearest_grad } else { bilinear_grad };
            backward(gpu, &dy, &target)?;
            let want = added(&there, 1.0, &grad);
            let what = format!("dx, {mode}, accumulate {accumulate}");
            checks.push(Check::sum(what, target.tensor.to_f32(gpu)?, want, 36));
        }
    }
    Ok(checks)
}
