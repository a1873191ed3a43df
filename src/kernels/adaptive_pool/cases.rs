//! What is tried of `adaptive_pool`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

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
