//! What the unit tests of the references share: reproducible values, comparison, and the scalar a gradient is taken of.

/// `n` values, roughly uniform in -2 .. 2, none equal to another: a multiplicative hash of the index.
pub fn values(n: usize, seed: u64) -> Vec<f64> {
    (0..n as u64)
        .map(|i| {
            let mut a = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            a = (a ^ (a >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((a ^ (a >> 29)) >> 11) as f64 / (1u64 << 53) as f64 * 4.0 - 2.0
        })
        .collect()
}

/// The scalar whose gradients the tests compare: `sum(a * b)`, with a fixed cotangent `b`.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Fails unless every element of `a` is within `tolerance * max(1, |b|)` of `b`'s.
#[track_caller]
pub fn assert_close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "lengths differ");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "element {i}: {a} is not {b}");
    }
}
