//! Bargains: the weights at which each task gains in proportion to what it needs.

use super::gramian::{Gramian, TOLERANCE};
use super::method::{Key, Method, Needs, Plain, moving};
use super::solve::linear;

/// Added to the diagonal of the cosines of the gradients: what is not known of them. Without it gradients of which a positive
/// combination is zero (two opposite ones) would have weights without bound, and near it weights that rounding decides.
const RIDGE: f64 = TOLERANCE;

/// The solution of `G w = w^{−1/α}`, `w > 0`, `G` scaled to the Frobenius norm 1. In `y_k = w_k ‖g_k‖` it is `C y = t y^{−1/α}` with the
/// cosines `C` and `t_k = ‖g_k‖^{1/α − 1}`, in which a short gradient is as good as a long one: the minimum of the convex
/// `½ yᵀ C y − Σ t_k u(y_k)` with `u′(y) = y^{−1/α}`, by Newton's method in `log y`, damped until the function falls.
///
/// A gradient that vanishes has no part in the bargain, as no step betters or worsens it.
fn bargain(gramian: &Gramian, alpha: f64) -> Vec<f64> {
    moving(gramian, |gramian| {
        let n = gramian.tasks();
        let longest = gramian.longest();
        // In units of the longest gradient, so that squares of squares neither vanish nor overflow.
        let length = |k: usize| gramian.norm(k) / longest;
        let cosine =
            |i: usize, j: usize| if i == j { 1.0 } else { gramian.at(i, j) / gramian.norm(i) / gramian.norm(j) };
        let square = |i: usize, j: usize| (cosine(i, j) * length(i) * length(j)).powi(2);
        let size = (0..n).flat_map(|i| (0..n).map(move |j| square(i, j))).sum::<f64>().sqrt();
        let lengths: Vec<f64> = (0..n).map(|k| length(k) / size.sqrt()).collect();
        let cosines: Vec<f64> = (0..n * n).map(|i| cosine(i / n, i % n)).collect();
        let y = balanced(&cosines, &lengths, alpha);
        y.iter().zip(&lengths).map(|(y, l)| y / l).collect()
    })
}

/// The `y > 0` with `C y = t y^{−1/α}`, `t_k = lengths_k^{1/α − 1}`.
fn balanced(cosines: &[f64], lengths: &[f64], alpha: f64) -> Vec<f64> {
    let n = lengths.len();
    let c = |i: usize, j: usize| cosines[i * n + j] + if i == j { RIDGE } else { 0.0 };
    let power = 1.0 - 1.0 / alpha;
    // Logarithms, as high powers of short lengths are no numbers.
    let log_t: Vec<f64> = lengths.iter().map(|l| -power * l.ln()).collect();
    let exp = |u: &[f64]| u.iter().map(|u| u.exp()).collect::<Vec<f64>>();
    // t y^{1−1/α}.
    let pulls = |u: &[f64]| u.iter().zip(&log_t).map(|(u, t)| (t + power * u).exp()).collect::<Vec<f64>>();
    let times = |y: &[f64]| -> Vec<f64> { (0..n).map(|i| (0..n).map(|j| c(i, j) * y[j]).sum()).collect() };
    let value = |u: &[f64]| {
        let y = exp(u);
        let own: f64 = times(&y).iter().zip(&y).map(|(c, y)| c * y).sum();
        let utility: f64 = match power.abs() < 1e-12 {
            true => u.iter().sum(),
            false => pulls(u).iter().map(|p| p / power).sum(),
        };
        0.5 * own - utility
    };
    // Right where the gradients are orthogonal.
    let mut u: Vec<f64> = log_t.iter().map(|t| t / (1.0 + 1.0 / alpha)).collect();
    for _ in 0..200 {
        // In u = log y the gradient is y (C y − t y^{−1/α}), and the Hessian diag(y) C diag(y) + diag(y (C y − t y^{−1/α}) +
        // t y^{1−1/α} / α).
        let (y, pull) = (exp(&u), pulls(&u));
        let slope: Vec<f64> = times(&y).iter().zip(&y).zip(&pull).map(|((c, y), p)| y * c - p).collect();
        let largest = slope.iter().zip(&pull).map(|(s, p)| s.abs() / p).fold(0.0, f64::max);
        if largest < 1e-12 {
            break;
        }
        let hessian =
            |i: usize, j: usize| y[i] * c(i, j) * y[j] + if i == j { slope[i].max(0.0) + pull[i] / alpha } else { 0.0 };
        let a = (0..n * n).map(|i| hessian(i / n, i % n)).collect();
        let Some(step) = linear(a, slope.iter().map(|s| -s).collect()) else { break };
        let start = value(&u);
        let reach = step.iter().fold(1.0_f64, |m, s| m.max(s.abs()));
        let mut damping = f64::min(1.0, 4.0 / reach);
        u = loop {
            let next: Vec<f64> = u.iter().zip(&step).map(|(u, s)| u + damping * s).collect();
            if value(&next) <= start || damping < 1e-10 {
                break next;
            }
            damping *= 0.5;
        };
    }
    exp(&u)
}

/// Nash-MTL (Navon et al. 2022, arXiv 2202.01017): the Nash bargain over the step, `G w = 1 / w`: every task's gain is inversely
/// proportional to its weight. Solved exactly rather than by a sequence of convex programs; `G` is scaled to the norm 1 as in the
/// authors' program.
///
/// A gradient's length does not matter to what it contributes, `w_k g_k`. The combination is never longer than `√K` times the root
/// of the Frobenius norm of `G`, so `K` times the longest gradient, and no contribution than `√(K /` [`TOLERANCE`]`)` such roots. There is
/// no bargain where a positive combination of gradients is zero; it is then that combination, its parts as long as that, and what is
/// left of it is of the order of the root of [`TOLERANCE`]. Two opposite gradients leave nothing.
pub fn nash_mtl(gramian: &Gramian) -> Vec<f64> {
    bargain(gramian, 1.0)
}

/// FairGrad (Ban & Ji 2024, arXiv 2402.15638): α-fair gains, `G w = w^{−1/α}`; α = 1 is Nash-MTL's bargain, α → ∞ max-min fairness.
///
/// For α > 1 it favours short gradients, and near a conflict without a way out its step grows: `‖d‖² ≤ s Σ (s / ‖g_k‖²)^{q / (2 − q)} /`
/// [`TOLERANCE`]`^{q / (2 − q)}` with `q = 1 − 1/α` and the Frobenius norm `s` of `G`. Where there is no bargain, as for Nash-MTL; with
/// α = 2 its cube root is left.
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
