//! Distillation of independent attributes: `t^2 (1/n) sum over rows and attributes of KL(sigmoid(zt/t) || sigmoid(zs/t))`, each
//! between an attribute and its absence. Hinton et al. 2015 (arXiv 1503.02531) for two classes an attribute; as the one-versus-all
//! form of Yang et al., "Multi-label knowledge distillation", 2023 (arXiv 2308.06453).

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `log sigmoid(x)`.
fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

/// The loss of student logits against teacher logits, both `[n, c]`.
pub fn forward(zs: &[f64], zt: &[f64], c: usize, t: f64) -> f64 {
    let kl = |s: f64, q: f64| {
        sigmoid(q) * (log_sigmoid(q) - log_sigmoid(s)) + sigmoid(-q) * (log_sigmoid(-q) - log_sigmoid(-s))
    };
    let sum: f64 = zs.iter().zip(zt).map(|(s, q)| kl(s / t, q / t)).sum();
    t * t * sum * c as f64 / zs.len() as f64
}

/// The gradient of [`forward`] by zs: `t/n (sigmoid(zs/t) - sigmoid(zt/t))`.
pub fn grad(zs: &[f64], zt: &[f64], c: usize, t: f64) -> Vec<f64> {
    let unit = t * c as f64 / zs.len() as f64;
    zs.iter().zip(zt).map(|(s, q)| unit * (sigmoid(s / t) - sigmoid(q / t))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn gradient_and_zero() {
        let (s, q) = (values(12, 1), values(12, 2));
        assert_close(&grad(&s, &q, 4, 3.0), &finite_difference(|s| forward(s, &q, 4, 3.0), &s), 1e-8);
        assert_close(&[forward(&s, &s, 4, 3.0)], &[0.0], 1e-12);
    }
}
