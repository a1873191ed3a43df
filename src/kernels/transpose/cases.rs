//! What is tried of `transpose`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Odd and even sizes, single rows and columns.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1, 1), (2, 1, 7), (2, 7, 1), (3, 5, 17), (1, 33, 65), (2, 64, 64)];
    shapes.into_iter().map(|(n, r, c)| Case::new(format!("[{n}, {r}, {c}]"), move |gpu| run(gpu, n, r, c))).collect()
}

fn run(gpu: &Gpu, n: usize, r: usize, c: usize) -> Result<Vec<Check>> {
    let x = values(1, n * r * c);
    let on_gpu = Tensor::from_f32(gpu, &x, &[n, r, c])?;
    let mut checks = Vec::new();
    for accumulate in [false, true] {
        let (out, there) = destination(gpu, &[n, c, r], accumulate)?;
        transpose(gpu, &on_gpu, [r, c], &out)?;
        let want = added(&there, 1.0, &reference::transpose::matrices(&f64s(&x), [r, c]));
        checks.push(Check::sum(format!("y, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, 1));
    }
    Ok(checks)
}
