//! What is tried of `elementwise`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Lengths around the group's width, and one whose groups must be folded into two dimensions.
pub fn cases() -> Vec<Case> {
    [1, 63, 64, 65, 1000, 4_200_001].map(|n| Case::new(format!("{n} values"), move |gpu| run(gpu, n))).into()
}

fn run(gpu: &Gpu, n: usize) -> Result<Vec<Check>> {
    let (x, y) = (values(1, n), values(2, n));
    let (x64, y64) = (f64s(&x), f64s(&y));
    let (x, y) = (Tensor::from_f32(gpu, &x, &[n])?, Tensor::from_f32(gpu, &y, &[n])?);
    let mut checks = vec![Check::sum("relu", relu(gpu, &x)?.to_f32(gpu)?, reference::elementwise::relu(&x64), 1)];
    for accumulate in [false, true] {
        let (out, there) = destination(gpu, &[n], accumulate)?;
        axpy(gpu, -1.5, &x, &out)?;
        let want = reference::elementwise::axpy(-1.5, &x64, &there);
        checks.push(Check::sum(format!("axpy, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, 1));
        let (out, there) = destination(gpu, &[n], accumulate)?;
        relu_grad(gpu, &x, &y, &out)?;
        let want = added(&there, 1.0, &reference::elementwise::relu_grad(&y64, &x64));
        checks.push(Check::sum(format!("relu_grad, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, 1));
    }
    let there = values(3, n);
    let (average, factor) = (Tensor::from_f32(gpu, &there, &[n])?, Tensor::from_f32(gpu, &[0.25], &[1])?);
    lerp(gpu, &x, &factor, &average)?;
    let want = reference::elementwise::lerp(&f64s(&there), &x64, 0.25);
    checks.push(Check::sum("lerp", average.to_f32(gpu)?, want, 2));
    let filled = Tensor::empty(gpu, &[n])?;
    fill(gpu, &filled, 0.25)?;
    checks.push(Check::sum("fill", filled.to_f32(gpu)?, vec![0.25; n], 1));
    Ok(checks)
}
