//! Equal projections.

use super::gramian::{Gramian, TOLERANCE};
use super::method::{Method, Needs, Plain, moving};

/// IMTL-G (Liu et al. 2021, "Towards impartial multi-task learning", ICLR): the combination, with weights of sum 1, whose
/// projections onto all the gradients' directions are equal: `w_k = v_k / ‖g_k‖` with `C v ∝ 1`, `C` the cosines of the gradients.
/// Weights may be negative.
///
/// - Dependent gradients: where `C v = 1` has a solution, its shortest one, which treats like directions alike (`g` and `2 g` give
///   `4/3 g`, the limit of two that become parallel). Where it has none, as for two opposite gradients or three in a plane,
///   projections can be equal only where they are all zero: `v` is then what the zeros of `C` have of `(1, …, 1)`, and the combination
///   is zero, which gradients that become dependent tend to as well. TorchJD divides the pseudo-inverse's weights by their sum there,
///   which goes further than any gradient.
/// - Where the weights' sum is small because their signs differ, dividing by it would go further than any gradient, and where it is
///   negative, against all of them: they are divided by its magnitude, or by as much more as it takes that the combination is no
///   longer than the longest gradient and `Σ |w_k| ≤ 1 / √(K ·` [`TOLERANCE`](super::gramian::TOLERANCE)`)`.
/// - A gradient that vanishes has no direction; the others go as without it.
pub fn imtl_g(gramian: &Gramian) -> Vec<f64> {
    moving(gramian, |gramian| {
        let tasks = gramian.tasks();
        let (known, zero) = gramian.spectrum();
        let ones = |vector: &[f64]| vector.iter().sum::<f64>();
        let mut v = vec![0.0; tasks];
        let mut add = |vector: &[f64], by: f64| v.iter_mut().zip(vector).for_each(|(v, e)| *v += by * e);
        // ‖Σ v_k u_k‖² of the directions u_k.
        let mut square = 0.0;
        let least = tasks as f64 * TOLERANCE;
        if zero.iter().map(|e| ones(e).powi(2)).sum::<f64>() > least * tasks as f64 {
            zero.iter().for_each(|e| add(e, ones(e)));
        } else {
            known.iter().for_each(|(value, e)| add(e, ones(e) / value));
            square = known.iter().map(|(value, e)| ones(e).powi(2) / value).sum();
        }
        let longest = gramian.longest();
        let w: Vec<f64> = v.iter().enumerate().map(|(k, v)| v * (longest / gramian.norm(k))).collect();
        let (sum, size) = w.iter().fold((0.0, 0.0), |(sum, size), w| (sum + w, size + w.abs()));
        let by = f64::max(sum.abs(), square.sqrt()).max(least.sqrt() * size);
        w.iter().map(|w| w / by).collect()
    })
}

pub(super) const IMTL_G: Method = Method {
    name: "imtl_g",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[],
    make: |_| Box::new(Plain(|seen: &super::Seen| Ok(imtl_g(seen.gramian()?)))),
};
