//! Conflicts projected away, pair by pair.

use super::gramian::Gramian;
use super::method::{Method, Needs, Plain};
use super::simple::{stream, uniform};

/// PCGrad (Yu et al. 2020, arXiv 2001.06782): each gradient in turn meets the others in random order, and loses its component
/// along every one that it is in conflict with (a negative product); the results are added. `order` gives, for task `k`, the order
/// in which it meets the others, which the caller draws from its seed.
///
/// All of it happens in the space of the gradients, so that weights of the original ones describe it. No projection makes a gradient
/// longer: the combination is no longer than all gradients together. Two opposite gradients leave nothing of each other, however
/// short one of them is; one that vanishes is in conflict with none.
pub fn pcgrad(gramian: &Gramian, order: impl Fn(usize) -> Vec<usize>) -> Vec<f64> {
    let tasks = gramian.tasks();
    let mut sum = vec![0.0; tasks];
    for k in 0..tasks {
        let mut own: Vec<f64> = (0..tasks).map(|i| if i == k { 1.0 } else { 0.0 }).collect();
        for j in order(k).into_iter().filter(|j| *j != k && *j < tasks) {
            let product: f64 = (0..tasks).map(|i| gramian.at(j, i) * own[i]).sum();
            if product < 0.0 && gramian.at(j, j) > 0.0 {
                own[j] -= product / gramian.at(j, j);
            }
        }
        sum.iter_mut().zip(own).for_each(|(s, w)| *s += w);
    }
    sum
}

/// The order in which task `k` meets the others at a step, by Fisher and Yates.
pub(super) fn order(seed: u64, step: u64, k: usize, tasks: usize) -> Vec<usize> {
    let mut rng = stream(seed, step * tasks as u64 + k as u64);
    let mut others: Vec<usize> = (0..tasks).filter(|j| *j != k).collect();
    for i in (1..others.len()).rev() {
        let j = (uniform(&mut rng) * (i + 1) as f64) as usize;
        others.swap(i, j.min(i));
    }
    others
}

pub(super) const PCGRAD: Method = Method {
    name: "pcgrad",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[],
    make: |s| {
        let (seed, tasks) = (s.seed, s.tasks);
        Box::new(Plain(move |seen: &super::Seen| Ok(pcgrad(seen.gramian()?, |k| order(seed, seen.step, k, tasks)))))
    },
};
