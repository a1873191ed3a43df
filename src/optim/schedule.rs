//! Learning rates over the steps of a run.

/// The course after the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub enum Curve {
    /// Unchanged.
    Constant,
    /// Half a cosine down to zero (Loshchilov & Hutter 2017, arXiv 1608.03983, without restarts).
    Cosine,
    /// Times `gamma` at each milestone, a fraction of all steps.
    Step {
        /// Fractions in 0..1, increasing.
        milestones: Vec<f32>,
        /// The factor.
        gamma: f32,
    },
}

/// A learning rate for every step.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The rate after the warm-up.
    pub lr: f32,
    /// Steps over which it rises linearly (Goyal et al. 2017, arXiv 1706.02677): step `i` has `(i + 1) / warmup` of it.
    pub warmup: usize,
    /// Steps of the whole run.
    pub steps: usize,
    /// The course after the warm-up.
    pub curve: Curve,
}

impl Schedule {
    /// The rate of step `step`, from 0.
    pub fn at(&self, step: usize) -> f32 {
        if step < self.warmup {
            return self.lr * (step + 1) as f32 / self.warmup as f32;
        }
        let factor = match &self.curve {
            Curve::Constant => 1.0,
            Curve::Cosine => {
                let whole = self.steps.saturating_sub(self.warmup).max(1) as f64;
                let done = ((step - self.warmup) as f64 / whole).min(1.0);
                (0.5 * (1.0 + (std::f64::consts::PI * done).cos())) as f32
            }
            Curve::Step { milestones, gamma } => {
                // To the nearest step: 0.8 of 10 in f32 is a little more than 8.
                let at = |m: f32| (f64::from(m) * self.steps as f64).round() as usize;
                let passed = milestones.iter().filter(|m| step >= at(**m)).count();
                gamma.powi(passed as i32)
            }
        };
        self.lr * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn warm_up_then_cosine() {
        let s = Schedule { lr: 0.4, warmup: 4, steps: 24, curve: Curve::Cosine };
        let close =
            |step, want: f32| assert!((s.at(step) - want).abs() < 1e-6, "step {step}: {} for {want}", s.at(step));
        close(0, 0.1);
        close(3, 0.4);
        close(4, 0.4);
        close(14, 0.2);
        close(24, 0.0);
        close(99, 0.0);
    }

    #[test]
    fn milestones_lower_the_rate() {
        let s =
            Schedule { lr: 1.0, warmup: 0, steps: 10, curve: Curve::Step { milestones: vec![0.5, 0.8], gamma: 0.1 } };
        let rates: Vec<f32> = [0, 4, 5, 7, 8, 9].map(|i| s.at(i)).to_vec();
        for (rate, want) in rates.iter().zip([1.0, 1.0, 0.1, 0.1, 0.01, 0.01]) {
            assert_abs_diff_eq!(*rate, want, epsilon = 1e-7);
        }
    }
}
