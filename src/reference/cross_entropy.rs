//! Cross entropy of logits against class labels, with label smoothing.
//!
//! Per sample `-sum over j of q_j logp_j`, `q = (1 - smoothing) onehot(label) + smoothing / c`, `logp = log_softmax(z)`;
//! the loss is the mean over the labelled samples, 0 if there is none. z: `[rows, c]`, labels: `[rows]`, a
//! [`super::MISSING`] label adds nothing. Smoothing after Szegedy et al., "Rethinking the Inception architecture", CVPR
//! 2016 (arXiv 1512.00567), in PyTorch's form.

use super::{class, softmax::log_softmax};

/// The number of labelled samples, at least 1 so that it can be divided by.
fn labelled(labels: &[u32], c: usize) -> f64 {
    labels.iter().filter(|&&label| class(label, c).is_some()).count().max(1) as f64
}

/// The loss.
pub fn forward(z: &[f64], labels: &[u32], c: usize, smoothing: f64) -> f64 {
    let logp = log_softmax(z, c, 1.0);
    let mut loss = 0.0;
    for (logp, &label) in logp.chunks_exact(c).zip(labels) {
        let Some(y) = class(label, c) else { continue };
        loss -= (1.0 - smoothing) * logp[y];
        if smoothing > 0.0 {
            loss -= smoothing / c as f64 * logp.iter().sum::<f64>();
        }
    }
    loss / labelled(labels, c)
}

/// The loss's gradient by z, `[rows, c]`: `(softmax(z) - q) / labelled`, 0 for a sample without label.
pub fn grad(z: &[f64], labels: &[u32], c: usize, smoothing: f64) -> Vec<f64> {
    let count = labelled(labels, c);
    let mut dz = log_softmax(z, c, 1.0);
    for (row, &label) in dz.chunks_exact_mut(c).zip(labels) {
        let Some(y) = class(label, c) else {
            row.fill(0.0);
            continue;
        };
        for (j, v) in row.iter_mut().enumerate() {
            let q = smoothing / c as f64 + if j == y { 1.0 - smoothing } else { 0.0 };
            *v = (v.exp() - q) / count;
        }
    }
    dz
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{MISSING, finite_difference, testing::*};

    #[test]
    fn equal_logits_cost_log_c() {
        for smoothing in [0.0, 0.1] {
            let loss = forward(&[2.0; 14], &[0, 6], 7, smoothing);
            assert_close(&[loss], &[7f64.ln()], 1e-14);
        }
    }

    #[test]
    fn missing_labels_do_not_count() {
        let z = values(15, 1);
        let all = forward(&z[5..10], &[3], 5, 0.1);
        assert_close(&[forward(&z, &[MISSING, 3, MISSING], 5, 0.1)], &[all], 1e-15);
        let dz = grad(&z, &[MISSING, 3, MISSING], 5, 0.1);
        assert_close(&dz[5..10], &grad(&z[5..10], &[3], 5, 0.1), 1e-15);
        assert!(dz[..5].iter().chain(&dz[10..]).all(|&v| v == 0.0));
        assert_eq!((forward(&z, &[MISSING; 3], 5, 0.1), grad(&z, &[MISSING; 3], 5, 0.1)), (0.0, vec![0.0; 15]));
    }

    #[test]
    fn gradient_matches_finite_differences() {
        let (z, labels) = (values(15, 1), [4, MISSING, 0]);
        for smoothing in [0.0, 0.1] {
            let by_z = finite_difference(|z| forward(z, &labels, 5, smoothing), &z);
            assert_close(&grad(&z, &labels, 5, smoothing), &by_z, 1e-9);
        }
    }
}
