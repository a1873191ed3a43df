//! Probabilistic knowledge transfer on cosine similarities s (student) and t (teacher), `[n, n]`:
//! `p_ij = (s_ij + 1) / sum over k of (s_ik + 1)`, q so of t; `1/n^2 sum of q log((q + eps) / (p + eps))`.
//!
//! Passalis & Tefas, "Learning deep representations with probabilistic knowledge transfer", ECCV 2018 (arXiv 1803.10837); mean over
//! all entries as in RepDistiller.

fn probabilities(s: &[f64], n: usize) -> Vec<f64> {
    s.chunks_exact(n)
        .flat_map(|row| {
            let sum: f64 = row.iter().map(|s| s + 1.0).sum();
            row.iter().map(move |s| (s + 1.0) / sum)
        })
        .collect()
}

/// The loss.
pub fn forward(s: &[f64], t: &[f64], n: usize, eps: f64) -> f64 {
    let (p, q) = (probabilities(s, n), probabilities(t, n));
    p.iter().zip(&q).map(|(p, q)| q * ((q + eps) / (p + eps)).ln()).sum::<f64>() / (n * n) as f64
}

/// The gradient of [`forward`] by s.
pub fn grad(s: &[f64], t: &[f64], n: usize, eps: f64) -> Vec<f64> {
    let (p, q) = (probabilities(s, n), probabilities(t, n));
    let mut out = Vec::new();
    for ((s, p), q) in s.chunks_exact(n).zip(p.chunks_exact(n)).zip(q.chunks_exact(n)) {
        let sum: f64 = s.iter().map(|s| s + 1.0).sum();
        let g: Vec<f64> = p.iter().zip(q).map(|(p, q)| -q / (p + eps) / (n * n) as f64).collect();
        let inner: f64 = g.iter().zip(p).map(|(g, p)| g * p).sum();
        out.extend(g.iter().map(|g| (g - inner) / sum));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn gradient_and_zero() {
        let cosines = |seed| -> Vec<f64> { values(16, seed).iter().map(|v| v / 2.1).collect() };
        let (s, t) = (cosines(1), cosines(2));
        assert_close(&grad(&s, &t, 4, 1e-7), &finite_difference(|s| forward(s, &t, 4, 1e-7), &s), 1e-8);
        assert_close(&[forward(&s, &s, 4, 1e-7)], &[0.0], 1e-12);
    }
}
