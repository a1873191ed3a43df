//! Cross entropy on logits, with label smoothing (Szegedy et al. 2016, arXiv 1512.00567) as PyTorch does it.

use super::softmax::{log_softmax, softmax};

/// The class of every row, `None` where its label is no class ([`super::MISSING`]); and how many rows have one.
fn classes(labels: &[u32], c: usize) -> (impl Iterator<Item = Option<usize>>, f64) {
    let classes = labels.iter().map(move |l| Some(*l as usize).filter(|l| *l < c));
    (classes.clone(), classes.flatten().count() as f64)
}

/// The mean over the labelled rows of `−(1 − smoothing) log p[y] − smoothing / c · Σ_j log p[j]`, `p = softmax(z)`; 0
/// where no row is labelled. `z` `[m, c]`, `labels` `[m]`.
pub fn forward(z: &[f64], labels: &[u32], c: usize, smoothing: f64) -> f64 {
    let (classes, count) = classes(labels, c);
    let mut loss = 0.0;
    for (logp, class) in log_softmax(z, c, 1.0).chunks(c).zip(classes) {
        if let Some(class) = class {
            loss -= (1.0 - smoothing) * logp[class] + smoothing / c as f64 * logp.iter().sum::<f64>();
        }
    }
    loss / count.max(1.0)
}

/// The gradient of [`forward`] with respect to `z`: `(p − (1 − smoothing) [j = y] − smoothing / c) / count` in the rows
/// that are labelled, 0 in the others; `[m, c]`.
pub fn grad(z: &[f64], labels: &[u32], c: usize, smoothing: f64) -> Vec<f64> {
    let (classes, count) = classes(labels, c);
    let mut dz = softmax(z, c, 1.0);
    for (row, class) in dz.chunks_mut(c).zip(classes) {
        let Some(class) = class else {
            row.fill(0.0);
            continue;
        };
        for (j, p) in row.iter_mut().enumerate() {
            let wanted = smoothing / c as f64 + if j == class { 1.0 - smoothing } else { 0.0 };
            *p = (*p - wanted) / count;
        }
    }
    dz
}

#[cfg(test)]
mod tests {
    use super::super::MISSING;
    use super::super::testing::{assert_equal, assert_gradient, values};
    use super::*;

    #[test]
    fn values_by_hand() {
        let z = [0.0, 3f64.ln(), 1.0, 1.0];
        let (ln2, ln4) = (2f64.ln(), 4f64.ln());
        assert_equal(&[forward(&z, &[0, 1], 2, 0.0)], &[(ln4 + ln2) / 2.0]);
        assert_equal(&[forward(&z, &[MISSING, 0], 2, 0.0)], &[ln2]);
        // Fully smoothed, the label no longer matters: the mean of -log 1/4 and -log 3/4.
        let smooth = (ln4 - 0.75f64.ln()) / 2.0;
        assert_equal(&[forward(&z, &[0, MISSING], 2, 1.0), forward(&z, &[1, MISSING], 2, 1.0)], &[smooth, smooth]);
    }

    #[test]
    fn nothing_labelled_is_no_loss() {
        let z = values(1, 6);
        assert_eq!(forward(&z, &[MISSING; 2], 3, 0.1), 0.0);
        assert_eq!(grad(&z, &[MISSING; 2], 3, 0.1), [0.0; 6]);
    }

    #[test]
    fn gradients() {
        let (c, z) = (5, values(1, 20));
        for labels in [[0, 4, 2, 2], [MISSING, 3, MISSING, 1]] {
            for smoothing in [0.0, 0.1] {
                assert_gradient(&grad(&z, &labels, c, smoothing), &z, |z| forward(z, &labels, c, smoothing));
            }
        }
    }
}
