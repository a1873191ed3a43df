//! Losses of numbers z against targets t, the mean over all elements; with `e = z - t`:
//! squared `e^2`, absolute `|e|`, and Huber's (1964) `e^2 / 2` where `|e| <= delta`, else `delta (|e| - delta / 2)`.

/// Which loss of `e`: its value and its derivative.
type Loss = fn(f64, f64) -> (f64, f64);

/// `e^2`; delta has no part in it.
pub fn squared(e: f64, _delta: f64) -> (f64, f64) {
    (e * e, 2.0 * e)
}

/// `|e|`; at 0 the derivative is 0.
pub fn absolute(e: f64, _delta: f64) -> (f64, f64) {
    (e.abs(), if e == 0.0 { 0.0 } else { e.signum() })
}

/// Quadratic near 0, linear beyond delta.
pub fn huber(e: f64, delta: f64) -> (f64, f64) {
    let d = e.clamp(-delta, delta);
    (d * (e - 0.5 * d), d)
}

/// The loss; z and targets of one length.
pub fn forward(loss: Loss, z: &[f64], targets: &[f64], delta: f64) -> f64 {
    z.iter().zip(targets).map(|(z, t)| loss(z - t, delta).0).sum::<f64>() / z.len().max(1) as f64
}

/// The loss's gradient by z.
pub fn grad(loss: Loss, z: &[f64], targets: &[f64], delta: f64) -> Vec<f64> {
    z.iter().zip(targets).map(|(a, t)| loss(a - t, delta).1 / z.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn by_hand() {
        let (z, t) = ([3.0, -1.0, 0.5], [0.0, 0.0, 0.5]);
        assert_close(&[forward(squared, &z, &t, 0.0)], &[10.0 / 3.0], 1e-15);
        assert_close(&[forward(absolute, &z, &t, 0.0)], &[4.0 / 3.0], 1e-15);
        assert_close(&[forward(huber, &z, &t, 2.0)], &[(2.0 * 2.0 + 0.5) / 3.0], 1e-15);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (z, t) = (values(17, 1), values(17, 2));
        for loss in [squared, absolute, huber] {
            let numeric = finite_difference(|z| forward(loss, z, &t, 0.7), &z);
            assert_close(&grad(loss, &z, &t, 0.7), &numeric, 1e-8);
        }
    }
}
