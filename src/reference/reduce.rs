//! Reductions: the sum of every column, of everything, and of the squares.
//!
//! The column sum is the bias gradient of a convolution or a linear layer.

/// `out[j] = sum over rows of x[row, j]`, `[c]`, of x `[rows, c]`.
pub fn column_sum(x: &[f64], c: usize) -> Vec<f64> {
    let mut out = vec![0.0; c];
    for row in x.chunks_exact(c) {
        out.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
    }
    out
}

/// `sum x`; 0 of nothing.
pub fn sum(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |sum, v| sum + v)
}

/// `sum x^2`; 0 of nothing.
pub fn sum_squares(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |sum, v| sum + v * v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(column_sum(&x, 3), [5.0, 7.0, 9.0]);
        assert_eq!((sum(&x), sum_squares(&x)), (21.0, 91.0));
        assert_eq!((sum(&[]).to_bits(), sum_squares(&[])), (0, 0.0));
    }
}
