//! One minus Pearson's correlation of rows. With x = (a - mean) / max(||a - mean||, eps) and y so of b: `1 - <x, y>`.
//!
//! Distances of DIST (Huang et al. 2022, arXiv 2205.10536) and, over all entries of two matrices at once, of linear CKA.

/// A row without its mean, at length 1, and its length before.
fn standard(v: &[f64], eps: f64) -> (Vec<f64>, f64) {
    let mean = v.iter().sum::<f64>() / v.len() as f64;
    let length = v.iter().map(|v| (v - mean).powi(2)).sum::<f64>().sqrt();
    (v.iter().map(|v| (v - mean) / length.max(eps)).collect(), length)
}

/// `1 - <x, y>` of each row of a and b, `[rows, c]`.
pub fn forward(a: &[f64], b: &[f64], c: usize, eps: f64) -> Vec<f64> {
    let one = |(a, b): (&[f64], &[f64])| {
        let (x, y) = (standard(a, eps).0, standard(b, eps).0);
        1.0 - x.iter().zip(&y).map(|(x, y)| x * y).sum::<f64>()
    };
    a.chunks_exact(c).zip(b.chunks_exact(c)).map(one).collect()
}

/// The gradient of the sum of [`forward`] by a: `-(y - x <x, y>) / max(||a - mean||, eps)`.
pub fn grad(a: &[f64], b: &[f64], c: usize, eps: f64) -> Vec<f64> {
    let mut out = Vec::new();
    for (a, b) in a.chunks_exact(c).zip(b.chunks_exact(c)) {
        let ((x, length), (y, _)) = (standard(a, eps), standard(b, eps));
        let along = if length > eps { x.iter().zip(&y).map(|(x, y)| x * y).sum() } else { 0.0 };
        out.extend(x.iter().zip(&y).map(|(x, y)| -(y - x * along) / length.max(eps)));
    }
    out
}

/// `[rows, c]` with rows and columns exchanged.
pub fn transpose(a: &[f64], c: usize) -> Vec<f64> {
    let rows = a.len() / c;
    (0..c).flat_map(|j| (0..rows).map(move |i| a[i * c + j])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn scale_and_shift_do_not_matter() {
        let a = values(6, 1);
        let b: Vec<f64> = a.iter().map(|v| 3.0 * v - 1.0).collect();
        assert_close(&forward(&a, &b, 3, 1e-8), &[0.0, 0.0], 1e-12);
        assert_eq!(transpose(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn gradient() {
        let (a, b) = (values(15, 1), values(15, 2));
        for eps in [1e-8, 100.0] {
            let numeric = finite_difference(|a| forward(a, &b, 5, eps).iter().sum(), &a);
            assert_close(&grad(&a, &b, 5, eps), &numeric, 1e-8);
        }
    }
}
