//! What is tried of `gradient_norm`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Lengths around the group's width and past the largest number of groups; clipped and not.
pub fn cases() -> Vec<Case> {
    let lengths = [1, 3, 255, 256, 257, 4097, 70_001, 1_200_003];
    let all = lengths.into_iter().flat_map(|n| [0.5, 1e6].map(|max| (n, max)));
    all.map(|(n, max)| Case::new(format!("{n} values, at most {max}"), move |gpu| run(gpu, n, max))).collect()
}

fn run(gpu: &Gpu, n: usize, max: f32) -> Result<Vec<Check>> {
    let g = values(3, n);
    let norm = reference::gradient_norm::norm(&f64s(&g));
    let want = [norm, reference::gradient_norm::clip_factor(norm, max.into())];
    let got = clip(gpu, &Tensor::from_f32(gpu, &g, &[n])?, max)?.to_f32(gpu)?;
    let one = |what: &str, i: usize| Check::sum(what, vec![got[i]], vec![want[i]], 16);
    Ok(vec![one("norm", 0), one("factor", 1)])
}
