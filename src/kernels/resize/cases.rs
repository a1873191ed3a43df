//! What is tried of `resize`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    [1, 4].map(|vec| Permutation { source: SOURCE, defines: defines! { VEC = vec } }).into()
}

/// Larger and smaller, by whole factors and by others.
pub fn cases() -> Vec<Case> {
    let shapes = [
        ([1, 1, 1, 1], [1, 1]),
        ([2, 4, 4, 5], [8, 8]),
        ([2, 1, 1, 3], [7, 5]),
        ([2, 3, 5, 3], [7, 8]),
        ([2, 3, 5, 8], [7, 8]),
        ([1, 5, 1, 4], [12, 6]),
        ([1, 9, 4, 8], [4, 2]),
        ([3, 6, 6, 4], [6, 6]),
        ([1, 33, 17, 2], [5, 40]),
    ];
    shapes.into_iter().map(|(x, y)| Case::new(format!("{x:?} to {y:?}"), move |gpu| run(gpu, x, y))).collect()
}

fn run(gpu: &Gpu, size: [usize; 4], out: [usize; 2]) -> Result<Vec<Check>> {
    let [n, _, _, c] = size;
    let (x, dy) = (values(1, size.iter().product()), values(2, n * out[0] * out[1] * c));
    let references = [
        (
            Interpolation::Nearest,
            reference::resize::nearest(&f64s(&x), size, out),
            reference::resize::nearest_grad(&f64s(&dy), size, out),
        ),
        (
            Interpolation::Bilinear,
            reference::resize::bilinear(&f64s(&x), size, out),
            reference::resize::bilinear_grad(&f64s(&dy), size, out),
        ),
    ];
    let (x, dy) = (Tensor::from_f32(gpu, &x, &size)?, Tensor::from_f32(gpu, &dy, &[n, out[0], out[1], c])?);
    let mut checks = Vec::new();
    for vec in [1, 4].into_iter().filter(|vec| c.is_multiple_of(*vec)) {
        for (how, want, grad) in &references {
            let y = resize_with(gpu, *how, &x, out, vec)?;
            checks.push(Check::sum(format!("y, {how:?}, VEC {vec}"), y.to_f32(gpu)?, want.clone(), 4));
            for accumulate in [false, true] {
                let (target, there) = destination(gpu, &size, accumulate)?;
                grad_with(gpu, *how, &dy, &target, vec)?;
                let want = added(&there, 1.0, grad);
                let what = format!("dx, {how:?}, VEC {vec}, accumulate {accumulate}");
                checks.push(Check::sum(what, target.tensor.to_f32(gpu)?, want, 36));
            }
        }
    }
    Ok(checks)
}
