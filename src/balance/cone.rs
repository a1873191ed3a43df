//! Weights that let no task get worse: projections onto the dual cone of the gradients.

use super::gramian::Gramian;
use super::method::{Method, Needs, Plain};
use super::solve::{Domain, quadratic};

/// Added to the diagonal of the Gramian of trace 1, so that nearly parallel gradients have one projection (TorchJD's default). It is as
/// if every gradient had a component of its own, of a hundredth of the root of that trace: far above the rounding of the products, so
/// that opposite gradients and dependent ones have bounded weights. The price: a gradient much shorter than a hundredth of the longest
/// counts for less than its direction, and one a million times shorter hardly restrains the others.
const RIDGE: f64 = 1e-4;

/// The projection of `Σ_k u_k g_k` onto the dual cone, as weights: the nearest combination whose product with no gradient is
/// negative. Its dual is `min_v vᵀ G v` over `v ≥ u` (Quinton & Rey 2024, proposition 1). A projection onto a cone is no longer than
/// what is projected: never longer than the longest gradient by more than the ridge.
fn project(gramian: &Gramian, u: &[f64]) -> Vec<f64> {
    let added = quadratic(gramian.values(), &gramian.times(u), Domain::Positive);
    u.iter().zip(added).map(|(u, x)| u + x).collect()
}

/// UPGrad (Quinton & Rey 2024, arXiv 2406.16232): the mean of the projections of every task's gradient onto the dual cone. What
/// results is in conflict with no task, and grows with each gradient.
pub fn upgrad(gramian: &Gramian) -> Vec<f64> {
    let tasks = gramian.tasks();
    let Some(gramian) = gramian.normalised().map(|g| g.ridged(RIDGE)) else { return vec![1.0 / tasks as f64; tasks] };
    let mut weights = vec![0.0; tasks];
    for k in 0..tasks {
        let own: Vec<f64> = (0..tasks).map(|i| if i == k { 1.0 / tasks as f64 } else { 0.0 }).collect();
        for (sum, w) in weights.iter_mut().zip(project(&gramian, &own)) {
            *sum += w;
        }
    }
    weights
}

/// DualProj (Lopez-Paz & Ranzato 2017, arXiv 1706.08840, for two tasks; as in TorchJD): the projection of the mean gradient onto
/// the dual cone.
pub fn dual_proj(gramian: &Gramian) -> Vec<f64> {
    let tasks = gramian.tasks();
    let mean = vec![1.0 / tasks as f64; tasks];
    match gramian.normalised() {
        Some(gramian) => project(&gramian.ridged(RIDGE), &mean),
        None => mean,
    }
}

pub(super) const UPGRAD: Method = Method {
    name: "upgrad",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[],
    make: |_| Box::new(Plain(|seen: &super::Seen| Ok(upgrad(seen.gramian()?)))),
};

pub(super) const DUAL_PROJ: Method = Method {
    name: "dual_proj",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[],
    make: |_| Box::new(Plain(|seen: &super::Seen| Ok(dual_proj(seen.gramian()?)))),
};
