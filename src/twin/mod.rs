//! Twins: every kernel once more in plain f64 Rust, without a GPU.
//!
//! A twin says in a few readable lines what its kernel computes, and is what the kernel's tests compare with. It
//! follows the formula and not the shader: no tiles, no vectors, no fused passes, sums in the order of the loops. It is
//! never fast.
//!
//! Slices are row-major; maps are NHWC, convolution weights OHWI, linear weights `[out, in]`. Lengths are the caller's
//! duty: a twin indexes and does not explain. Gradients take the gradient `dy` of the output and return that of the
//! input.

pub mod augment;
pub mod batch_norm;
pub mod binary_cross_entropy;
pub mod confusion;
pub mod conv2d;
pub mod cross_entropy;
pub mod distill_kl;
pub mod elementwise;
pub mod feature_loss;
pub mod gradient_norm;
pub mod linear;
pub mod optimizer;
pub mod pool;
pub mod reduce;
pub mod softmax;

/// The label of a sample that has none: it adds nothing to loss, gradient or counts, nor to the number divided by.
pub const MISSING: u32 = u32::MAX;

/// The gradient of `f` at `x` by central differences, `(f(x + h e_i) − f(x − h e_i)) / 2h` with `h = 1e-5`: good to
/// about nine digits where `f` is smooth and of moderate size.
pub fn finite_difference(mut f: impl FnMut(&[f64]) -> f64, x: &[f64]) -> Vec<f64> {
    const H: f64 = 1e-5;
    let mut x = x.to_vec();
    let mut gradient = Vec::with_capacity(x.len());
    for i in 0..x.len() {
        let centre = x[i];
        x[i] = centre + H;
        let above = f(&x);
        x[i] = centre - H;
        let below = f(&x);
        x[i] = centre;
        gradient.push((above - below) / (2.0 * H));
    }
    gradient
}

#[cfg(test)]
mod testing {
    //! What the tests of the twins share.

    /// `n` values, roughly normal, from a seed. No two are equal, so a maximum is never tied.
    pub fn values(seed: u64, n: usize) -> Vec<f64> {
        crate::kernels::case::f64s(&crate::kernels::case::values(seed, n))
    }

    /// `Σ a b`: the loss whose gradient with respect to the output `a` is `b`.
    pub fn dot(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// Fails where two slices differ by more than `1e-12`.
    #[track_caller]
    pub fn assert_equal(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() <= 1e-12), "{got:?}\nagainst {want:?}");
    }

    /// Fails where `gradient` is not that of `f` at `x`, to a relative error of 1e-7.
    #[track_caller]
    pub fn assert_gradient(gradient: &[f64], x: &[f64], f: impl FnMut(&[f64]) -> f64) {
        let want = super::finite_difference(f, x);
        assert_eq!(gradient.len(), want.len());
        let difference: Vec<f64> = gradient.iter().zip(&want).map(|(a, b)| a - b).collect();
        let error = (dot(&difference, &difference) / dot(&want, &want).max(1e-12)).sqrt();
        assert!(error <= 1e-7, "relative error {error:.2e}: {gradient:?}\nagainst {want:?}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn finite_differences_of_a_cubic() {
        let gradient = super::finite_difference(|x| x[0].powi(3) + 2.0 * x[1], &[2.0, -1.0]);
        assert!((gradient[0] - 12.0).abs() < 1e-8 && (gradient[1] - 2.0).abs() < 1e-9, "{gradient:?}");
    }
}
