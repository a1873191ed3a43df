//! Weights from how fast each loss falls.

use super::adam::softmax;
use super::method::{Balance, Key, Method, Needs, Seen, Setup};
use crate::Result;

/// DWA (Liu et al. 2019, arXiv 1803.10704): `w = K softmax(r / T)`, `r_k` the task's mean loss of the last epoch over that of the one
/// before. Equal weights in the first two epochs.
struct Dwa {
    temperature: f64,
    /// Mean losses of the last epoch and of the one before; NaN before they are known.
    last: Vec<f64>,
    before: Vec<f64>,
}

impl Balance for Dwa {
    fn weights(&mut self, _: &Seen) -> Result<Vec<f64>> {
        let tasks = self.last.len();
        let rates = self.last.iter().zip(&self.before).map(|(l, b)| l / b / self.temperature);
        let rates: Vec<f64> = rates.collect();
        if rates.iter().any(|r| !r.is_finite()) {
            return Ok(vec![1.0; tasks]);
        }
        Ok(softmax(&rates).into_iter().map(|w| w * tasks as f64).collect())
    }

    fn end_epoch(&mut self, means: &[f64]) {
        self.before = std::mem::replace(&mut self.last, means.to_vec());
    }

    /// Unknown means are stored as the largest number: JSON has no NaN.
    fn state(&self) -> Vec<f64> {
        self.last.iter().chain(&self.before).map(|v| if v.is_nan() { f64::MAX } else { *v }).collect()
    }

    fn restore(&mut self, state: &[f64]) {
        let known = |v: &f64| if *v == f64::MAX { f64::NAN } else { *v };
        let (last, before) = state.split_at(self.last.len());
        self.last = last.iter().map(known).collect();
        self.before = before.iter().map(known).collect();
    }
}

fn make(setup: &Setup) -> Box<dyn Balance> {
    let unknown = vec![f64::NAN; setup.tasks];
    Box::new(Dwa { temperature: setup.number("temperature"), last: unknown.clone(), before: unknown })
}

/// `temperature`: T; the larger, the more equal.
pub(super) const DWA: Method = Method {
    name: "dwa",
    needs: Needs::Nothing,
    heads: true,
    after: false,
    keys: &[Key { name: "temperature", default: 2.0, range: (1e-6, 1e6) }],
    make,
};
