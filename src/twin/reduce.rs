//! Sums.

/// `y[j] = Σ_i x[i, j]`: the sum of every column of `x` `[m, c]`, `[c]`. It is the gradient of a bias.
pub fn column_sum(x: &[f64], c: usize) -> Vec<f64> {
    let mut sum = vec![0.0; c];
    for row in x.chunks(c) {
        for (sum, x) in sum.iter_mut().zip(row) {
            *sum += x;
        }
    }
    sum
}

/// `Σ x`.
pub fn total(x: &[f64]) -> f64 {
    x.iter().sum()
}
