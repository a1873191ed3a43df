//! Batch normalization over `rows x c`, with the residual addition and ReLU that follow it in a residual network.
//!
//! `y = relu(gamma (x - mean) / sqrt(var + eps) + beta + residual)`, per channel; residual and ReLU are optional.
//! Training takes the batch's own mean and biased variance; inference the running ones. `m` is the number of rows
//! (n h w for NHWC activations). Ioffe & Szegedy, "Batch Normalization", ICML 2015 (arXiv 1502.03167).

/// What [`backward`] gives: derivatives of the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Grads {
    /// By the input, `[m, c]`.
    pub dx: Vec<f64>,
    /// By the scale, `[c]`.
    pub dgamma: Vec<f64>,
    /// By the shift, `[c]`.
    pub dbeta: Vec<f64>,
    /// By the residual (`dy` where the ReLU let through), `[m, c]`.
    pub dresidual: Vec<f64>,
}

/// Mean and biased variance of every channel of x `[m, c]`: `var = (1/m) sum (x - mean)^2`.
pub fn stats(x: &[f64], c: usize) -> (Vec<f64>, Vec<f64>) {
    let m = (x.len() / c) as f64;
    let mean: Vec<f64> = (0..c).map(|j| x.iter().skip(j).step_by(c).sum::<f64>() / m).collect();
    let var = (0..c).map(|j| x.iter().skip(j).step_by(c).map(|v| (v - mean[j]).powi(2)).sum::<f64>() / m).collect();
    (mean, var)
}

/// For each chunk of rows of x `[m, c]`: every channel's mean, then every channel's sum of squared deviations from it.
pub fn chunk_stats(x: &[f64], c: usize, chunks: &[Vec<usize>]) -> Vec<f64> {
    let chunk = |rows: &Vec<usize>| {
        let rows_of = rows.iter().flat_map(|r| x[r * c..(r + 1) * c].to_vec()).collect::<Vec<f64>>();
        let (mean, var) = stats(&rows_of, c);
        let squares = var.iter().map(|v| v * rows.len() as f64).collect();
        [mean, squares].concat()
    };
    chunks.iter().flat_map(chunk).collect()
}

/// `running = (1 - momentum) running + momentum batch`, in place, where the batch's variance is made unbiased
/// (`m / (m - 1)`) as PyTorch does. One row has no unbiased variance: it counts with its biased one, 0.
pub fn update_running(
    running_mean: &mut [f64],
    running_var: &mut [f64],
    mean: &[f64],
    var: &[f64],
    m: usize,
    momentum: f64,
) {
    let unbias = if m > 1 { m as f64 / (m - 1) as f64 } else { 1.0 };
    for j in 0..mean.len() {
        running_mean[j] += momentum * (mean[j] - running_mean[j]);
        running_var[j] += momentum * (var[j] * unbias - running_var[j]);
    }
}

/// `y` `[m, c]` of x `[m, c]` under the given statistics `[c]`; residual: `[m, c]`.
pub fn forward(
    x: &[f64],
    c: usize,
    mean: &[f64],
    var: &[f64],
    gamma: &[f64],
    beta: &[f64],
    eps: f64,
    residual: Option<&[f64]>,
    relu: bool,
) -> Vec<f64> {
    (0..x.len())
        .map(|i| {
            let j = i % c;
            let normalised = (x[i] - mean[j]) / (var[j] + eps).sqrt();
            let y = gamma[j] * normalised + beta[j] + residual.map_or(0.0, |r| r[i]);
            if relu { y.max(0.0) } else { y }
        })
        .collect()
}

/// All gradients of [`forward`]. `y` is its output, read only where `relu` (the mask is `y > 0`).
///
/// With `g` the masked `dy` and `n` the normalised x: `dgamma = sum g n`, `dbeta = sum g`, and
/// `dx = gamma / sqrt(var + eps) (g - dbeta/m - n dgamma/m)` when the statistics came from x (`training`), without the
/// last two terms when they were constants.
pub fn backward(
    dy: &[f64],
    y: &[f64],
    x: &[f64],
    c: usize,
    mean: &[f64],
    var: &[f64],
    gamma: &[f64],
    eps: f64,
    relu: bool,
    training: bool,
) -> Grads {
    let m = (x.len() / c) as f64;
    let g: Vec<f64> = (0..x.len()).map(|i| if relu && y[i] <= 0.0 { 0.0 } else { dy[i] }).collect();
    let n: Vec<f64> = (0..x.len()).map(|i| (x[i] - mean[i % c]) / (var[i % c] + eps).sqrt()).collect();
    let (mut dgamma, mut dbeta) = (vec![0.0; c], vec![0.0; c]);
    for i in 0..x.len() {
        dgamma[i % c] += g[i] * n[i];
        dbeta[i % c] += g[i];
    }
    let through_stats = |i: usize| if training { (dbeta[i % c] + n[i] * dgamma[i % c]) / m } else { 0.0 };
    let dx =
        (0..x.len()).map(|i| gamma[i % c] / (var[i % c] + eps).sqrt() * (g[i] - through_stats(i))).collect::<Vec<_>>();
    Grads { dx, dgamma, dbeta, dresidual: g }
}

/// Folds an inference batch norm into the convolution before it: with `a = gamma / sqrt(var + eps)` per output channel,
/// `w' = a w` and `b' = beta + a (b - mean)`. w: `[co, k]` with `k = kh kw ci / groups`, bias: `[co]`.
pub fn fold(
    w: &[f64],
    co: usize,
    bias: Option<&[f64]>,
    mean: &[f64],
    var: &[f64],
    gamma: &[f64],
    beta: &[f64],
    eps: f64,
) -> (Vec<f64>, Vec<f64>) {
    let k = w.len() / co;
    let a: Vec<f64> = (0..co).map(|o| gamma[o] / (var[o] + eps).sqrt()).collect();
    let folded = w.iter().enumerate().map(|(i, w)| a[i / k] * w).collect();
    let shift = (0..co).map(|o| beta[o] + a[o] * (bias.map_or(0.0, |b| b[o]) - mean[o])).collect();
    (folded, shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        reference::{conv2d, finite_difference, testing::*},
        shape::Conv2d,
    };

    const EPS: f64 = 1e-5;

    #[test]
    fn normalises_each_channel() {
        let (m, c) = (17, 3);
        let x = values(m * c, 1);
        let (mean, var) = stats(&x, c);
        let y = forward(&x, c, &mean, &var, &[1.0; 3], &[0.0; 3], 0.0, None, false);
        let (mean, var) = stats(&y, c);
        assert_close(&mean, &[0.0; 3], 1e-12);
        assert_close(&var, &[1.0; 3], 1e-12);
    }

    #[test]
    fn running_variance_is_unbiased_and_one_row_is_finite() {
        let (mut mean, mut var) = (vec![0.0], vec![1.0]);
        let (batch_mean, batch_var) = stats(&[1.0, 3.0], 1);
        update_running(&mut mean, &mut var, &batch_mean, &batch_var, 2, 0.1);
        assert_close(&[mean[0], var[0]], &[0.2, 1.1], 1e-15);
        update_running(&mut mean, &mut var, &[0.2], &[0.0], 1, 0.5);
        assert_close(&[mean[0], var[0]], &[0.2, 0.55], 1e-15);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (m, c) = (7, 3);
        let (x, dy, residual) = (values(m * c, 1), values(m * c, 2), values(m * c, 3));
        let (gamma, beta) = (values(c, 4), values(c, 5));
        let fixed = (values(c, 6), vec![0.7, 1.3, 2.1]);
        for (training, relu) in [(true, true), (true, false), (false, true), (false, false)] {
            let run = |x: &[f64], gamma: &[f64], beta: &[f64], residual: &[f64]| {
                let (mean, var) = if training { stats(x, c) } else { fixed.clone() };
                forward(x, c, &mean, &var, gamma, beta, EPS, Some(residual), relu)
            };
            let (mean, var) = if training { stats(&x, c) } else { fixed.clone() };
            let y = run(&x, &gamma, &beta, &residual);
            let g = backward(&dy, &y, &x, c, &mean, &var, &gamma, EPS, relu, training);
            let by = |f: &dyn Fn(&[f64]) -> Vec<f64>, at: &[f64]| finite_difference(|v| dot(&f(v), &dy), at);
            assert_close(&g.dx, &by(&|v| run(v, &gamma, &beta, &residual), &x), 1e-7);
            assert_close(&g.dgamma, &by(&|v| run(&x, v, &beta, &residual), &gamma), 1e-7);
            assert_close(&g.dbeta, &by(&|v| run(&x, &gamma, v, &residual), &beta), 1e-7);
            assert_close(&g.dresidual, &by(&|v| run(&x, &gamma, &beta, v), &residual), 1e-7);
        }
    }

    #[test]
    fn folding_changes_nothing() {
        let s = Conv2d::square(2, 5, 3, 3, 4, 3, 1, 1);
        let (x, w, bias) = (values(2 * 5 * 3 * 3, 1), values(4 * 9 * 3, 2), values(4, 3));
        let (mean, var, gamma, beta) = (values(4, 4), vec![0.2, 0.5, 1.0, 3.0], values(4, 5), values(4, 6));
        for bias in [None, Some(bias.as_slice())] {
            let y = conv2d::forward(&s, &x, &w, bias);
            let apart = forward(&y, 4, &mean, &var, &gamma, &beta, EPS, None, false);
            let (w, b) = fold(&w, 4, bias, &mean, &var, &gamma, &beta, EPS);
            assert_close(&conv2d::forward(&s, &x, &w, Some(&b)), &apart, 1e-12);
        }
    }
}
