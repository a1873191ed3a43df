//! Softmax and log-softmax with temperature, over the rows of `[m, c]`.

/// `log Σ exp z` of one row, without overflow.
fn log_sum_exp(z: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = z.clone().fold(f64::NEG_INFINITY, f64::max);
    top + z.map(|z| (z - top).exp()).sum::<f64>().ln()
}

/// `log p[i, j] = z[i, j] / t − log Σ_k exp(z[i, k] / t)`: `z` and the result `[m, c]`.
pub fn log_softmax(z: &[f64], c: usize, t: f64) -> Vec<f64> {
    let mut logp = Vec::with_capacity(z.len());
    for row in z.chunks(c) {
        let row = row.iter().map(|z| z / t);
        let shift = log_sum_exp(row.clone());
        logp.extend(row.map(|z| z - shift));
    }
    logp
}

/// `p[i, j] = exp(z[i, j] / t) / Σ_k exp(z[i, k] / t)`: `z` and the result `[m, c]`.
pub fn softmax(z: &[f64], c: usize, t: f64) -> Vec<f64> {
    log_softmax(z, c, t).into_iter().map(f64::exp).collect()
}

/// The gradient of [`softmax`] with respect to `z`, from `p` and `dp`: `dz = p (dp − Σ_k p_k dp_k) / t`.
pub fn softmax_grad(p: &[f64], dp: &[f64], c: usize, t: f64) -> Vec<f64> {
    let mut dz = Vec::with_capacity(p.len());
    for (p, dp) in p.chunks(c).zip(dp.chunks(c)) {
        let inner: f64 = p.iter().zip(dp).map(|(p, dp)| p * dp).sum();
        dz.extend(p.iter().zip(dp).map(|(p, dp)| p * (dp - inner) / t));
    }
    dz
}

/// The gradient of [`log_softmax`] with respect to `z`, from `logp` and `dlogp`: `dz = (dlogp − p Σ_k dlogp_k) / t`.
pub fn log_softmax_grad(logp: &[f64], dlogp: &[f64], c: usize, t: f64) -> Vec<f64> {
    let mut dz = Vec::with_capacity(logp.len());
    for (logp, dlogp) in logp.chunks(c).zip(dlogp.chunks(c)) {
        let sum: f64 = dlogp.iter().sum();
        dz.extend(logp.iter().zip(dlogp).map(|(logp, dlogp)| (dlogp - logp.exp() * sum) / t));
    }
    dz
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_equal, assert_gradient, dot, values};
    use super::*;

    #[test]
    fn rows_by_hand() {
        let ln3 = 3f64.ln();
        assert_equal(&softmax(&[0.0, ln3, 5.0, 5.0], 2, 1.0), &[0.25, 0.75, 0.5, 0.5]);
        assert_equal(&log_softmax(&[0.0, 2.0 * ln3], 2, 2.0), &[0.25f64.ln(), 0.75f64.ln()]);
        // Neither end overflows.
        assert_equal(&log_softmax(&[1e4, -1e4], 2, 1.0), &[0.0, -2e4]);
    }

    #[test]
    fn gradients() {
        let c = 5;
        let (z, dy) = (values(1, 3 * c), values(2, 3 * c));
        for t in [1.0, 4.0] {
            assert_gradient(&softmax_grad(&softmax(&z, c, t), &dy, c, t), &z, |z| dot(&softmax(z, c, t), &dy));
            let logp = log_softmax(&z, c, t);
            assert_gradient(&log_softmax_grad(&logp, &dy, c, t), &z, |z| dot(&log_softmax(z, c, t), &dy));
        }
    }
}
