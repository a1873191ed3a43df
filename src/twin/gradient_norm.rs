//! Clipping by the norm of all gradients (Pascanu et al. 2013, arXiv 1211.5063).

/// `√Σ g²`.
pub fn norm(g: &[f64]) -> f64 {
    g.iter().map(|g| g * g).sum::<f64>().sqrt()
}

/// What the gradients are multiplied by: `min(1, max / (norm + 1e-6))`, as `torch.nn.utils.clip_grad_norm_`.
pub fn clip_factor(norm: f64, max: f64) -> f64 {
    (max / (norm + 1e-6)).min(1.0)
}
