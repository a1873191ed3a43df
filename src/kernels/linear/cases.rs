//! What is tried of `linear`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// None of its own: it runs on the convolution's shaders.
pub fn permutations() -> Vec<Permutation> {
    Vec::new()
}

/// Odd sizes, one row, and more features than a tile.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1, 1), (17, 33, 10), (64, 128, 100), (5, 513, 3), (3, 64, 65), (33, 20, 1000)];
    shapes
        .into_iter()
        .map(|(m, k, n)| Case::new(format!("[{m}, {k}] x [{n}, {k}]"), move |gpu| run(gpu, m, k, n)))
        .collect()
}

fn run(gpu: &Gpu, m: usize, k: usize, n: usize) -> Result<Vec<Check>> {
    let (x, w, b, dy) = (values(1, m * k), values(2, n * k), values(3, n), values(4, m * n));
    let (x64, w64, b64, dy64) = (f64s(&x), f64s(&w), f64s(&b), f64s(&dy));
    let (x, w) = (Tensor::from_f32(gpu, &x, &[m, k])?, Tensor::from_f32(gpu, &w, &[n, k])?);
    let (b, dy) = (Tensor::from_f32(gpu, &b, &[n])?, Tensor::from_f32(gpu, &dy, &[m, n])?);
    let want = reference::linear::forward(&x64, &w64, Some(&b64), m, k, n);
    let mut checks = vec![
        Check::sum("y", forward(gpu, &x, &w, Some(&b), false)?.to_f32(gpu)?, want.clone(), k),
        Check::sum(
            "relu(y)",
            forward(gpu, &x, &w, Some(&b), true)?.to_f32(gpu)?,
            reference::elementwise::relu(&want),
            k,
        ),
    ];
    for accumulate in [false, true] {
        let mut push = |what: &str, target: &GradTarget, want: Vec<f64>, terms| {
            let what = format!("{what}, accumulate {accumulate}");
            target.tensor.to_f32(gpu).map(|got| checks.push(Check::sum(what, got, want, terms)))
        };
        let (out, there) = destination(gpu, &[m, k], accumulate)?;
        input_grad(gpu, &x, &dy, &w, &out)?;
        push("dx", &out, added(&there, 1.0, &reference::linear::input_grad(&dy64, &w64, m, k, n)), n)?;
        let (out, there) = destination(gpu, &[n, k], accumulate)?;
        weight_grad(gpu, &x, &dy, &w, &out)?;
        push("dw", &out, added(&there, 1.0, &reference::linear::weight_grad(&x64, &dy64, m, k, n)), m)?;
        let (out, there) = destination(gpu, &[n], accumulate)?;
        bias_grad(gpu, &dy, &out)?;
        push("db", &out, added(&there, 1.0, &reference::reduce::column_sum(&dy64, n)), m)?;
    }
    Ok(checks)
}
