//! Gradients of like size, larger for tasks that fall behind.

use super::adam::Adam;
use super::gramian::TOLERANCE;
use super::method::{Balance, Key, Method, Needs, Seen, Setup};
use crate::Result;

/// GradNorm (Chen et al. 2018, arXiv 1711.02257): the weights learn to bring `‖w_k ∇L_k‖` to `Ḡ r_k^α`, with `Ḡ` the mean of these
/// norms and `r_k` the task's loss over its first one, relative to the mean of that: minimise `Σ_k |‖w_k ∇L_k‖ − Ḡ r_k^α|`, the target
/// taken as a constant; after each step the weights are scaled to the sum K. The norms are those at the level at which gradients
/// are compared; the paper takes the last shared layer's parameters.
///
/// It looks at lengths alone: opposite gradients cancel, and one that vanishes, whose weight changes nothing, keeps its own. A task within
/// [`TOLERANCE`] of its target is at it. The weights' sum is K, so that the combination is no longer than K times the longest gradient.
struct GradNorm {
    alpha: f64,
    weights: Vec<f64>,
    adam: Adam,
    /// Each task's first loss; 0 before there is one.
    first: Vec<f64>,
}

/// The least share of a task, so that no weight turns negative.
const LEAST: f64 = 1e-3;

impl Balance for GradNorm {
    fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        let (losses, gramian) = (seen.positive()?, seen.gramian()?);
        let present = seen.present(losses.len());
        let given = self.weights.clone();
        for k in &present {
            if self.first[*k] == 0.0 {
                self.first[*k] = losses[*k];
            }
        }
        let over =
            |of: &dyn Fn(usize) -> f64| present.iter().map(|k| of(*k)).sum::<f64>() / present.len().max(1) as f64;
        let mean = over(&|k| gramian.norm(k) * given[k]);
        let ratio = |k: usize| losses[k] / self.first[k];
        let middle = over(&ratio);
        let slope = |k: usize| {
            let distance = gramian.norm(k) * given[k] - mean * (ratio(k) / middle).powf(self.alpha);
            // Where a task is at its target, the sign of what is left is rounding's.
            let known = TOLERANCE * (gramian.norm(k) * given[k] + mean);
            if distance.abs() <= known { 0.0 } else { distance.signum() * gramian.norm(k) }
        };
        let mut gradient = vec![0.0; losses.len()];
        present.iter().for_each(|k| gradient[*k] = slope(*k));
        let before: f64 = present.iter().map(|k| self.weights[*k]).sum();
        self.adam.step(&mut self.weights, &gradient);
        self.weights.iter_mut().for_each(|w| *w = w.max(LEAST));
        // All of them add up to the number of tasks, as those that have no part in the step keep theirs.
        let sum: f64 = present.iter().map(|k| self.weights[*k]).sum();
        present.iter().for_each(|k| self.weights[*k] *= before / sum);
        Ok(given)
    }

    fn state(&self) -> Vec<f64> {
        [self.weights.clone(), self.first.clone(), self.adam.state()].concat()
    }

    fn restore(&mut self, state: &[f64]) {
        let n = self.weights.len();
        self.weights.copy_from_slice(&state[..n]);
        self.first.copy_from_slice(&state[n..2 * n]);
        self.adam.restore(&state[2 * n..]);
    }
}

fn make(setup: &Setup) -> Box<dyn Balance> {
    let (n, lr) = (setup.tasks, setup.number("lr"));
    // Its gradients are as long as the tasks', which may all be small.
    let adam = Adam::new(n, lr, 0.0).at_any_scale();
    Box::new(GradNorm { alpha: setup.number("alpha"), weights: vec![1.0; n], adam, first: vec![0.0; n] })
}

/// `alpha`: how hard tasks that fall behind are pulled. `lr`: of the weights (the paper's).
pub(super) const GRADNORM: Method = Method {
    name: "gradnorm",
    needs: Needs::Gramian,
    heads: true,
    after: false,
    keys: &[
        Key { name: "alpha", default: 1.5, range: (0.0, 100.0) },
        Key { name: "lr", default: 0.025, range: (1e-9, 10.0) },
    ],
    make,
};
