//! Gradients made orthogonal and of one length.

use super::gramian::Gramian;
use super::method::{Method, Needs, Plain};
use super::solve::eigen;

/// Aligned-MTL (Senushkin et al. 2023, arXiv 2305.19000): `w = B p` with `B = √λ_min · V Λ^{-1/2} Vᵀ` from the eigenvalues of the
/// Gramian and `p` all `1/K`: the nearest gradients that are orthogonal and of the length of the least stretched direction,
/// averaged. Directions without extent are left out.
pub fn aligned_mtl(gramian: &Gramian) -> Vec<f64> {
    let tasks = gramian.tasks();
    let mut pairs = eigen(gramian.values().to_vec(), tasks);
    let least = pairs[0].0 * tasks as f64 * f64::EPSILON;
    pairs.retain(|(value, _)| *value > least.max(0.0));
    let mean = 1.0 / tasks as f64;
    let Some((smallest, _)) = pairs.last() else { return vec![mean; tasks] };
    let scale = smallest.sqrt();
    let mut weights = vec![0.0; tasks];
    for (value, vector) in &pairs {
        let along = scale / value.sqrt() * vector.iter().sum::<f64>() * mean;
        weights.iter_mut().zip(vector).for_each(|(w, e)| *w += along * e);
    }
    weights
}

pub(super) const ALIGNED_MTL: Method = Method {
    name: "aligned_mtl",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[],
    make: |_| Box::new(Plain(|seen: &super::Seen| Ok(aligned_mtl(seen.gramian()?)))),
};
