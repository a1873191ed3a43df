//! Focal loss over classes, with a weight for each class.
//!
//! Per sample `w_y (1 - p_y)^gamma (-log p_y)`, `p = softmax(z)`; the loss is the sum over the labelled samples, divided by the sum of
//! their weights (0 where that is 0). z: `[rows, c]`, labels: `[rows]`, a [`super::MISSING`] label adds nothing; weights: `[c]`.
//! Lin et al., "Focal loss for dense object detection", ICCV 2017 (arXiv 1708.02002), over a softmax; with `gamma` 0 it is PyTorch's
//! cross entropy with class weights.

use super::{class, softmax::log_softmax};

/// The sum of the labelled samples' weights.
fn total(labels: &[u32], weights: &[f64]) -> f64 {
    labels.iter().filter_map(|&label| class(label, weights.len())).map(|y| weights[y]).sum()
}

/// The loss.
pub fn forward(z: &[f64], labels: &[u32], weights: &[f64], gamma: f64) -> f64 {
    let c = weights.len();
    let (logp, total) = (log_softmax(z, c, 1.0), total(labels, weights));
    let one = |(logp, &label): (&[f64], &u32)| {
        class(label, c).map_or(0.0, |y| -weights[y] * (1.0 - logp[y].exp()).powf(gamma) * logp[y])
    };
    let sum: f64 = logp.chunks_exact(c).zip(labels).map(one).sum();
    if total > 0.0 { sum / total } else { 0.0 }
}

/// The loss's gradient by z, `[rows, c]`.
pub fn grad(z: &[f64], labels: &[u32], weights: &[f64], gamma: f64) -> Vec<f64> {
    let (c, total) = (weights.len(), total(labels, weights));
    let mut dz = log_softmax(z, c, 1.0);
    for (row, &label) in dz.chunks_exact_mut(c).zip(labels) {
        let Some(y) = class(label, c).filter(|_| total > 0.0) else {
            row.fill(0.0);
            continue;
        };
        let (logp, p) = (row[y], row[y].exp());
        let rest: f64 = row.iter().enumerate().filter(|(j, _)| *j != y).map(|(_, logp)| logp.exp()).sum();
        let curve = if gamma > 0.0 { gamma * rest.powf(gamma - 1.0) * p * logp } else { 0.0 };
        let pull = weights[y] / total * (curve - rest.powf(gamma));
        for (j, v) in row.iter_mut().enumerate() {
            *v = pull * if j == y { rest } else { -v.exp() };
        }
    }
    dz
}

/// Poly-1: cross entropy with class weights, and `epsilon w_y (1 - p_y)` beside it (Leng et al., "PolyLoss", ICLR 2022, arXiv 2204.12511;
/// the weights are ours).
pub fn poly1(z: &[f64], labels: &[u32], weights: &[f64], epsilon: f64) -> f64 {
    let c = weights.len();
    let (logp, total) = (log_softmax(z, c, 1.0), total(labels, weights));
    let one = |(logp, &label): (&[f64], &u32)| class(label, c).map_or(0.0, |y| weights[y] * (1.0 - logp[y].exp()));
    let sum: f64 = logp.chunks_exact(c).zip(labels).map(one).sum();
    forward(z, labels, weights, 0.0) + if total > 0.0 { epsilon * sum / total } else { 0.0 }
}

/// Its gradient by z, `[rows, c]`: that of the cross entropy, longer by `1 + epsilon p_y`.
pub fn poly1_grad(z: &[f64], labels: &[u32], weights: &[f64], epsilon: f64) -> Vec<f64> {
    let c = weights.len();
    let (logp, mut dz) = (log_softmax(z, c, 1.0), grad(z, labels, weights, 0.0));
    for ((row, logp), &label) in dz.chunks_exact_mut(c).zip(logp.chunks_exact(c)).zip(labels) {
        if let Some(y) = class(label, c) {
            row.iter_mut().for_each(|v| *v *= 1.0 + epsilon * logp[y].exp());
        }
    }
    dz
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{MISSING, cross_entropy, finite_difference, testing::*};

    #[test]
    fn without_weights_and_focus_it_is_cross_entropy() {
        let (z, labels) = (values(15, 1), [4, MISSING, 0]);
        let want = cross_entropy::forward(&z, &labels, 5, 0.0);
        assert_close(&[forward(&z, &labels, &[1.0; 5], 0.0)], &[want], 1e-14);
        assert_close(&grad(&z, &labels, &[3.0; 5], 0.0), &cross_entropy::grad(&z, &labels, 5, 0.0), 1e-14);
        // A class that counts twice is a sample that is there twice.
        let doubled = [z.clone(), z[..5].to_vec()].concat();
        let want = cross_entropy::forward(&doubled, &[4, MISSING, 0, 4], 5, 0.0);
        assert_close(&[forward(&z, &labels, &[1.0, 1.0, 1.0, 1.0, 2.0], 0.0)], &[want], 1e-14);
    }

    #[test]
    fn what_is_known_counts_less() {
        let sure = [5.0, 0.0, 0.0, 0.1, 0.0, 0.0];
        let loss = |gamma| forward(&sure, &[0, 0], &[1.0; 3], gamma);
        assert!(loss(2.0) < loss(1.0) && loss(1.0) < loss(0.0));
        assert_eq!(forward(&sure, &[MISSING; 2], &[1.0; 3], 2.0), 0.0);
        assert_eq!(
            (forward(&sure, &[0, 0], &[0.0; 3], 2.0), grad(&sure, &[0, 0], &[0.0; 3], 2.0)),
            (0.0, vec![0.0; 6])
        );
    }

    #[test]
    fn gradient_matches_finite_differences() {
        let (z, labels, weights) = (values(20, 1), [4, MISSING, 0, 2], [0.5, 1.0, 0.0, 2.0, 3.0]);
        for gamma in [0.0, 1.0, 2.0, 2.5] {
            let by_z = finite_difference(|z| forward(z, &labels, &weights, gamma), &z);
            assert_close(&grad(&z, &labels, &weights, gamma), &by_z, 1e-9);
        }
        for epsilon in [-1.0, 0.0, 2.0] {
            let by_z = finite_difference(|z| poly1(z, &labels, &weights, epsilon), &z);
            assert_close(&poly1_grad(&z, &labels, &weights, epsilon), &by_z, 1e-9);
        }
        // The terms of the expansion of −log p: ε changes the weight of the first, 1 − p, alone.
        let sure = [20.0, 0.0];
        let ratio = poly1(&sure, &[0], &[1.0; 2], 2.0) / forward(&sure, &[0], &[1.0; 2], 0.0);
        assert!((ratio - 3.0).abs() < 1e-6, "{ratio}");
    }
}
