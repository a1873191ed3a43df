//! Binary cross entropy on logits.

fn count(targets: &[f64]) -> f64 {
    targets.iter().filter(|t| **t >= 0.0).count().max(1) as f64
}

/// The mean of `−t log σ(z) − (1 − t) log(1 − σ(z))` over the elements that have a target, in the form
/// `max(z, 0) − z t + log(1 + exp(−|z|))`, which does not overflow. `z` and `targets` (0..=1, negative = missing) of
/// equal length; 0 where nothing has a target.
pub fn forward(z: &[f64], targets: &[f64]) -> f64 {
    let loss = |(z, t): (&f64, &f64)| if *t < 0.0 { 0.0 } else { z.max(0.0) - z * t + (-z.abs()).exp().ln_1p() };
    z.iter().zip(targets).map(loss).sum::<f64>() / count(targets)
}

/// The gradient of [`forward`] with respect to `z`: `(σ(z) − t) / count`, 0 where there is no target.
pub fn grad(z: &[f64], targets: &[f64]) -> Vec<f64> {
    let count = count(targets);
    let share = |(z, t): (&f64, &f64)| if *t < 0.0 { 0.0 } else { (1.0 / (1.0 + (-z).exp()) - t) / count };
    z.iter().zip(targets).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_equal, assert_gradient, values};
    use super::*;

    #[test]
    fn values_by_hand() {
        // σ(ln 3) = 3/4.
        let ln3 = 3f64.ln();
        let loss = forward(&[ln3, ln3, 7.0, 0.0], &[1.0, 0.0, -1.0, 0.5]);
        assert_equal(&[loss], &[-(0.75f64.ln() + 0.25f64.ln() + 0.5f64.ln()) / 3.0]);
        // Neither end overflows.
        assert_equal(&[forward(&[-1e4, 1e4], &[1.0, 1.0])], &[5e3]);
        assert_equal(&grad(&[-1e4, 1e4], &[1.0, 0.0]), &[-0.5, 0.5]);
    }

    #[test]
    fn nothing_present_is_no_loss() {
        assert_eq!(forward(&[1.0, 2.0], &[-1.0, -1.0]), 0.0);
        assert_eq!(grad(&[1.0, 2.0], &[-1.0, -1.0]), [0.0; 2]);
    }

    #[test]
    fn gradients() {
        let z = values(1, 7);
        let targets = [0.0, 1.0, -1.0, 0.3, 1.0, -1.0, 0.0];
        assert_gradient(&grad(&z, &targets), &z, |z| forward(z, &targets));
    }
}
