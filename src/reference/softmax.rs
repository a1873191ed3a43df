//! Softmax and log-softmax with a temperature, over `rows x c`.
//!
//! `p_j = exp(z_j / t) / sum over i of exp(z_i / t)`, `logp = log p`, both shifted by the row's maximum so that nothing
//! overflows. Temperature after Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network", 2015
//! (arXiv 1503.02531).

/// Log-probabilities, `[rows, c]`, of logits z `[rows, c]` at temperature t.
pub fn log_softmax(z: &[f64], c: usize, t: f64) -> Vec<f64> {
    let mut out = Vec::with_capacity(z.len());
    for row in z.chunks_exact(c) {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = row.iter().map(|z| ((z - top) / t).exp()).sum::<f64>().ln();
        out.extend(row.iter().map(|z| (z - top) / t - log_sum));
    }
    out
}

/// Probabilities, `[rows, c]`, of logits z `[rows, c]` at temperature t.
pub fn softmax(z: &[f64], c: usize, t: f64) -> Vec<f64> {
    log_softmax(z, c, t).into_iter().map(f64::exp).collect()
}

/// `dz = p (dp - sum over i of p_i dp_i) / t`, from the probabilities p and dp, all `[rows, c]`.
pub fn softmax_grad(p: &[f64], dp: &[f64], c: usize, t: f64) -> Vec<f64> {
    let mut dz = Vec::with_capacity(p.len());
    for (p, dp) in p.chunks_exact(c).zip(dp.chunks_exact(c)) {
        let inner: f64 = p.iter().zip(dp).map(|(p, dp)| p * dp).sum();
        dz.extend(p.iter().zip(dp).map(|(p, dp)| p * (dp - inner) / t));
    }
    dz
}

/// `dz = (dlogp - exp(logp) sum over i of dlogp_i) / t`, from the log-probabilities logp and dlogp, all `[rows, c]`.
pub fn log_softmax_grad(logp: &[f64], dlogp: &[f64], c: usize, t: f64) -> Vec<f64> {
    let mut dz = Vec::with_capacity(logp.len());
    for (logp, dlogp) in logp.chunks_exact(c).zip(dlogp.chunks_exact(c)) {
        let total: f64 = dlogp.iter().sum();
        dz.extend(logp.iter().zip(dlogp).map(|(logp, d)| (d - logp.exp() * total) / t));
    }
    dz
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn known_and_extreme_values() {
        assert_close(&softmax(&[0.0, 3f64.ln()], 2, 1.0), &[0.25, 0.75], 1e-15);
        assert_close(&softmax(&[0.0, 2.0 * 3f64.ln()], 2, 2.0), &[0.25, 0.75], 1e-15);
        assert_close(&log_softmax(&[1e5, 0.0], 2, 1.0), &[0.0, -1e5], 1e-15);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (rows, c) = (3, 5);
        let (z, d) = (values(rows * c, 1), values(rows * c, 2));
        for t in [1.0, 4.0] {
            let by_z = finite_difference(|z| dot(&softmax(z, c, t), &d), &z);
            assert_close(&softmax_grad(&softmax(&z, c, t), &d, c, t), &by_z, 1e-8);
            let by_z = finite_difference(|z| dot(&log_softmax(z, c, t), &d), &z);
            assert_close(&log_softmax_grad(&log_softmax(&z, c, t), &d, c, t), &by_z, 1e-8);
        }
    }
}
