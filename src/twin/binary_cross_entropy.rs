//! Binary cross entropy of logits z against targets y in 0..1, the mean over all elements.
//!
//! Per element `-(y log s(z) + (1 - y) log(1 - s(z)))` with the sigmoid s, computed as
//! `max(z, 0) - z y + log(1 + exp(-|z|))`, which neither overflows nor cancels.

/// The loss; z and targets of one length.
pub fn forward(z: &[f64], targets: &[f64]) -> f64 {
    let each = z.iter().zip(targets).map(|(z, y)| z.max(0.0) - z * y + (-z.abs()).exp().ln_1p());
    each.sum::<f64>() / z.len().max(1) as f64
}

/// The loss's gradient by z: `(s(z) - y) / len`.
pub fn grad(z: &[f64], targets: &[f64]) -> Vec<f64> {
    let count = z.len() as f64;
    z.iter().zip(targets).map(|(z, y)| (1.0 / (1.0 + (-z).exp()) - y) / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::{finite_difference, testing::*};

    #[test]
    fn known_and_extreme_values() {
        assert_close(&[forward(&[0.0], &[0.3])], &[2f64.ln()], 1e-15);
        assert_close(&[forward(&[1000.0, -1000.0], &[1.0, 1.0])], &[500.0], 1e-15);
        assert_eq!(grad(&[1000.0, -1000.0], &[1.0, 1.0]), [0.0, -0.5]);
    }

    #[test]
    fn gradient_matches_finite_differences() {
        let z = values(17, 1);
        let targets: Vec<f64> = values(17, 2).iter().map(|v| (v + 2.0) / 4.0).collect();
        assert_close(&grad(&z, &targets), &finite_difference(|z| forward(z, &targets), &z), 1e-9);
    }
}
