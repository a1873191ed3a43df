//! Predictions and confusion counts.

/// The class with the largest logit in each row of `z` `[m, c]`, the first of equals.
pub fn argmax(z: &[f64], c: usize) -> Vec<usize> {
    z.chunks(c).map(|row| (0..c).reduce(|best, j| if row[j] > row[best] { j } else { best }).unwrap_or(0)).collect()
}

/// How often a sample of a class (row) was taken for a class (column, the [`argmax`] of its logits): `[c, c]`. `z`
/// `[m, c]`, `labels` `[m]`; a label that is no class, [`super::MISSING`] among them, is not counted.
pub fn counts(z: &[f64], labels: &[u32], c: usize) -> Vec<u64> {
    let mut counts = vec![0; c * c];
    for (label, predicted) in labels.iter().zip(argmax(z, c)) {
        if (*label as usize) < c {
            counts[*label as usize * c + predicted] += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::MISSING;
    use super::*;

    #[test]
    fn counts_by_hand() {
        // Predictions 1, 0 (the first of equals), 2, 1.
        let z = [0.0, 1.0, -1.0, 3.0, 3.0, 1.0, -3.0, -2.0, -1.0, 0.0, 9.0, 9.0];
        assert_eq!(argmax(&z, 3), [1, 0, 2, 1]);
        assert_eq!(counts(&z, &[1, 2, MISSING, 0], 3), [0, 1, 0, 0, 1, 0, 1, 0, 0]);
    }
}
