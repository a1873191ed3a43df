//! Weights that are learnt as the tasks' uncertainty.

use super::adam::Learned;
use super::method::{Balance, Key, Method, Needs, Seen, Setup};
use crate::Result;

/// UW (Kendall et al. 2018, arXiv 1705.07115): `Σ_k ½ e^{−s_k} L_k + ½ s_k`, `s_k` the logarithm of a variance that is learnt with
/// the network, from −0.5 on (LibMTL). The weights are `½ e^{−s_k}`.
///
/// The published programs let the network's optimizer learn `s`; here it has an Adam of its own, so that the learning rate that
/// suits the network need not suit it.
struct Uncertainty(Learned);

impl Balance for Uncertainty {
    fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        let weights: Vec<f64> = self.0.values.iter().map(|s| 0.5 * (-s).exp()).collect();
        self.0.descend(&gradient(&weights, seen, |w, l| 0.5 - w * l));
        Ok(weights)
    }

    fn state(&self) -> Vec<f64> {
        self.0.state()
    }

    fn restore(&mut self, state: &[f64]) {
        self.0.restore(state);
    }
}

/// The gradient of `s` by weight and loss; none of a task that has no part in the step.
fn gradient(weights: &[f64], seen: &Seen, of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let one = |(k, (w, l)): (usize, (&f64, &f64))| if seen.absent(k) { 0.0 } else { of(*w, *l) };
    weights.iter().zip(seen.losses).enumerate().map(one).collect()
}

/// IMTL-L (Liu et al. 2021, "Towards impartial multi-task learning", ICLR): `Σ_k e^{s_k} L_k − s_k` with learnt `s`, from 0 on; the
/// weights are `e^{s_k}`, and where `s` stands still every weighted loss is 1.
struct ImtlL(Learned);

impl Balance for ImtlL {
    fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        let weights: Vec<f64> = self.0.values.iter().map(|s| s.exp()).collect();
        self.0.descend(&gradient(&weights, seen, |w, l| w * l - 1.0));
        Ok(weights)
    }

    fn state(&self) -> Vec<f64> {
        self.0.state()
    }

    fn restore(&mut self, state: &[f64]) {
        self.0.restore(state);
    }
}

const LR: Key = Key { name: "lr", default: 0.01, range: (1e-9, 10.0) };

fn learned(setup: &Setup) -> Learned {
    Learned::new(vec![setup.number("init"); setup.tasks], setup.number("lr"), 0.0)
}

/// `init`: `s` at the start. `lr`: of `s`.
pub(super) const UNCERTAINTY: Method = Method {
    name: "uncertainty",
    needs: Needs::Losses,
    heads: true,
    after: false,
    keys: &[LR, Key { name: "init", default: -0.5, range: (-20.0, 20.0) }],
    make: |s| Box::new(Uncertainty(learned(s))),
};

/// `init`: `s` at the start. `lr`: of `s`.
pub(super) const IMTL_L: Method = Method {
    name: "imtl_l",
    needs: Needs::Losses,
    heads: true,
    after: false,
    keys: &[LR, Key { name: "init", default: 0.0, range: (-20.0, 20.0) }],
    make: |s| Box::new(ImtlL(learned(s))),
};
