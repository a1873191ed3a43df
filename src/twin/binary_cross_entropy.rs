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
