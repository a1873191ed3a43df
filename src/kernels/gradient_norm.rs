//! The norm of all gradients, and clipping by it (Pascanu et al. 2013).

use super::case::{Case, Check, Permutation, f64s, values};
use crate::gpu::{Gpu, Source};
use crate::tensor::Tensor;
use crate::{Result, defines, reference};

const SOURCE: Source = Source { name: "gradient_norm", text: include_str!("../../shaders/gradient_norm.wgsl") };

/// `[2]`: the norm of `grad` and the factor `min(1, max_norm / (norm + 1e-6))` by which the optimiser scales it.
pub fn clip(gpu: &Gpu, grad: &Tensor, max_norm: f32) -> Result<Tensor> {
    let parts = grad.len().div_ceil(4096).clamp(1, 256);
    let (part, out) = (Tensor::empty(gpu, &[parts])?, Tensor::empty(gpu, &[2])?);
    let pass = |entry, g: &Tensor, out: &Tensor, groups: usize| {
        gpu.launch(SOURCE, entry, &defines! {})?
            .bind("g", g)
            .bind("out", out)
            .u32("length", grad.len())
            .u32("parts", parts)
            .turns(grad.len().div_ceil(256 * parts).max(parts))
            .f32("max_norm", max_norm)
            .groups(groups)
    };
    pass("squares", grad, &part, parts)?;
    pass("finish", &part, &out, 1)?;
    Ok(out)
}

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
