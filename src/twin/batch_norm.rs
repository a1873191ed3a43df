//! Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167) over the rows of `[m, c]`; a map `[n, h, w, c]` is
//! the matrix of its `m = n·h·w` pixels. With the addition of a residual and a ReLU, which end a block of a ResNet.

/// `(mean, variance)` of every column of `x` `[m, c]`, each `[c]`. The variance is the biased one, `Σ (x − mean)² / m`.
pub fn stats(x: &[f64], c: usize) -> (Vec<f64>, Vec<f64>) {
    let m = (x.len() / c) as f64;
    let mut mean = vec![0.0; c];
    for row in x.chunks(c) {
        for (mean, x) in mean.iter_mut().zip(row) {
            *mean += x / m;
        }
    }
    let mut var = vec![0.0; c];
    for row in x.chunks(c) {
        for j in 0..c {
            var[j] += (row[j] - mean[j]).powi(2) / m;
        }
    }
    (mean, var)
}

/// `running ← (1 − momentum) · running + momentum · batch`, with the *unbiased* variance of the batch,
/// `var · m / (m − 1)`, as PyTorch keeps it. `mean` and `var` as [`stats`] gives them, of `m` rows; a single row's
/// variance is left as it is.
pub fn update_running(
    running_mean: &mut [f64],
    running_var: &mut [f64],
    mean: &[f64],
    var: &[f64],
    m: usize,
    momentum: f64,
) {
    let unbiased = m as f64 / m.saturating_sub(1).max(1) as f64;
    for (running, mean) in running_mean.iter_mut().zip(mean) {
        *running = (1.0 - momentum) * *running + momentum * mean;
    }
    for (running, var) in running_var.iter_mut().zip(var) {
        *running = (1.0 - momentum) * *running + momentum * var * unbiased;
    }
}

/// `y = relu(γ (x − mean) / √(var + eps) + β + residual)`, without the residual or the ReLU where they are not wanted.
/// `x`, `residual` and `y` `[m, c]`, the others `[c]`; the statistics are the batch's in training, the running ones
/// after.
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
    let value = |(i, x): (usize, &f64)| {
        let j = i % c;
        let y = gamma[j] * (x - mean[j]) / (var[j] + eps).sqrt() + beta[j] + residual.map_or(0.0, |r| r[i]);
        if relu { y.max(0.0) } else { y }
    };
    x.iter().enumerate().map(value).collect()
}

/// What [`backward`] returns.
#[derive(Debug, Clone, PartialEq)]
pub struct Grads {
    /// `[m, c]`
    pub dx: Vec<f64>,
    /// `[c]`
    pub dgamma: Vec<f64>,
    /// `[c]`
    pub dbeta: Vec<f64>,
    /// `[m, c]`: what the ReLU lets through of `dy`.
    pub dresidual: Vec<f64>,
}

/// The gradients of [`forward`], from `dy`, its output `y` (looked at for the ReLU only) and its inputs.
///
/// With `x̂ = (x − mean) / √(var + eps)` and `g = dy` where the ReLU let `y` through, else 0: `dβ = Σ g`,
/// `dγ = Σ g x̂`, `dx = γ / √(var + eps) · (g − (dβ + x̂ dγ) / m)`. The term in brackets comes from `x` acting on its
/// own statistics; where they are given constants (`training` = false) it is absent.
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
    let deviation: Vec<f64> = var.iter().map(|v| (v + eps).sqrt()).collect();
    let normal = |i: usize| (x[i] - mean[i % c]) / deviation[i % c];
    let g: Vec<f64> = dy.iter().zip(y).map(|(dy, y)| if relu && *y <= 0.0 { 0.0 } else { *dy }).collect();
    let (mut dgamma, mut dbeta) = (vec![0.0; c], vec![0.0; c]);
    for (i, g) in g.iter().enumerate() {
        dgamma[i % c] += g * normal(i);
        dbeta[i % c] += g;
    }
    let through_stats = |i: usize| if training { (dbeta[i % c] + normal(i) * dgamma[i % c]) / m } else { 0.0 };
    let dx = (0..x.len()).map(|i| gamma[i % c] / deviation[i % c] * (g[i] - through_stats(i))).collect();
    Grads { dx, dgamma, dbeta, dresidual: g }
}

/// The weight `[co, …]` and bias `[co]` of a convolution without bias that the batch norm after it is folded into:
/// `w' = w · γ / √(var + eps)`, `b' = β − mean · γ / √(var + eps)`, per output channel; for evaluation.
pub fn fold(
    w: &[f64],
    co: usize,
    mean: &[f64],
    var: &[f64],
    gamma: &[f64],
    beta: &[f64],
    eps: f64,
) -> (Vec<f64>, Vec<f64>) {
    let row = w.len() / co;
    let scale: Vec<f64> = (0..co).map(|o| gamma[o] / (var[o] + eps).sqrt()).collect();
    let folded = w.iter().enumerate().map(|(i, w)| w * scale[i / row]).collect();
    let bias = (0..co).map(|o| beta[o] - mean[o] * scale[o]).collect();
    (folded, bias)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_equal, assert_gradient, dot, values};
    use super::*;

    const EPS: f64 = 1e-3;

    #[test]
    fn statistics_by_hand() {
        let (mean, var) = stats(&[1.0, 10.0, 3.0, 10.0, 5.0, 40.0], 2);
        assert_equal(&mean, &[3.0, 20.0]);
        assert_equal(&var, &[8.0 / 3.0, 200.0]);
        let (mut running_mean, mut running_var) = ([1.0, 0.0], [1.0, 2.0]);
        update_running(&mut running_mean, &mut running_var, &mean, &var, 3, 0.5);
        assert_equal(&running_mean, &[2.0, 10.0]);
        // The unbiased variances are 4 and 300.
        assert_equal(&running_var, &[2.5, 151.0]);
    }

    #[test]
    fn a_single_row_has_a_finite_running_variance() {
        let (mean, var) = stats(&[3.0, -2.0], 2);
        let (mut running_mean, mut running_var) = ([0.0; 2], [1.0; 2]);
        update_running(&mut running_mean, &mut running_var, &mean, &var, 1, 0.1);
        assert_equal(&running_mean, &[0.3, -0.2]);
        assert_equal(&running_var, &[0.9, 0.9]);
    }

    #[test]
    fn a_normalised_batch_has_mean_beta_and_deviation_gamma() {
        let (c, x) = (3, values(1, 33));
        let (mean, var) = stats(&x, c);
        let y = forward(&x, c, &mean, &var, &[2.0, 0.5, -1.0], &[1.0, 0.0, 7.0], 0.0, None, false);
        let (mean, var) = stats(&y, c);
        assert_equal(&mean, &[1.0, 0.0, 7.0]);
        assert_equal(&var, &[4.0, 0.25, 1.0]);
    }

    #[test]
    fn gradients() {
        let (m, c) = (7, 3);
        let [x, r, dy] = [1, 2, 3].map(|seed| values(seed, m * c));
        let [gamma, beta, mean] = [4, 5, 6].map(|seed| values(seed, c));
        let var = vec![0.5, 1.5, 2.0];
        for (training, relu) in [(false, false), (false, true), (true, false), (true, true)] {
            let moments = |x: &[f64]| if training { stats(x, c) } else { (mean.clone(), var.clone()) };
            let loss = |x: &[f64], gamma: &[f64], beta: &[f64], r: &[f64]| {
                let (mean, var) = moments(x);
                dot(&forward(x, c, &mean, &var, gamma, beta, EPS, Some(r), relu), &dy)
            };
            let (mean, var) = moments(&x);
            let y = forward(&x, c, &mean, &var, &gamma, &beta, EPS, Some(&r), relu);
            // Otherwise the ReLU would not be tested, or a difference would step over its corner.
            assert_eq!(relu, y.contains(&0.0));
            let grads = backward(&dy, &y, &x, c, &mean, &var, &gamma, EPS, relu, training);
            assert_gradient(&grads.dx, &x, |x| loss(x, &gamma, &beta, &r));
            assert_gradient(&grads.dgamma, &gamma, |gamma| loss(&x, gamma, &beta, &r));
            assert_gradient(&grads.dbeta, &beta, |beta| loss(&x, &gamma, beta, &r));
            assert_gradient(&grads.dresidual, &r, |r| loss(&x, &gamma, &beta, r));
        }
    }

    #[test]
    fn folding_changes_no_output() {
        let (m, k, c) = (5, 4, 3);
        let (x, w) = (values(1, m * k), values(2, c * k));
        let [gamma, beta, mean] = [4, 5, 6].map(|seed| values(seed, c));
        let var = [0.5, 1.5, 2.0];
        let z = super::super::linear::forward(&x, &w, None, m, k, c);
        let (folded, bias) = fold(&w, c, &mean, &var, &gamma, &beta, EPS);
        let want = forward(&z, c, &mean, &var, &gamma, &beta, EPS, None, false);
        assert_equal(&super::super::linear::forward(&x, &folded, Some(&bias), m, k, c), &want);
    }
}
