//! Losses between feature maps: mean squared (FitNet, Romero et al. 2015, arXiv 1412.6550) and channel-normalised
//! (KD4MTL, Li and Bilen 2020, arXiv 2007.06889).

/// `mean (s − t)²` over all elements of two maps of equal shape.
pub fn mse(s: &[f64], t: &[f64]) -> f64 {
    s.iter().zip(t).map(|(s, t)| (s - t).powi(2)).sum::<f64>() / s.len() as f64
}

/// The gradient of [`mse`] with respect to `s`: `2 (s − t) / len`.
pub fn mse_grad(s: &[f64], t: &[f64]) -> Vec<f64> {
    let scale = 2.0 / s.len() as f64;
    s.iter().zip(t).map(|(s, t)| scale * (s - t)).collect()
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// `n(v) = v / max(‖v‖, eps)`, as PyTorch's `F.normalize`.
fn unit(v: &[f64], eps: f64) -> Vec<f64> {
    let length = norm(v).max(eps);
    v.iter().map(|v| v / length).collect()
}

/// The mean over the rows (pixels) of `‖n(s) − n(t)‖²`, `n(v) = v / max(‖v‖, eps)` over the channels; `s` and `t`
/// `[m, c]`.
pub fn normalised(s: &[f64], t: &[f64], c: usize, eps: f64) -> f64 {
    let distance =
        |(s, t): (&[f64], &[f64])| -> f64 { unit(s, eps).iter().zip(unit(t, eps)).map(|(s, t)| (s - t).powi(2)).sum() };
    s.chunks(c).zip(t.chunks(c)).map(distance).sum::<f64>() / (s.len() / c) as f64
}

/// The gradient of [`normalised`] with respect to `s`: with `ŝ = n(s)` and `δ = ŝ − n(t)`,
/// `ds = 2 (δ − ŝ (ŝ·δ)) / (m max(‖s‖, eps))`. Where `‖s‖ ≤ eps` the length is a constant and `ŝ (ŝ·δ)` is absent.
pub fn normalised_grad(s: &[f64], t: &[f64], c: usize, eps: f64) -> Vec<f64> {
    let m = (s.len() / c) as f64;
    let mut ds = Vec::with_capacity(s.len());
    for (s, t) in s.chunks(c).zip(t.chunks(c)) {
        let (ns, nt) = (unit(s, eps), unit(t, eps));
        let inner: f64 = ns.iter().zip(&nt).map(|(s, t)| s * (s - t)).sum();
        let along = if norm(s) > eps { inner } else { 0.0 };
        let scale = 2.0 / (m * norm(s).max(eps));
        ds.extend(ns.iter().zip(&nt).map(|(s, t)| scale * (s - t - s * along)));
    }
    ds
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_equal, assert_gradient, values};
    use super::*;

    #[test]
    fn values_by_hand() {
        assert_equal(&[mse(&[1.0, 2.0], &[3.0, 1.0])], &[2.5]);
        // Directions at right angles, and equal ones of different length.
        assert_equal(&[normalised(&[3.0, 0.0, 1.0, 1.0], &[0.0, 2.0, 5.0, 5.0], 2, 1e-6)], &[1.0]);
        // Below ε a vector stays short: n = 0.1 against 1.
        assert_equal(&[normalised(&[0.1, 0.0], &[1.0, 0.0], 2, 1.0)], &[0.81]);
    }

    #[test]
    fn gradients() {
        let (c, s, t) = (3, values(1, 15), values(2, 15));
        assert_gradient(&mse_grad(&s, &t), &s, |s| mse(s, &t));
        // A third ε between the norms of the rows, so that some count as it.
        let mut norms: Vec<f64> = s.chunks(c).map(norm).collect();
        norms.sort_by(f64::total_cmp);
        for eps in [0.0, 1e-6, (norms[1] + norms[2]) / 2.0] {
            assert_gradient(&normalised_grad(&s, &t, c, eps), &s, |s| normalised(s, &t, c, eps));
        }
    }
}
