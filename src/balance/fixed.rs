//! Constant weights.

use crate::{Error, Result};

/// `L = Σ_k w_k L_k` with weights that never change; all ones is equal weighting, which, well tuned, is a strong baseline
/// (Xin et al. 2022, arXiv 2201.04122).
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    weights: Vec<f32>,
}

impl Fixed {
    /// Given weights: finite, not negative, not all zero.
    pub fn new(weights: Vec<f32>) -> Result<Self> {
        if weights.iter().any(|w| !w.is_finite() || *w < 0.0) || weights.iter().all(|w| *w == 0.0) {
            return Err(Error::Invalid(format!(
                "task weights {weights:?} must be finite, not negative and not all zero"
            )));
        }
        Ok(Fixed { weights })
    }

    /// Ones for `tasks` tasks.
    pub fn equal(tasks: usize) -> Self {
        Fixed { weights: vec![1.0; tasks] }
    }

    /// The weights of this step.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }
}
