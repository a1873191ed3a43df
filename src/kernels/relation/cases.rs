//! What is tried of `relation`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Odd and even sizes.
pub fn cases() -> Vec<Case> {
    [(2, 1), (3, 5), (16, 33), (65, 64)]
        .into_iter()
        .map(|(m, c)| Case::new(format!("[{m}, {c}]"), move |gpu| run(gpu, m, c)))
        .collect()
}

fn run(gpu: &Gpu, m: usize, c: usize) -> Result<Vec<Check>> {
    let (x, square) = (values(1, m * c), values(2, m * m));
    let (x64, square64) = (f64s(&x), f64s(&square));
    let (x, square) = (Tensor::from_f32(gpu, &x, &[m, c])?, Tensor::from_f32(gpu, &square, &[m, m])?);
    let got = symmetric(gpu, &square)?.to_f32(gpu)?;
    let mut checks = vec![Check::sum("symmetric", got, reference::relation::symmetric(&square64, m), 1)];
    for accumulate in [false, true] {
        let (out, there) = destination(gpu, &[m, c], accumulate)?;
        centre(gpu, &x, &out)?;
        let want = added(&there, 1.0, &reference::relation::centre(&x64, c));
        checks.push(Check::sum(format!("centre, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, m));
    }
    Ok(checks)
}
