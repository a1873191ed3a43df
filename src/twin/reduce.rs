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

#[cfg(test)]
mod tests {
    use super::super::testing::assert_equal;
    use super::*;

    #[test]
    fn sums_by_hand() {
        let x = [1.0, 2.0, 3.0, 10.0, 20.0, 30.0];
        assert_equal(&column_sum(&x, 3), &[11.0, 22.0, 33.0]);
        assert_equal(&column_sum(&x, 1), &[66.0]);
        assert_equal(&[total(&x), total(&[])], &[66.0, 0.0]);
    }
}
