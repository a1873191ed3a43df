//! The products of the tasks' gradients with each other, and their weighted sum; `J` is `[k, d]`, one gradient a row.
//!
//! All that gradient balancing needs to know of the gradients (Quinton & Rey 2024, arXiv 2406.16232).

/// `J Jᵀ`, `[k, k]`.
pub fn products(j: &[f64], k: usize) -> Vec<f64> {
    let rows: Vec<&[f64]> = j.chunks_exact(j.len() / k).collect();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
    rows.iter().flat_map(|a| rows.iter().map(move |b| product(a, b))).collect()
}

/// `Σ_k w_k J[k]`, `[d]`.
pub fn combine(j: &[f64], w: &[f64]) -> Vec<f64> {
    let d = j.len() / w.len();
    (0..d).map(|i| w.iter().enumerate().map(|(k, w)| w * j[k * d + i]).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let j = [1.0, 2.0, -3.0, 4.0];
        assert_eq!(products(&j, 2), [5.0, 5.0, 5.0, 25.0]);
        assert_eq!(combine(&j, &[2.0, 0.5]), [0.5, 6.0]);
    }
}
