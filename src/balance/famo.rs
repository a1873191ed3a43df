//! Equal progress from the losses alone.

use super::adam::{Learned, softmax};
use super::method::{Balance, Key, Method, Needs, Seen, Setup};
use crate::Result;

/// FAMO (Liu et al. 2023, arXiv 2306.03792): the step descends along `c Σ_k z_k ∇ log L_k` with `z = softmax(ξ)` and
/// `c = 1 / Σ_k (z_k / L_k)`; then `ξ` learns from how far each loss went: its gradient is the softmax's Jacobian times
/// `log L(before) − log L(after)`, on the same batch. So that the task that got better least gets more weight.
struct Famo {
    logits: Learned,
    /// The losses before the update.
    before: Vec<f64>,
}

/// Keeps the logarithm finite, as in the authors' program.
const EPS: f64 = 1e-8;

impl Balance for Famo {
    fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        let losses = seen.positive()?;
        self.before.clone_from(&losses);
        let shares: Vec<f64> = softmax(&self.logits.values).iter().zip(&losses).map(|(z, l)| z / (l + EPS)).collect();
        let sum: f64 = shares.iter().sum();
        Ok(shares.into_iter().map(|s| s / sum).collect())
    }

    fn after(&mut self, losses: &[f64]) {
        let progress = self.before.iter().zip(losses).map(|(b, a)| (b + EPS).ln() - (a.max(0.0) + EPS).ln());
        let progress: Vec<f64> = progress.collect();
        let z = softmax(&self.logits.values);
        let mean: f64 = z.iter().zip(&progress).map(|(z, p)| z * p).sum();
        let gradient: Vec<f64> = z.iter().zip(&progress).map(|(z, p)| z * (p - mean)).collect();
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
    Box::new(Famo { logits, before: vec![1.0; setup.tasks] })
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
