//! Where a map is strong: the mean of the squares over the channels. Zagoruyko & Komodakis, "Paying more attention to attention",
//! ICLR 2017 (arXiv 1612.03928).

/// `mean over c of f^2`, `[rows]`, of f `[rows, c]`.
pub fn forward(f: &[f64], c: usize) -> Vec<f64> {
    f.chunks_exact(c).map(|row| row.iter().map(|v| v * v).sum::<f64>() / c as f64).collect()
}

/// `df = 2 f da / c`.
pub fn grad(f: &[f64], da: &[f64], c: usize) -> Vec<f64> {
    f.iter().enumerate().map(|(i, f)| 2.0 * f * da[i / c] / c as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn gradient() {
        let (f, da) = (values(12, 1), values(4, 2));
        assert_close(&grad(&f, &da, 3), &finite_difference(|f| dot(&forward(f, 3), &da), &f), 1e-9);
        assert_eq!(forward(&[1.0, 3.0], 2), [5.0]);
    }
}
