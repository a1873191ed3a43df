//! Feature distillation: mean-squared error and its channel-normalised form, of student features s and teacher features t.
//!
//! - [`mse`]: `mean (s - t)^2` over all elements. Romero et al., "FitNets", ICLR 2015 (arXiv 1412.6550).
//! - [`normalised`]: `(1/rows) sum over rows of ||n(s) - n(t)||^2`, `n(v) = v / max(||v||, eps)` over the `c` channels of
//!   one pixel. Li & Bilen, "Knowledge distillation for multi-task learning", 2020 (arXiv 2007.06889).
//!
//! s and t are of one shape, `[rows, c]`; the 1x1 adaptor that brings the student's channels to the teacher's is a
//! [`super::conv2d`] before this.

/// The mean-squared error.
pub fn mse(s: &[f64], t: &[f64]) -> f64 {
    s.iter().zip(t).map(|(s, t)| (s - t).powi(2)).sum::<f64>() / s.len() as f64
}

/// The gradient of [`mse`] by s: `2 (s - t) / len`.
pub fn mse_grad(s: &[f64], t: &[f64]) -> Vec<f64> {
    let scale = 2.0 / s.len() as f64;
    s.iter().zip(t).map(|(s, t)| scale * (s - t)).collect()
}

/// Length of a vector.
fn length(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// The channel-normalised loss.
pub fn normalised(s: &[f64], t: &[f64], c: usize, eps: f64) -> f64 {
    let mut loss = 0.0;
    for (s, t) in s.chunks_exact(c).zip(t.chunks_exact(c)) {
        let (ls, lt) = (length(s).max(eps), length(t).max(eps));
        loss += s.iter().zip(t).map(|(s, t)| (s / ls - t / lt).powi(2)).sum::<f64>();
    }
    loss / (s.len() / c) as f64
}

/// The gradient of [`normalised`] by s, `[rows, c]`. With `g = 2 (n(s) - n(t)) / rows`:
/// `(g - n(s) <n(s), g>) / ||s||`, or `g / eps` where s is shorter than eps.
pub fn normalised_grad(s: &[f64], t: &[f64], c: usize, eps: f64) -> Vec<f64> {
    let rows = (s.len() / c) as f64;
    let mut ds = Vec::with_capacity(s.len());
    for (s, t) in s.chunks_exact(c).zip(t.chunks_exact(c)) {
        let (ls, lt) = (length(s).max(eps), length(t).max(eps));
        let g: Vec<f64> = s.iter().zip(t).map(|(s, t)| 2.0 * (s / ls - t / lt) / rows).collect();
        let along = if length(s) > eps { s.iter().zip(&g).map(|(s, g)| s / ls * g).sum() } else { 0.0 };
        ds.extend(s.iter().zip(&g).map(|(s, g)| (g - s / ls * along) / ls));
    }
    ds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn known_values() {
        assert_eq!(mse(&[1.0, 2.0], &[3.0, 5.0]), 6.5);
        // Orthogonal unit vectors are sqrt(2) apart, whatever their lengths; a zero vector normalizes to zero.
        assert_close(&[normalised(&[3.0, 0.0, 0.0, 0.0], &[0.0, 9.0, 0.0, 2.0], 2, 1e-6)], &[1.5], 1e-15);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (s, t) = (values(15, 1), values(15, 2));
        assert_close(&mse_grad(&s, &t), &finite_difference(|s| mse(s, &t), &s), 1e-9);
        // No row is shorter than 1e-6, some are shorter than 2, all are shorter than 100.
        for eps in [1e-6, 2.0, 100.0] {
            let by_s = finite_difference(|s| normalised(s, &t, 3, eps), &s);
            assert_close(&normalised_grad(&s, &t, 3, eps), &by_s, 1e-9);
        }
    }
}
