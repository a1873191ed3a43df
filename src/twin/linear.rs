//! The linear layer.

/// `y = x Wᵀ + b`: `x` `[m, k]`, `w` `[n, k]`, `b` `[n]`; the result `[m, n]`.
pub fn forward(x: &[f64], w: &[f64], b: Option<&[f64]>, m: usize, k: usize, n: usize) -> Vec<f64> {
    let mut y = vec![0.0; m * n];
    for i in 0..m {
        for j in 0..n {
            y[i * n + j] = b.map_or(0.0, |b| b[j]) + (0..k).map(|l| x[i * k + l] * w[j * k + l]).sum::<f64>();
        }
    }
    y
}

/// `dx = dy W`: `dy` `[m, n]`; the result `[m, k]`.
pub fn input_grad(dy: &[f64], w: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
    let mut dx = vec![0.0; m * k];
    for i in 0..m {
        for l in 0..k {
            dx[i * k + l] = (0..n).map(|j| dy[i * n + j] * w[j * k + l]).sum();
        }
    }
    dx
}

/// `dW = dyᵀ x`: the result `[n, k]`. The gradient of the bias is [`super::reduce::column_sum`] of `dy`.
pub fn weight_grad(x: &[f64], dy: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
    let mut dw = vec![0.0; n * k];
    for j in 0..n {
        for l in 0..k {
            dw[j * k + l] = (0..m).map(|i| dy[i * n + j] * x[i * k + l]).sum();
        }
    }
    dw
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_equal, assert_gradient, dot, values};
    use super::*;

    #[test]
    fn a_row_by_hand() {
        let y = forward(&[1.0, 2.0], &[3.0, 4.0, 5.0, 6.0, 0.0, 1.0], Some(&[0.5, 0.0, -2.0]), 1, 2, 3);
        assert_equal(&y, &[11.5, 17.0, 0.0]);
    }

    #[test]
    fn gradients() {
        let (m, k, n) = (3, 5, 2);
        let (x, w, b, dy) = (values(1, m * k), values(2, n * k), values(3, n), values(4, m * n));
        assert_gradient(&input_grad(&dy, &w, m, k, n), &x, |x| dot(&forward(x, &w, Some(&b), m, k, n), &dy));
        assert_gradient(&weight_grad(&x, &dy, m, k, n), &w, |w| dot(&forward(&x, w, Some(&b), m, k, n), &dy));
    }
}
