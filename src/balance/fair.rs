//! Bargains: the weights at which each task gains in proportion to what it needs.

use super::gramian::Gramian;
use super::method::{Key, Method, Needs, Plain};
use super::solve::linear;

/// Added to the diagonal of the Gramian, whose Frobenius norm is 1: a gradient that vanishes would have an infinite weight.
const RIDGE: f64 = 1e-8;

/// The solution of `G w = w^{−1/α}`, `w > 0`: the minimum of the convex `½ wᵀ G w − Σ u(w_k)` with `u′(w) = w^{−1/α}`, by Newton's method
/// in `log w`, damped until the function falls. `G` is scaled to the Frobenius norm 1.
fn bargain(gramian: &Gramian, alpha: f64) -> Vec<f64> {
    let n = gramian.tasks();
    let size = gramian.values().iter().map(|v| v * v).sum::<f64>().sqrt();
    if size < f64::MIN_POSITIVE {
        return vec![1.0; n];
    }
    let g = |i: usize, j: usize| gramian.at(i, j) / size + if i == j { RIDGE } else { 0.0 };
    let power = 1.0 - 1.0 / alpha;
    let utility = |w: f64| if power.abs() < 1e-12 { w.ln() } else { w.powf(power) / power };
    let times = |w: &[f64]| -> Vec<f64> { (0..n).map(|i| (0..n).map(|j| g(i, j) * w[j]).sum()).collect() };
    let value = |w: &[f64]| {
        0.5 * times(w).iter().zip(w).map(|(g, w)| g * w).sum::<f64>() - w.iter().map(|w| utility(*w)).sum::<f64>()
    };
    // Right where the gradients are orthogonal.
    let exponent = 1.0 / (1.0 + 1.0 / alpha);
    let mut w: Vec<f64> = (0..n).map(|k| g(k, k).powf(-exponent)).collect();
    for _ in 0..200 {
        // In u = log w the gradient is w (G w − w^{−1/α}), and the Hessian diag(w) G diag(w) + diag(w (G w − w^{−1/α}) + w^{1−1/α} / α).
        let gw = times(&w);
        let slope: Vec<f64> = (0..n).map(|k| w[k] * (gw[k] - w[k].powf(-1.0 / alpha))).collect();
        let pull = |k: usize| w[k].powf(power);
        let largest = (0..n).map(|k| slope[k].abs() / pull(k)).fold(0.0, f64::max);
        if largest < 1e-12 {
            break;
        }
        let hessian =
            |i: usize, j: usize| w[i] * g(i, j) * w[j] + if i == j { slope[i].max(0.0) + pull(i) / alpha } else { 0.0 };
        let a = (0..n * n).map(|i| hessian(i / n, i % n)).collect();
        let Some(step) = linear(a, slope.iter().map(|s| -s).collect()) else { break };
        let (start, mut damping) = (value(&w), 1.0);
        let reach = step.iter().fold(1.0_f64, |m, s| m.max(s.abs()));
        damping = f64::min(damping, 4.0 / reach);
        let next = loop {
            let next: Vec<f64> = w.iter().zip(&step).map(|(w, s)| w * (damping * s).exp()).collect();
            if value(&next) <= start || damping < 1e-10 {
                break next;
            }
            damping *= 0.5;
        };
        w = next;
    }
    w
}

/// Nash-MTL (Navon et al. 2022, arXiv 2202.01017): the Nash bargain over the step, `G w = 1 / w`: every task's gain is inversely
/// proportional to its weight. Solved exactly rather than by a sequence of convex programs; `G` is scaled to the norm 1 as in the
/// authors' program.
pub fn nash_mtl(gramian: &Gramian) -> Vec<f64> {
    bargain(gramian, 1.0)
}

/// FairGrad (Ban & Ji 2024, arXiv 2402.15638): α-fair gains, `G w = w^{−1/α}`; α = 1 is Nash-MTL's bargain, α → ∞ max-min fairness.
pub fn fairgrad(gramian: &Gramian, alpha: f64) -> Vec<f64> {
    bargain(gramian, alpha)
}

pub(super) const NASH_MTL: Method = Method {
    name: "nash_mtl",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[],
    make: |_| Box::new(Plain(|seen: &super::Seen| Ok(nash_mtl(seen.gramian()?)))),
};

/// `alpha`: 2 as in the authors' runs.
pub(super) const FAIRGRAD: Method = Method {
    name: "fairgrad",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[Key { name: "alpha", default: 2.0, range: (0.05, 100.0) }],
    make: |s| {
        let alpha = s.number("alpha");
        Box::new(Plain(move |seen: &super::Seen| Ok(fairgrad(seen.gramian()?, alpha))))
    },
};
