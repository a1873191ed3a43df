//! What is tried of `attention`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    RowParallelism::ALL.iter().map(|r| Permutation { source: SOURCE, defines: defines! { WIDE = r.wide() } }).collect()
}

/// Odd and even rows and channels.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 5), (65, 16), (33, 100), (9, 513)];
    shapes.into_iter().map(|(m, c)| Case::new(format!("[{m}, {c}]"), move |gpu| run(gpu, m, c))).collect()
}

fn run(gpu: &Gpu, m: usize, c: usize) -> Result<Vec<Check>> {
    let (f, da) = (values(1, m * c), values(2, m));
    let (f64, da64) = (f64s(&f), f64s(&da));
    let (f, da) = (Tensor::from_f32(gpu, &f, &[m, c])?, Tensor::from_f32(gpu, &da, &[m])?);
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        let got = attention_with(gpu, &f, rows)?.to_f32(gpu)?;
        checks.push(Check::sum(format!("a, {rows:?}"), got, reference::attention::forward(&f64, c), c));
    }
    for accumulate in [false, true] {
        let (out, there) = destination(gpu, &[m, c], accumulate)?;
        attention_grad(gpu, &f, &da, &out)?;
        let want = added(&there, 1.0, &reference::attention::grad(&f64, &da64, c));
        checks.push(Check::sum(format!("df, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, 1));
    }
    Ok(checks)
}
