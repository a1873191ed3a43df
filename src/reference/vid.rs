//! Variational information distillation: the negative log-likelihood of the teacher's features t under a normal distribution around
//! m, with a variance for each channel `v = log(1 + e^rho) + eps`: mean over all elements of `((m - t)^2 / v + log v) / 2`.
//!
//! Ahn et al., "Variational information distillation for knowledge transfer", CVPR 2019 (arXiv 1904.05835).

fn variance(rho: f64, eps: f64) -> f64 {
    rho.max(0.0) + (-rho.abs()).exp().ln_1p() + eps
}

/// The loss of m and t `[rows, c]` with rho `[c]`.
pub fn forward(m: &[f64], t: &[f64], rho: &[f64], eps: f64) -> f64 {
    let one = |(i, (m, t)): (usize, (&f64, &f64))| {
        let v = variance(rho[i % rho.len()], eps);
        0.5 * ((m - t).powi(2) / v + v.ln())
    };
    m.iter().zip(t).enumerate().map(one).sum::<f64>() / m.len() as f64
}

/// The gradients of [`forward`] by m and by rho.
pub fn grad(m: &[f64], t: &[f64], rho: &[f64], eps: f64) -> (Vec<f64>, Vec<f64>) {
    let (c, unit) = (rho.len(), 1.0 / m.len() as f64);
    let dm = (0..m.len()).map(|i| unit * (m[i] - t[i]) / variance(rho[i % c], eps)).collect();
    let mut drho = vec![0.0; c];
    for i in 0..m.len() {
        let v = variance(rho[i % c], eps);
        drho[i % c] += unit * 0.5 * (1.0 / v - ((m[i] - t[i]) / v).powi(2)) / (1.0 + (-rho[i % c]).exp());
    }
    (dm, drho)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn gradients() {
        let (m, t, rho) = (values(12, 1), values(12, 2), values(3, 3));
        let (dm, drho) = grad(&m, &t, &rho, 1e-5);
        assert_close(&dm, &finite_difference(|m| forward(m, &t, &rho, 1e-5), &m), 1e-8);
        assert_close(&drho, &finite_difference(|rho| forward(&m, &t, rho, 1e-5), &rho), 1e-8);
    }
}
