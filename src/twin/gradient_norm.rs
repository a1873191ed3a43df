//! Clipping by the norm of all gradients (Pascanu et al. 2013, arXiv 1211.5063).

/// `√Σ g²`.
pub fn norm(g: &[f64]) -> f64 {
    g.iter().map(|g| g * g).sum::<f64>().sqrt()
}

/// What the gradients are multiplied by: `min(1, max / (norm + 1e-6))`, as `torch.nn.utils.clip_grad_norm_`.
pub fn clip_factor(norm: f64, max: f64) -> f64 {
    (max / (norm + 1e-6)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_bounds_the_norm_and_leaves_short_gradients_alone() {
        assert_eq!(norm(&[3.0, -4.0]), 5.0);
        assert_eq!(clip_factor(0.0, 1.0), 1.0);
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        let clipped = 5.0 * clip_factor(5.0, 2.0);
        assert!(clipped < 2.0 && clipped > 2.0 - 1e-6, "{clipped}");
    }
}
