//! Small steps on the way from features to the relations between the samples of a batch.

/// `x - mean`, the mean over the rows of x `[rows, c]`. Its gradient is itself, of the gradient.
pub fn centre(x: &[f64], c: usize) -> Vec<f64> {
    let rows = (x.len() / c) as f64;
    let mean: Vec<f64> = super::reduce::column_sum(x, c).iter().map(|s| s / rows).collect();
    x.iter().enumerate().map(|(i, v)| v - mean[i % c]).collect()
}

/// `x + x^T` of x `[n, n]`.
pub fn symmetric(x: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|i| x[i] + x[i % n * n + i / n]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn by_hand_and_gradient() {
        assert_eq!(symmetric(&[1.0, 2.0, 3.0, 4.0], 2), [2.0, 5.0, 5.0, 8.0]);
        let (x, dy) = (values(12, 1), values(12, 2));
        assert_close(&centre(&dy, 3), &finite_difference(|x| dot(&centre(x, 3), &dy), &x), 1e-8);
    }
}
