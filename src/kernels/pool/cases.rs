//! What is tried of `pool`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

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
