//! Confusion counts: how often a sample of one class was given another. Accuracy and every per-class measure follow.

use super::class;

/// `counts[label c + prediction]`, `[c, c]`, of logits z `[rows, c]` and labels `[rows]`. The prediction is the first of the
/// largest logits; a [`super::MISSING`] label is skipped.
pub fn counts(z: &[f64], labels: &[u32], c: usize) -> Vec<u64> {
    let mut counts = vec![0; c * c];
    for (row, &label) in z.chunks_exact(c).zip(labels) {
        let Some(label) = class(label, c) else { continue };
        let prediction = (1..c).fold(0, |best, j| if row[j] > row[best] { j } else { best });
        counts[label * c + prediction] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::MISSING;

    #[test]
    fn counts_first_maxima_of_labelled_samples() {
        let z = [0.0, 2.0, 1.0, 5.0, 5.0, -1.0, 0.0, 0.0, 0.5, 9.0, 0.0, 0.0];
        assert_eq!(counts(&z, &[1, 1, 0, MISSING], 3), [0, 0, 1, 1, 1, 0, 0, 0, 0]);
    }
}
