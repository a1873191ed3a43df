//! Equal progress from the losses alone.

use super::adam::{Learned, softmax};
use super::method::{Balance, Key, Method, Needs, Seen, Setup, spread};
use crate::Result;

/// FAMO (Liu et al. 2023, arXiv 2306.03792): the step descends along `c Σ_k z_k ∇ log L_k` with `z = softmax(ξ)` and
/// `c = 1 / Σ_k (z_k / L_k)`; then `ξ` learns from how far each loss went: its gradient is the softmax's Jacobian times
/// `log L(before) − log L(after)`, on the same batch. So that the task that got better least gets more weight.
struct Famo {
    logits: Learned,
    /// The losses before the update, and whose they are: of the tasks that have a part in the step.
    before: Vec<(usize, f64)>,
}

impl Famo {
    /// The shares of the tasks that have a part.
    fn shares(&self) -> Vec<f64> {
        softmax(&self.before.iter().map(|(k, _)| self.logits.values[*k]).collect::<Vec<_>>())
    }
}

/// Keeps the logarithm finite, as in the authors' program.
const EPS: f64 = 1e-8;

impl Balance for Famo {
    fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        let (losses, present) = (seen.positive()?, seen.present(seen.losses.len()));
        self.before = present.iter().map(|k| (*k, losses[*k])).collect();
        if present.is_empty() {
            return Ok(vec![1.0; losses.len()]);
        }
        let shares: Vec<f64> = self.shares().iter().zip(&self.before).map(|(z, (_, l))| z / (l + EPS)).collect();
        let sum: f64 = shares.iter().sum();
        let weights: Vec<f64> = shares.into_iter().map(|s| s / sum).collect();
        Ok(spread(&weights, &present, losses.len()))
    }

    fn after(&mut self, losses: &[f64]) {
        let progress = self.before.iter().map(|(k, b)| (b + EPS).ln() - (losses[*k].max(0.0) + EPS).ln());
        let progress: Vec<f64> = progress.collect();
        let z = self.shares();
        let mean: f64 = z.iter().zip(&progress).map(|(z, p)| z * p).sum();
        let mut gradient = vec![0.0; losses.len()];
        self.before.iter().zip(&z).zip(&progress).for_each(|(((k, _), z), p)| gradient[*k] = z * (p - mean));
        self.logits.descend(&gradient);
    }

    fn state(&self) -> Vec<f64> {
        self.logits.state()
    }

    fn restore(&mut self, state: &[f64]) {
        self.logits.restore(state);
    }
}

fn make(setup: &Setup) -> Box<dyn Balance> {
    let logits = Learned::new(vec![0.0; setup.tasks], setup.number("lr"), setup.number("weight_decay"));
    Box::new(Famo { logits, before: Vec::new() })
}

/// `lr`, `weight_decay`: of the logits of the weights (the paper's γ; LibMTL's defaults).
pub(super) const FAMO: Method = Method {
    name: "famo",
    needs: Needs::Losses,
    heads: true,
    after: true,
    keys: &[
        Key { name: "lr", default: 0.025, range: (1e-9, 10.0) },
        Key { name: "weight_decay", default: 1e-3, range: (0.0, 10.0) },
    ],
    make,
};
