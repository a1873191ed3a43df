//! Decoupled distillation: the target against all others, and the others among themselves.
//!
//! `t^2 (1/n) sum over rows of alpha KL([p_y, 1 - p_y]) + beta KL(q)`, teacher's against student's, with p the softmax at
//! temperature t, y the target and q the softmax over the other classes. Zhao et al., "Decoupled knowledge distillation",
//! CVPR 2022 (arXiv 2203.08679). A row without a label takes the teacher's most probable class (the first of equals).

use super::{class, softmax::log_softmax};

/// The target of a row.
fn target(label: u32, zt: &[f64]) -> usize {
    let best = || (0..zt.len()).fold(0, |b, j| if zt[j] > zt[b] { j } else { b });
    class(label, zt.len()).unwrap_or_else(best)
}

/// One row's share without the mean: `t^2 (alpha .. + beta ..)`.
fn row(zs: &[f64], zt: &[f64], y: usize, t: f64, alpha: f64, beta: f64) -> f64 {
    let others = |z: &[f64]| -> Vec<f64> { (0..z.len()).filter(|j| *j != y).map(|j| z[j]).collect() };
    let binary = |z: &[f64]| {
        let rest = others(z);
        let top = rest.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shift = rest.iter().map(|z| ((z - top) / t).exp()).sum::<f64>().ln();
        let odds = (z[y] - top) / t - shift;
        // log p and log (1 - p).
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        [-softplus(-odds), -softplus(odds)]
    };
    let kl = |s: &[f64], t: &[f64]| t.iter().zip(s).map(|(t, s)| t.exp() * (t - s)).sum::<f64>();
    let between = |z: &[f64]| log_softmax(&others(z), z.len() - 1, t);
    t * t * (alpha * kl(&binary(zs), &binary(zt)) + beta * kl(&between(zs), &between(zt)))
}

/// The loss of student logits zs against teacher logits zt, both `[n, c]`, c of 2 at least.
pub fn forward(zs: &[f64], zt: &[f64], labels: &[u32], c: usize, t: f64, alpha: f64, beta: f64) -> f64 {
    let rows = zs.chunks_exact(c).zip(zt.chunks_exact(c)).zip(labels);
    rows.map(|((s, q), label)| row(s, q, target(*label, q), t, alpha, beta)).sum::<f64>() / labels.len() as f64
}

/// The gradient of [`forward`] by zs, `[n, c]`: `t/n alpha (p_s - p_t)` for the target, `t/n (beta (q_s - q_t) - alpha (p_s - p_t)
/// q_s)` for the others.
pub fn grad(zs: &[f64], zt: &[f64], labels: &[u32], c: usize, t: f64, alpha: f64, beta: f64) -> Vec<f64> {
    let mut out = Vec::new();
    for ((s, q), label) in zs.chunks_exact(c).zip(zt.chunks_exact(c)).zip(labels) {
        let y = target(*label, q);
        let p = |z: &[f64]| log_softmax(z, c, t)[y].exp();
        let rest = |z: &[f64]| {
            let mut z = z.to_vec();
            z.remove(y);
            let mut q: Vec<f64> = log_softmax(&z, c - 1, t).into_iter().map(f64::exp).collect();
            q.insert(y, 0.0);
            q
        };
        let (pull, qs, qt) = (alpha * (p(s) - p(q)), rest(s), rest(q));
        let unit = t / labels.len() as f64;
        out.extend((0..c).map(|j| unit * if j == y { pull } else { beta * (qs[j] - qt[j]) - pull * qs[j] }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{MISSING, finite_difference, testing::*};

    #[test]
    fn equal_logits_cost_nothing_and_two_classes_have_no_others() {
        let z = values(12, 1);
        assert_close(&[forward(&z, &z, &[0, 3, MISSING], 4, 2.0, 1.0, 8.0)], &[0.0], 1e-12);
        let (s, q) = ([0.3, -1.0], [2.0, 0.5]);
        assert_eq!(forward(&s, &q, &[1], 2, 1.0, 1.0, 8.0), forward(&s, &q, &[1], 2, 1.0, 1.0, 0.0));
        // Without a label the teacher's first class.
        assert_eq!(forward(&s, &q, &[MISSING], 2, 1.0, 1.0, 8.0), forward(&s, &q, &[0], 2, 1.0, 1.0, 8.0));
    }

    #[test]
    fn gradient() {
        let (s, q, labels) = (values(15, 1), values(15, 2), [2, MISSING, 4]);
        let numeric = finite_difference(|s| forward(s, &q, &labels, 5, 3.0, 1.5, 4.0), &s);
        assert_close(&grad(&s, &q, &labels, 5, 3.0, 1.5, 4.0), &numeric, 1e-8);
    }
}
