//! What is tried of `rkd`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, f64s, fused, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Odd and even batches, and samples that are the same.
pub fn cases() -> Vec<Case> {
    let shapes = [(2, 3, 5, false), (3, 8, 4, false), (17, 16, 33, false), (40, 64, 32, false), (6, 4, 4, true)];
    let all = shapes.into_iter().flat_map(|s| [Relation::Distance, Relation::Angle].map(|r| (s, r)));
    all.map(|((n, c, d, duplicates), r)| {
        Case::new(format!("[{n}, {c}] {r:?}, duplicates {duplicates}"), move |g| run(g, n, c, d, duplicates, r))
    })
    .collect()
}

fn run(gpu: &Gpu, n: usize, c: usize, d: usize, duplicates: bool, relation: Relation) -> Result<Vec<Check>> {
    let (mut s, t) = (values(1, n * c), values(2, n * d));
    if duplicates {
        s.copy_within(0..c, c);
    }
    let (s64, t64) = (f64s(&s), f64s(&t));
    let (loss, grad) = match relation {
        Relation::Distance => (reference::rkd::distance(&s64, &t64, n), reference::rkd::distance_grad(&s64, &t64, n)),
        Relation::Angle => (reference::rkd::angle(&s64, &t64, n), reference::rkd::angle_grad(&s64, &t64, n)),
    };
    let (s, t) = (Tensor::from_f32(gpu, &s, &[n, c])?, Tensor::from_f32(gpu, &t, &[n, d])?);
    let shape = (&[n, c][..], relation.losses(n));
    fused(gpu, "", shape, 0.75, (loss, &grad), n * n, |out| rkd(gpu, &s, &t, relation, out))
}
