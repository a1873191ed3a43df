//! A smooth maximum of the losses.

use super::adam::softmax;
use super::method::{Balance, Key, Method, Needs, Seen, Setup, spread};
use crate::Result;

/// STCH (Lin et al. 2024, arXiv 2402.19078): `K μ log Σ_k exp(log(L_k / L⁰_k) / μ)`, a smooth maximum (Tchebycheff scalarisation) of
/// the losses' logarithms, measured from their means `L⁰` in the last of the warm-up's epochs; until then `Σ log L_k` (both as
/// LibMTL has them). The weights are `K softmax(log(L / L⁰) / μ)_k / L_k`, and `1 / L_k` in the warm-up.
struct Stch {
    mu: f64,
    /// Epochs of warm-up left.
    warmup: f64,
    /// L⁰; 0 before it is known: of a task of which that epoch had nothing, the first loss there is.
    reference: Vec<f64>,
}

impl Balance for Stch {
    fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        let (losses, present) = (seen.positive()?, seen.present(seen.losses.len()));
        if present.is_empty() {
            return Ok(vec![1.0; losses.len()]);
        }
        if self.warmup > 0.0 {
            let weights: Vec<f64> = present.iter().map(|k| 1.0 / losses[*k]).collect();
            return Ok(spread(&weights, &present, losses.len()));
        }
        for k in present.iter().filter(|k| self.reference[**k] == 0.0).copied().collect::<Vec<_>>() {
            self.reference[k] = losses[k];
        }
        let ratios: Vec<f64> = present.iter().map(|k| (losses[*k] / self.reference[*k]).ln() / self.mu).collect();
        let tasks = present.len() as f64;
        let weights: Vec<f64> = softmax(&ratios).iter().zip(&present).map(|(s, k)| tasks * s / losses[*k]).collect();
        Ok(spread(&weights, &present, losses.len()))
    }

    fn end_epoch(&mut self, means: &[f64]) {
        if self.warmup > 0.0 {
            self.warmup -= 1.0;
            self.reference = means.iter().map(|m| m.max(0.0)).collect();
        }
    }

    fn state(&self) -> Vec<f64> {
        [&[self.warmup][..], &self.reference].concat()
    }

    fn restore(&mut self, state: &[f64]) {
        self.warmup = state[0];
        self.reference.copy_from_slice(&state[1..]);
    }
}

fn make(setup: &Setup) -> Box<dyn Balance> {
    let warmup = setup.number("warmup_epochs").round();
    Box::new(Stch { mu: setup.number("mu"), warmup, reference: vec![0.0; setup.tasks] })
}

/// `mu`: smoothness. `warmup_epochs`: at least one.
pub(super) const STCH: Method = Method {
    name: "stch",
    needs: Needs::Losses,
    heads: true,
    after: false,
    keys: &[
        Key { name: "mu", default: 1.0, range: (1e-6, 1e6) },
        Key { name: "warmup_epochs", default: 4.0, range: (1.0, 1e6) },
    ],
    make,
};
