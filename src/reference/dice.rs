//! Soft Dice loss over classes, with a weight for each class.
//!
//! `D_j = (2 sum p_ij g_ij + s) / (sum p_ij + sum g_ij + s)`, `p = softmax(z)`, `g_ij = [y_i = j]`, sums over all labelled rows of the
//! batch; the loss is the mean of `1 - D_j` over the classes that occur among the labels, each counting with its weight (0 where none
//! does). z: `[rows, c]`, labels: `[rows]`, a row with a [`super::MISSING`] label is in no sum; weights: `[c]`.
//! Milletari, Navab & Ahmadi, "V-Net", 3DV 2016 (arXiv 1606.04797), with plain sums in the denominator where they square them (Drozdzal
//! et al., DLMIA 2016, arXiv 1608.04117; Sudre et al., DLMIA 2017, arXiv 1707.03237), as nnU-Net (Isensee et al. 2021, arXiv 1809.10486).

use super::{class, softmax::softmax};

/// Probabilities, and for each class the intersection, the denominator without smoothing, and how many labels are of it.
fn sums(z: &[f64], labels: &[u32], c: usize) -> (Vec<f64>, Vec<[f64; 3]>) {
    let p = softmax(z, c, 1.0);
    let mut sums = vec![[0.0; 3]; c];
    for (p, &label) in p.chunks_exact(c).zip(labels) {
        let Some(y) = class(label, c) else { continue };
        for (j, sum) in sums.iter_mut().enumerate() {
            let g = if j == y { 1.0 } else { 0.0 };
            *sum = [sum[0] + p[j] * g, sum[1] + p[j] + g, sum[2] + g];
        }
    }
    (p, sums)
}

/// How much each class counts: its weight over the sum of the weights of those that occur.
fn parts(sums: &[[f64; 3]], weights: &[f64]) -> Vec<f64> {
    let own: Vec<f64> = sums.iter().zip(weights).map(|(sum, w)| if sum[2] > 0.0 { *w } else { 0.0 }).collect();
    let total: f64 = own.iter().sum();
    own.iter().map(|w| if total > 0.0 { w / total } else { 0.0 }).collect()
}

/// The loss.
pub fn forward(z: &[f64], labels: &[u32], weights: &[f64], smoothing: f64) -> f64 {
    let (_, sums) = sums(z, labels, weights.len());
    let one = |(sum, part): (&[f64; 3], f64)| {
        if part > 0.0 { part * (1.0 - (2.0 * sum[0] + smoothing) / (sum[1] + smoothing)) } else { 0.0 }
    };
    sums.iter().zip(parts(&sums, weights)).map(one).sum()
}

/// The loss's gradient by z, `[rows, c]`: `p_ij (q_ij - sum over k of p_ik q_ik)` with
/// `q_ij = part_j (D_j - 2 g_ij) / (sum p_ij + sum g_ij + s)`, 0 for a row without label.
pub fn grad(z: &[f64], labels: &[u32], weights: &[f64], smoothing: f64) -> Vec<f64> {
    let c = weights.len();
    let (mut dz, sums) = sums(z, labels, c);
    let parts = parts(&sums, weights);
    for (row, &label) in dz.chunks_exact_mut(c).zip(labels) {
        let Some(y) = class(label, c) else {
            row.fill(0.0);
            continue;
        };
        let slope = |j: usize| {
            let (dice, g) = (2.0 * sums[j][0] + smoothing, if j == y { 2.0 } else { 0.0 });
            let denominator = sums[j][1] + smoothing;
            if parts[j] > 0.0 { parts[j] * (dice / denominator - g) / denominator } else { 0.0 }
        };
        let mean: f64 = row.iter().enumerate().map(|(j, p)| p * slope(j)).sum();
        row.iter_mut().enumerate().for_each(|(j, p)| *p *= slope(j) - mean);
    }
    dz
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{MISSING, finite_difference, testing::*};

    #[test]
    fn by_hand() {
        // Equal logits of two classes, one pixel of each: intersection 1/2, sums 1 and 1.
        assert_close(&[forward(&[0.0; 4], &[0, 1], &[1.0; 2], 0.0)], &[0.5], 1e-15);
        assert_close(&[forward(&[0.0; 4], &[0, 1], &[1.0; 2], 1.0)], &[1.0 / 3.0], 1e-15);
        // What is sure and right costs nothing; what is sure and wrong, all.
        let sure = [50.0, 0.0, 0.0, 50.0];
        assert_close(
            &[forward(&sure, &[0, 1], &[1.0; 2], 0.0), forward(&sure, &[1, 0], &[1.0; 2], 0.0)],
            &[0.0, 1.0],
            1e-15,
        );
    }

    #[test]
    fn a_rare_class_counts_as_much_as_a_frequent_one() {
        // Nine pixels of class 0, one of class 1, all of them said to be of class 0.
        let (z, labels) = ([40.0, 0.0].repeat(10), [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
        let want = 0.5 * (1.0 - 18.0 / 19.0) + 0.5;
        assert_close(&[forward(&z, &labels, &[1.0; 2], 0.0)], &[want], 1e-12);
        assert_close(&[forward(&z, &labels, &[0.0, 1.0], 0.0)], &[1.0], 1e-12);
    }

    #[test]
    fn what_has_no_label_and_what_does_not_occur_count_nothing() {
        let z = values(20, 1);
        let all = forward(&z[5..15], &[2, 0], &[1.0; 5], 0.1);
        assert_close(&[forward(&z, &[MISSING, 2, 0, MISSING], &[1.0; 5], 0.1)], &[all], 1e-15);
        let dz = grad(&z, &[MISSING, 2, 0, MISSING], &[1.0; 5], 0.1);
        assert!(dz[..5].iter().chain(&dz[15..]).all(|v| *v == 0.0) && dz[5..15].iter().all(|v| *v != 0.0));
        // Whatever the weights of classes that do not occur.
        assert_close(
            &[forward(&z, &[1; 4], &[7.0, 1.0, 3.0, 0.0, 2.0], 0.1)],
            &[forward(&z, &[1; 4], &[1.0; 5], 0.1)],
            1e-15,
        );
        for (labels, weights, smoothing) in [([MISSING; 4], [1.0; 5], 0.0), ([3; 4], [1.0, 1.0, 1.0, 0.0, 1.0], 1.0)] {
            assert_eq!(forward(&z, &labels, &weights, smoothing), 0.0);
            assert_eq!(grad(&z, &labels, &weights, smoothing), vec![0.0; 20]);
        }
    }

    #[test]
    fn gradient_matches_finite_differences() {
        let (z, labels, weights) = (values(25, 1), [4, MISSING, 0, 2, 4], [0.5, 1.0, 0.0, 2.0, 3.0]);
        for smoothing in [0.0, 1e-5, 1.0] {
            let by_z = finite_difference(|z| forward(z, &labels, &weights, smoothing), &z);
            assert_close(&grad(&z, &labels, &weights, smoothing), &by_z, 1e-9);
        }
    }
}
