//! What is tried of `pkt`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, f64s, fused, values};
use crate::reference;
use crate::tensor::GradTarget;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [false, true].map(|grad| variant(*r, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even batches.
pub fn cases() -> Vec<Case> {
    [2, 3, 17, 64, 100].map(|n| Case::new(format!("{n} samples"), move |gpu| run(gpu, n))).into()
}

fn run(gpu: &Gpu, n: usize) -> Result<Vec<Check>> {
    // Cosines of vectors of their own, so that each is 1 with itself.
    let cosines = |seed: u64| -> Vec<f32> {
        let e = reference::normalize::forward(&f64s(&values(seed, n * 6)), 6, 1e-8);
        reference::gramian::products(&e, n).into_iter().map(|v| v as f32).collect()
    };
    let (s, t) = (cosines(1), cosines(2));
    let loss = reference::pkt::forward(&f64s(&s), &f64s(&t), n, EPS.into());
    let grad = reference::pkt::grad(&f64s(&s), &f64s(&t), n, EPS.into());
    let (s, t) = (Tensor::from_f32(gpu, &s, &[n, n])?, Tensor::from_f32(gpu, &t, &[n, n])?);
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        // The loss is a sum of differences of logarithms, small against each of them.
        let all = fused(gpu, &format!("{rows:?}"), (&[n, n], n), 0.75, (loss, &grad), 16 * n, |out| {
            // Its gradient is never added to what is there.
            let fresh = out.grad.map(|grad| GradTarget::fresh(grad.tensor.clone()));
            pkt_with(gpu, &s, &t, LossOut { grad: fresh.as_ref(), ..out }, rows)
        })?;
        checks.extend(all.into_iter().filter(|c| !c.what.contains("gradient") || !c.what.contains("Some(true)")));
    }
    Ok(checks)
}
