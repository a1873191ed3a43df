//! A smooth maximum of the losses.

use super::adam::softmax;
use super::method::{Balance, Key, Method, Needs, Seen, Setup};
use crate::Result;

/// STCH (Lin et al. 2024, arXiv 2402.19078): `K μ log Σ_k exp(log(L_k / L⁰_k) / μ)`, a smooth maximum (Tchebycheff scalarisation) of
/// the losses' logarithms, measured from their means `L⁰` in the last of the warm-up's epochs; until then `Σ log L_k` (both as
/// LibMTL has them). The weights are `K softmax(log(L / L⁰) / μ)_k / L_k`, and `1 / L_k` in the warm-up.
struct Stch {
    mu: f64,
    /// Epochs of warm-up left.
    warmup: f64,
    /// L⁰; zeros before it is known.
    reference: Vec<f64>,
}

impl Balance for Stch {
    fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        let losses = seen.positive()?;
        if self.warmup > 0.0 {
            return Ok(losses.iter().map(|l| 1.0 / l).collect());
        }
        let ratios: Vec<f64> = losses.iter().zip(&self.reference).map(|(l, r)| (l / r).ln() / self.mu).collect();
        let tasks = losses.len() as f64;
        Ok(softmax(&ratios).iter().zip(&losses).map(|(s, l)| tasks * s / l).collect())
    }

    fn end_epoch(&mut self, means: &[f64]) {
        if self.warmup > 0.0 {
            self.warmup -= 1.0;
            self.reference = means.iter().map(|m| m.max(f64::MIN_POSITIVE)).collect();
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
