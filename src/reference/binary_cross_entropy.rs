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

/// The loss where what speaks for yes counts `positive` times, one weight an element, as PyTorch's `pos_weight`:
/// `-(w y log s(z) + (1 - y) log(1 - s(z)))`.
pub fn forward_weighted(z: &[f64], targets: &[f64], positive: &[f64]) -> f64 {
    let one = |((z, y), w): ((&f64, &f64), &f64)| {
        let k = 1.0 + (w - 1.0) * y;
        (1.0 - y) * z + k * ((-z).max(0.0) + (-z.abs()).exp().ln_1p())
    };
    z.iter().zip(targets).zip(positive).map(one).sum::<f64>() / z.len().max(1) as f64
}

/// Its gradient by z.
pub fn grad_weighted(z: &[f64], targets: &[f64], positive: &[f64]) -> Vec<f64> {
    let count = z.len() as f64;
    let one = |((z, y), w): ((&f64, &f64), &f64)| {
        let k = 1.0 + (w - 1.0) * y;
        ((1.0 - y) - k / (1.0 + z.exp())) / count
    };
    z.iter().zip(targets).zip(positive).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn known_and_extreme_values() {
        assert_close(&[forward(&[0.0], &[0.3])], &[2f64.ln()], 1e-15);
        assert_close(&[forward(&[1000.0, -1000.0], &[1.0, 1.0])], &[500.0], 1e-15);
        assert_eq!(grad(&[1000.0, -1000.0], &[1.0, 1.0]), [0.0, -0.5]);
    }

    #[test]
    fn weights_count_what_speaks_for_yes() {
        let (z, targets) = ([0.3, -2.0, 1.5], [1.0, 0.0, 0.25]);
        assert_close(&[forward_weighted(&z, &targets, &[1.0; 3])], &[forward(&z, &targets)], 1e-15);
        assert_close(&grad_weighted(&z, &targets, &[1.0; 3]), &grad(&z, &targets), 1e-15);
        // A yes that counts thrice is three of them; a no is left alone.
        let thrice = forward_weighted(&z[..2], &targets[..2], &[3.0, 3.0]);
        let repeated = forward(&[0.3, 0.3, 0.3, -2.0], &[1.0, 1.0, 1.0, 0.0]);
        assert_close(&[thrice * 2.0], &[repeated * 4.0], 1e-14);
    }

    #[test]
    fn gradient_matches_finite_differences() {
        let z = values(17, 1);
        let targets: Vec<f64> = values(17, 2).iter().map(|v| (v + 2.0) / 4.0).collect();
        assert_close(&grad(&z, &targets), &finite_difference(|z| forward(z, &targets), &z), 1e-9);
        let positive: Vec<f64> = (0..17).map(|i| f64::from(i) / 4.0).collect();
        let by_z = finite_difference(|z| forward_weighted(z, &targets, &positive), &z);
        assert_close(&grad_weighted(&z, &targets, &positive), &by_z, 1e-9);
    }
}
