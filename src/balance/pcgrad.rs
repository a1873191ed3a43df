//! Conflicts projected away, pair by pair.

use super::gramian::Gramian;

/// PCGrad (Yu et al. 2020, arXiv 2001.06782): each gradient in turn meets the others in random order, and loses its component
/// along every one that it is in conflict with (a negative product); the results are added. `order` gives, for task `k`, the order
/// in which it meets the others, which the caller draws from its seed.
///
/// All of it happens in the space of the gradients, so that weights of the original ones describe it.
pub fn pcgrad(gramian: &Gramian, order: impl Fn(usize) -> Vec<usize>) -> Vec<f64> {
    let tasks = gramian.tasks();
    let mut sum = vec![0.0; tasks];
    for k in 0..tasks {
        let mut own: Vec<f64> = (0..tasks).map(|i| if i == k { 1.0 } else { 0.0 }).collect();
        for j in order(k).into_iter().filter(|j| *j != k && *j < tasks) {
            let product: f64 = (0..tasks).map(|i| gramian.at(j, i) * own[i]).sum();
            if product < 0.0 {
                own[j] -= product / gramian.at(j, j);
            }
        }
        sum.iter_mut().zip(own).for_each(|(s, w)| *s += w);
    }
    sum
}
