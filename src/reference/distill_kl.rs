//! Knowledge distillation on logits: the temperature-scaled Kullback-Leibler divergence from teacher to student.
//!
//! `T^2 (1/b) sum over rows of KL(softmax(zt / T) || softmax(zs / T))`, zs, zt: `[b, c]`.
//! The mean is over samples, never over classes, and T^2 keeps the gradient's size independent of T.
//! Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network", 2015 (arXiv 1503.02531).
//!
//! With `standardise: Some(eps)` both logits are first standardised per row, `(z - mean) / (std + eps)` with the unbiased
//! standard deviation: Sun et al., "Logit standardization in knowledge distillation", CVPR 2024 (arXiv 2403.01427).

use super::softmax::log_softmax;

/// Mean and unbiased standard deviation of a row; a single value deviates by 0.
fn moments(row: &[f64]) -> (f64, f64) {
    let c = row.len() as f64;
    let mean = row.iter().sum::<f64>() / c;
    let squares: f64 = row.iter().map(|z| (z - mean).powi(2)).sum();
    (mean, (squares / (c - 1.0).max(1.0)).sqrt())
}

/// Every row of z `[b, c]` standardised: `(z - mean) / (std + eps)`.
fn standardised(z: &[f64], c: usize, eps: f64) -> Vec<f64> {
    let mut out = Vec::with_capacity(z.len());
    for row in z.chunks_exact(c) {
        let (mean, std) = moments(row);
        out.extend(row.iter().map(|z| (z - mean) / (std + eps)));
    }
    out
}

/// `dz` of [`standardised`] from g, the derivatives by its output, `[b, c]`:
/// `(g - mean(g)) / (std + eps) - (z - mean) sum over i of g_i (z_i - mean) / ((c - 1) std (std + eps)^2)`.
fn standardised_grad(z: &[f64], g: &[f64], c: usize, eps: f64) -> Vec<f64> {
    let mut dz = Vec::with_capacity(z.len());
    for (row, g) in z.chunks_exact(c).zip(g.chunks_exact(c)) {
        let (mean, std) = moments(row);
        let scale = std + eps;
        let mean_g = g.iter().sum::<f64>() / c as f64;
        let inner: f64 = row.iter().zip(g).map(|(z, g)| g * (z - mean)).sum();
        // A constant row has no direction in which its deviation grows: PyTorch takes that derivative as 0 too.
        let through_std = if std > 0.0 { inner / ((c as f64 - 1.0) * std * scale * scale) } else { 0.0 };
        dz.extend(row.iter().zip(g).map(|(z, g)| (g - mean_g) / scale - (z - mean) * through_std));
    }
    dz
}

/// Log-probabilities of student and teacher at the temperature.
fn log_probabilities(
    zs: &[f64],
    zt: &[f64],
    c: usize,
    temperature: f64,
    standardise: Option<f64>,
) -> (Vec<f64>, Vec<f64>) {
    match standardise {
        None => (log_softmax(zs, c, temperature), log_softmax(zt, c, temperature)),
        Some(eps) => (
            log_softmax(&standardised(zs, c, eps), c, temperature),
            log_softmax(&standardised(zt, c, eps), c, temperature),
        ),
    }
}

/// The loss.
pub fn forward(zs: &[f64], zt: &[f64], c: usize, temperature: f64, standardise: Option<f64>) -> f64 {
    let (student, teacher) = log_probabilities(zs, zt, c, temperature, standardise);
    // A class the teacher gives no probability to adds nothing, even where its logarithm is infinite.
    let each = student.iter().zip(&teacher).map(|(s, t)| if t.exp() > 0.0 { t.exp() * (t - s) } else { 0.0 });
    temperature * temperature * each.sum::<f64>() / (zs.len() / c) as f64
}

/// The loss's gradient by the student's logits, `[b, c]`: `T (softmax(zs / T) - softmax(zt / T)) / b`, carried back
/// through the standardisation where there is one.
pub fn grad(zs: &[f64], zt: &[f64], c: usize, temperature: f64, standardise: Option<f64>) -> Vec<f64> {
    let (student, teacher) = log_probabilities(zs, zt, c, temperature, standardise);
    let rows = (zs.len() / c) as f64;
    let dz: Vec<f64> = student.iter().zip(&teacher).map(|(s, t)| temperature * (s.exp() - t.exp()) / rows).collect();
    match standardise {
        None => dz,
        Some(eps) => standardised_grad(zs, &dz, c, eps),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn known_values() {
        let (zs, zt) = ([0.0, 0.0], [0.0, 3f64.ln()]);
        let expected = 0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln();
        assert_close(&[forward(&zs, &zt, 2, 1.0, None)], &[expected], 1e-14);
        let (zs, zt) = (values(15, 1), values(15, 2));
        assert_close(&[forward(&zt, &zt, 5, 4.0, None)], &[0.0], 1e-14);
        // Standardised logits forget shift and scale (but for eps).
        let moved: Vec<f64> = zs.iter().map(|z| 3.0 * z + 7.0).collect();
        let (a, b) = (forward(&zs, &zt, 5, 2.0, Some(1e-12)), forward(&moved, &zt, 5, 2.0, Some(1e-12)));
        assert_close(&[a], &[b], 1e-9);
    }

    #[test]
    fn gradient_matches_finite_differences() {
        let (zs, zt) = (values(15, 1), values(15, 2));
        for (t, standardise) in [(1.0, None), (4.0, None), (2.0, Some(1e-7)), (1.0, Some(0.3))] {
            let by_zs = finite_difference(|zs| forward(zs, &zt, 5, t, standardise), &zs);
            assert_close(&grad(&zs, &zt, 5, t, standardise), &by_zs, 1e-8);
        }
    }

    #[test]
    fn a_constant_row_and_a_single_class_stay_finite() {
        let (zs, zt) = ([1.0, 1.0, 1.0], values(3, 1));
        assert!(grad(&zs, &zt, 3, 2.0, Some(1e-7)).iter().all(|v| v.is_finite()));
        assert_eq!(forward(&zs, &zt, 1, 2.0, Some(1e-7)), 0.0);
    }
}
