//! Equal projections.

use super::gramian::Gramian;
use super::method::{Method, Needs, Plain};
use super::solve::eigen;

/// IMTL-G (Liu et al. 2021, "Towards impartial multi-task learning", ICLR): the combination, with weights of sum 1, whose
/// projections onto all the gradients' directions are equal: `G w ∝ (‖g_1‖, …, ‖g_K‖)`. Weights may be negative. Equal weights
/// where the pseudo-inverse gives weights of sum zero.
pub fn imtl_g(gramian: &Gramian) -> Vec<f64> {
    let tasks = gramian.tasks();
    let norms: Vec<f64> = (0..tasks).map(|k| gramian.norm(k)).collect();
    let pairs = eigen(gramian.values().to_vec(), tasks);
    // What lies below rounding is zero.
    let least = pairs[0].0 * tasks as f64 * f64::EPSILON;
    let mut v = vec![0.0; tasks];
    for (value, vector) in pairs.iter().filter(|(value, _)| *value > least) {
        let along = vector.iter().zip(&norms).map(|(e, n)| e * n).sum::<f64>() / value;
        v.iter_mut().zip(vector).for_each(|(v, e)| *v += along * e);
    }
    let sum: f64 = v.iter().sum();
    if sum.abs() < 1e-12 * v.iter().map(|v| v.abs()).sum::<f64>() || sum == 0.0 {
        return vec![1.0 / tasks as f64; tasks];
    }
    v.iter().map(|v| v / sum).collect()
}

pub(super) const IMTL_G: Method = Method {
    name: "imtl_g",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[],
    make: |_| Box::new(Plain(|seen: &super::Seen| Ok(imtl_g(seen.gramian()?)))),
};
