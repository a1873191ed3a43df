//! Distillation on logits (Hinton, Vinyals and Dean 2015, arXiv 1503.02531), with logit standardisation where wanted
//! (Sun et al. 2024, arXiv 2403.01427).

use super::softmax::{log_softmax, softmax};

/// A row's mean and unbiased standard deviation.
fn moments(row: &[f64]) -> (f64, f64) {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    (mean, (row.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

/// `(z − mean) / (std + eps)` of every row; `z` itself where `eps` is `None`.
fn standardised(z: &[f64], c: usize, eps: Option<f64>) -> Vec<f64> {
    let Some(eps) = eps else { return z.to_vec() };
    let row = |row: &[f64]| {
        let (mean, std) = moments(row);
        row.iter().map(|z| (z - mean) / (std + eps)).collect::<Vec<_>>()
    };
    z.chunks(c).flat_map(row).collect()
}

/// `T² / b · Σ KL(softmax(zt / T) ‖ softmax(zs / T))` over the `b` rows of the student's logits `zs` and the teacher's
/// `zt`, both `[b, c]`; `T` is `temperature`. With `standardise = Some(eps)` each row of both first becomes
/// `(z − mean) / (std + eps)`, std the unbiased one.
pub fn forward(zs: &[f64], zt: &[f64], c: usize, temperature: f64, standardise: Option<f64>) -> f64 {
    let logs = log_softmax(&standardised(zs, c, standardise), c, temperature);
    let logt = log_softmax(&standardised(zt, c, standardise), c, temperature);
    let kl: f64 = logs.iter().zip(&logt).map(|(s, t)| t.exp() * (t - s)).sum();
    temperature * temperature * kl / (zs.len() / c) as f64
}

/// The gradient of [`forward`] with respect to `zs`, `[b, c]`: `g = T / b · (softmax(zs / T) − softmax(zt / T))`.
///
/// Through the standardisation, with `u = zs − mean` and `d = std + eps`:
/// `dzs = (g − mean(g)) / d − u Σ(g u) / (d² std (c − 1))`. A row without spread has no second part.
pub fn grad(zs: &[f64], zt: &[f64], c: usize, temperature: f64, standardise: Option<f64>) -> Vec<f64> {
    let ps = softmax(&standardised(zs, c, standardise), c, temperature);
    let pt = softmax(&standardised(zt, c, standardise), c, temperature);
    let unit = temperature / (zs.len() / c) as f64;
    let g: Vec<f64> = ps.iter().zip(&pt).map(|(s, t)| unit * (s - t)).collect();
    let Some(eps) = standardise else { return g };
    let mut dzs = Vec::with_capacity(zs.len());
    for (row, g) in zs.chunks(c).zip(g.chunks(c)) {
        let (mean, std) = moments(row);
        let d = std + eps;
        let g_mean = g.iter().sum::<f64>() / c as f64;
        let along: f64 = g.iter().zip(row).map(|(g, z)| g * (z - mean)).sum();
        let through = if std > 0.0 { along / (d * d * std * (c as f64 - 1.0)) } else { 0.0 };
        dzs.extend(g.iter().zip(row).map(|(g, z)| (g - g_mean) / d - (z - mean) * through));
    }
    dzs
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_equal, assert_gradient, values};
    use super::*;

    #[test]
    fn values_by_hand() {
        // The teacher is sure by 3 to 1 at T = 2, the student undecided.
        let (zs, zt) = ([1.0, 1.0], [0.0, 2.0 * 3f64.ln()]);
        let kl = 0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln();
        assert_equal(&[forward(&zs, &zt, 2, 2.0, None)], &[4.0 * kl]);
        assert_equal(&grad(&zs, &zt, 2, 2.0, None), &[2.0 * (0.5 - 0.25), 2.0 * (0.5 - 0.75)]);
    }

    #[test]
    fn standardised_logits_compare_up_to_shift_and_scale() {
        let zt = values(1, 12);
        let zs: Vec<f64> = zt.iter().map(|z| 5.0 + 0.3 * z).collect();
        assert!(forward(&zs, &zt, 4, 2.0, Some(0.0)).abs() < 1e-12);
        assert!(forward(&zs, &zt, 4, 2.0, None) > 1e-3);
    }

    #[test]
    fn a_row_without_spread_has_a_finite_gradient() {
        let dzs = grad(&[2.0; 3], &[1.0, 2.0, 4.0], 3, 2.0, Some(1e-7));
        assert!(dzs.iter().all(|g| g.is_finite()), "{dzs:?}");
    }

    #[test]
    fn gradients() {
        let c = 5;
        let (zs, zt) = (values(1, 3 * c), values(2, 3 * c));
        for t in [1.0, 4.0] {
            for standardise in [None, Some(1e-7), Some(0.5)] {
                let dzs = grad(&zs, &zt, c, t, standardise);
                assert_gradient(&dzs, &zs, |zs| forward(zs, &zt, c, t, standardise));
            }
        }
    }
}
