//! The surest pairs of a place and a class that a detector names in an image (FCOS: Tian et al. 2019, arXiv 1904.01355).

/// Those of z `[places, classes + 5]`, as [`super::fcos`] describes it, whose `s(logit) s(centre-ness)` is at least `least`: the `most`
/// largest, of equal ones those that come first; `place classes + class`, in that order. What is no number is left out.
pub fn select(z: &[f64], classes: usize, least: f64, most: usize) -> Vec<usize> {
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v.clamp(-80.0, 80.0)).exp());
    let score = |row: &[f64], class: usize| (row[class], row[classes + 4]);
    let all = z.chunks_exact(classes + 5).flat_map(|row| (0..classes).map(move |class| score(row, class)));
    let known = all.enumerate().filter(|(_, (logit, centre))| !logit.is_nan() && !centre.is_nan());
    let scored = known.map(|(pair, (logit, centre))| (pair, sigmoid(logit) * sigmoid(centre)));
    let mut named: Vec<(usize, f64)> = scored.filter(|(_, score)| *score >= least).collect();
    // A stable sort: equal scores stay in the order of the pairs.
    named.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut first: Vec<usize> = named.into_iter().take(most).map(|(pair, _)| pair).collect();
    first.sort_unstable();
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Two classes at three places; centre-ness the same but for the last, where it is no number.
        let row = |a: f64, b: f64, centre: f64| [a, b, 0.0, 0.0, 0.0, 0.0, centre];
        let z = [row(1.0, 3.0, 2.0), row(3.0, -9.0, 2.0), row(9.0, 9.0, f64::NAN)].concat();
        assert_eq!(select(&z, 2, 0.01, 10), [0, 1, 2]);
        assert_eq!(select(&z, 2, 0.01, 2), [1, 2]);
        assert_eq!(select(&z, 2, 0.01, 1), [1]);
        assert_eq!(select(&z, 2, 0.0, 10), [0, 1, 2, 3]);
        assert_eq!(select(&z, 2, 0.99, 10), [0; 0]);
    }
}
