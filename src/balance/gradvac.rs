//! Gradients brought to the likeness they usually have.

use super::gramian::Gramian;
use super::method::{Balance, Key, Method, Needs, Seen, Setup};
use super::pcgrad::order;
use crate::Result;

/// How much of another gradient is added at most, in lengths of the longest: reached where two gradients whose usual cosine is above
/// 0.99 are orthogonal.
const REACH: f64 = 8.0;

/// GradVac (Wang et al. 2021, arXiv 2010.05874): as PCGrad, but a gradient is turned towards another whenever their cosine is below
/// what it has been on average, `φ`: it gains `‖g_i‖ (φ √(1 − c²) − c √(1 − φ²)) / (‖g_j‖ √(1 − φ²))` of the other, after which
/// their cosine is `φ`; and `φ ← (1 − β) φ + β c`. `usual` holds φ for each pair, row by row, zeros at the start; `order` gives, for
/// task `k`, the order in which it meets the others.
///
/// A gradient of which nothing is left (one that has met its opposite) has no cosine: it is not turned any more, and φ stays. As
/// φ → 1, after many steps with parallel gradients, the rule adds without end; what it adds is held at `REACH` times the longest
/// gradient, so that the combination is no longer than `K (1 + 8 (K − 1))` times that.
pub fn gradvac(gramian: &Gramian, usual: &mut [f64], beta: f64, order: impl Fn(usize) -> Vec<usize>) -> Vec<f64> {
    let tasks = gramian.tasks();
    let longest = gramian.longest();
    let mut sum = vec![0.0; tasks];
    for k in 0..tasks {
        let mut own: Vec<f64> = (0..tasks).map(|i| if i == k { 1.0 } else { 0.0 }).collect();
        for j in order(k) {
            let (length, other) = (gramian.square(&own).sqrt(), gramian.norm(j));
            if other == 0.0 || gramian.cancels(&own) {
                continue;
            }
            let product: f64 = (0..tasks).map(|i| gramian.at(j, i) * own[i]).sum();
            let cosine = (product / (length * other)).clamp(-1.0, 1.0);
            let usual = &mut usual[k * tasks + j];
            if cosine < *usual {
                let (sine, goal) = ((1.0 - cosine * cosine).sqrt(), (1.0 - *usual * *usual).sqrt());
                let added = (*usual * sine / goal.max(f64::MIN_POSITIVE) - cosine) * length;
                own[j] += added.min(REACH * longest) / other;
            }
            *usual = (1.0 - beta) * *usual + beta * cosine;
        }
        sum.iter_mut().zip(own).for_each(|(s, w)| *s += w);
    }
    sum
}

struct GradVac {
    beta: f64,
    seed: u64,
    usual: Vec<f64>,
}

impl Balance for GradVac {
    fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        let gramian = seen.gramian()?;
        let meets = |k: usize| order(self.seed, seen.step, k, gramian.tasks());
        Ok(gradvac(gramian, &mut self.usual, self.beta, meets))
    }

    fn state(&self) -> Vec<f64> {
        self.usual.clone()
    }

    fn restore(&mut self, state: &[f64]) {
        self.usual.copy_from_slice(state);
    }
}

fn make(setup: &Setup) -> Box<dyn Balance> {
    Box::new(GradVac { beta: setup.number("beta"), seed: setup.seed, usual: vec![0.0; setup.tasks * setup.tasks] })
}

/// `beta`: how fast the usual cosine follows.
pub(super) const GRADVAC: Method = Method {
    name: "gradvac",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[Key { name: "beta", default: 0.5, range: (0.0, 1.0) }],
    make,
};
