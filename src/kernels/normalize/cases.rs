//! What is tried of `normalize`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    RowParallelism::ALL.iter().map(|r| Permutation { source: SOURCE, defines: defines! { WIDE = r.wide() } }).collect()
}

/// Odd and even sizes; rows shorter than eps.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 5), (65, 16), (33, 100), (9, 1000)];
    let all = shapes.iter().flat_map(|s| [1e-8, 3.0].map(|eps| (*s, eps)));
    all.map(|((m, c), eps)| Case::new(format!("[{m}, {c}] eps {eps}"), move |gpu| run(gpu, m, c, eps))).collect()
}

fn run(gpu: &Gpu, m: usize, c: usize, eps: f32) -> Result<Vec<Check>> {
    let (x, dy) = (values(1, m * c), values(2, m * c));
    let (x64, dy64) = (f64s(&x), f64s(&dy));
    let (x, dy) = (Tensor::from_f32(gpu, &x, &[m, c])?, Tensor::from_f32(gpu, &dy, &[m, c])?);
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        let want = reference::normalize::forward(&x64, c, eps.into());
        checks.push(Check::sum(format!("y, {rows:?}"), normalize_with(gpu, &x, eps, rows)?.to_f32(gpu)?, want, c));
        for accumulate in [false, true] {
            let (out, there) = destination(gpu, &[m, c], accumulate)?;
            normalize_grad_with(gpu, &x, &dy, eps, &out, rows)?;
            let want = added(&there, 1.0, &reference::normalize::grad(&x64, &dy64, c, eps.into()));
            checks.push(Check::sum(format!("dx, {rows:?}, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, c));
        }
    }
    Ok(checks)
}
