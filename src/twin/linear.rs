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
