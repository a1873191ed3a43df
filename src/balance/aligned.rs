//! Gradients made orthogonal and of one length.

use super::gramian::{Gramian, TOLERANCE};
use super::method::{Method, Needs, Plain};
use super::solve::singular;

/// Aligned-MTL (Senushkin et al. 2023, arXiv 2305.19000): `w = B p` with `B = √λ_min · V Λ^{-1/2} Vᵀ` from the eigenvalues of the
/// Gramian and `p` all `1/K`: the nearest gradients that are orthogonal and of the length of the least stretched direction,
/// averaged.
///
/// Directions without extent are left out, so that `λ_min` is the least of the others: of dependent gradients it is not small, of
/// nearly dependent ones (beyond [`TOLERANCE`]) it is, and so is the combination. Two opposite gradients have one direction, and the
/// combination is their mean; zero where they are equally long. A short gradient is a direction like any other, and all become as
/// short. The combination is never longer than `√(λ_min / K)`, nor the weights, together, than `1 / √K`.
pub fn aligned_mtl(gramian: &Gramian) -> Vec<f64> {
    let tasks = gramian.tasks();
    let mean = 1.0 / tasks as f64;
    let mut weights = vec![0.0; tasks];
    let moving = gramian.moving();
    if moving.is_empty() {
        return vec![mean; tasks];
    }
    let rows = gramian.of_tasks(&moving).rows();
    let mut pairs = singular(rows.clone());
    pairs.truncate(rows[0].len());
    let smallest = pairs.last().map_or(0.0, |p| p.0);
    for (value, vector) in &pairs {
        let (sum, size) = vector.iter().fold((0.0, 0.0), |(sum, size), v| (sum + v, size + v.abs()));
        // Opposite signs that cancel: what is left of the sum is rounding, and there may be nothing larger to hide it.
        if f64::abs(sum) > tasks as f64 * TOLERANCE * size {
            let along = smallest / value * sum * mean;
            moving.iter().zip(vector).for_each(|(k, e)| weights[*k] += along * e);
        }
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
