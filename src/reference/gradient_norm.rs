//! The global norm of all gradients and the factor that clips it.
//!
//! Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", ICML 2013 (arXiv 1211.5063), as
//! `torch.nn.utils.clip_grad_norm_` has it.

use super::reduce::sum_squares;

/// `||g||_2`.
pub fn norm(g: &[f64]) -> f64 {
    sum_squares(g).sqrt()
}

/// What to multiply gradients of the given norm by so that it becomes at most max: `min(1, max / (norm + 1e-6))`.
pub fn clip_factor(norm: f64, max: f64) -> f64 {
    (max / (norm + 1e-6)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norm_and_factor() {
        assert_eq!(norm(&[3.0, 4.0]), 5.0);
        assert_eq!((clip_factor(0.0, 1.0), clip_factor(0.5, 1.0)), (1.0, 1.0));
        approx::assert_relative_eq!(clip_factor(5.0, 1.0), 0.2, max_relative = 1e-6);
    }
}
