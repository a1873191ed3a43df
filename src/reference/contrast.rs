//! Contrastive distillation: is a teacher's embedding that of the same sample? Mean over the samples of
//! `log(1 + e^-v) + sum over the negatives of log(1 + e^v)`, with `v = u / tau - log m - 1 / (2 d tau^2)`, u the product of two
//! embeddings of length 1 and m the number of negatives: entries of the bank of another class, all where one side has none.
//!
//! Tian et al., "Contrastive representation distillation", ICLR 2020 (arXiv 1910.10699): v is the logarithm of its `h / (1 - h)`, with
//! the mean of `e^(u / tau)` over random embeddings in d dimensions, `e^(1 / (2 d tau^2))`, for its normaliser.

use super::MISSING;

/// Embeddings `[n, d]`, scores `[n, k]`, labels `[n]`, classes `[k]` (-1: none).
pub struct Contrast<'a> {
    /// Those that are judged.
    pub anchors: &'a [f64],
    /// The same samples on the other side.
    pub positives: &'a [f64],
    /// The products of the anchors with the bank's entries.
    pub scores: &'a [f64],
    /// The samples' classes.
    pub labels: &'a [u32],
    /// The entries' classes.
    pub classes: &'a [f64],
    /// The temperature.
    pub tau: f64,
}

/// log(1 + e^v).
fn softplus(v: f64) -> f64 {
    v.max(0.0) + (-v.abs()).exp().ln_1p()
}

fn gate(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

impl Contrast<'_> {
    fn depth(&self) -> usize {
        self.anchors.len() / self.labels.len()
    }

    /// The bank's entries that sample i is not to be taken for.
    fn negatives(&self, i: usize) -> Vec<usize> {
        let own = if self.labels[i] == MISSING { f64::NAN } else { f64::from(self.labels[i]) };
        (0..self.classes.len()).filter(|j| self.classes[*j] != own).collect()
    }

    /// `v` of a product of two embeddings, among m negatives.
    fn odds(&self, u: f64, m: usize) -> f64 {
        u / self.tau - (m as f64).ln() - 1.0 / (2.0 * self.depth() as f64 * self.tau * self.tau)
    }

    fn positive(&self, i: usize) -> f64 {
        let row = i * self.depth()..(i + 1) * self.depth();
        self.anchors[row.clone()].iter().zip(&self.positives[row]).map(|(a, b)| a * b).sum()
    }
}

/// The loss.
pub fn forward(what: &Contrast) -> f64 {
    let (n, k) = (what.labels.len(), what.classes.len());
    let one = |i: usize| {
        let negatives = what.negatives(i);
        let m = negatives.len();
        let others: f64 = negatives.iter().map(|j| softplus(what.odds(what.scores[i * k + j], m))).sum();
        if m == 0 { 0.0 } else { softplus(-what.odds(what.positive(i), m)) + others }
    };
    (0..n).map(one).sum::<f64>() / n as f64
}

/// The gradients of [`forward`] by the scores, and by the anchors where they meet their positives.
pub fn grad(what: &Contrast) -> (Vec<f64>, Vec<f64>) {
    let (n, k, d) = (what.labels.len(), what.classes.len(), what.depth());
    let (mut dscores, mut ds) = (vec![0.0; n * k], vec![0.0; n * d]);
    let unit = 1.0 / (n as f64 * what.tau);
    for i in 0..n {
        let negatives = what.negatives(i);
        let m = negatives.len();
        for j in negatives {
            dscores[i * k + j] = unit * gate(what.odds(what.scores[i * k + j], m));
        }
        if m > 0 {
            let pull = unit * gate(-what.odds(what.positive(i), m));
            let row = i * d..(i + 1) * d;
            ds[row.clone()].iter_mut().zip(&what.positives[row]).for_each(|(ds, t)| *ds = -pull * t);
        }
    }
    (dscores, ds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn gradients() {
        let (s, t, u) = (values(12, 1), values(12, 2), values(20, 3));
        fn with<'a>(anchors: &'a [f64], positives: &'a [f64], scores: &'a [f64]) -> Contrast<'a> {
            let (labels, classes) = (&[0, 1, MISSING, 0], &[-1.0, 0.0, 1.0, 0.0, 2.0]);
            Contrast { anchors, positives, scores, labels, classes, tau: 0.5 }
        }
        let (dscores, ds) = grad(&with(&s, &t, &u));
        assert_close(&dscores, &finite_difference(|u| forward(&with(&s, &t, u)), &u), 1e-8);
        assert_close(&ds, &finite_difference(|s| forward(&with(s, &t, &u)), &s), 1e-8);
        // Entry 1 is of the first sample's class.
        assert_eq!((dscores[1], with(&s, &t, &u).negatives(2).len()), (0.0, 5));
    }

    #[test]
    fn a_sample_without_negatives_has_no_loss() {
        let what =
            Contrast { anchors: &[1.0], positives: &[1.0], scores: &[1.0], labels: &[2], classes: &[2.0], tau: 0.1 };
        assert_eq!((forward(&what), grad(&what)), (0.0, (vec![0.0], vec![0.0])));
    }
}
