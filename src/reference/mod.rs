//! References: for every GPU kernel one plain `f64` function of the same name, forward and gradient.
//!
//! A reference is two things at once: the oracle that the kernel's tests are held against, and the definition a reader looks
//! up. So it is written for the eye, not for speed: slices in, vectors out, loops in the order of the formula, no GPU.
//!
//! Conventions, as everywhere in the crate:
//! - activations are NHWC, convolution weights OHWI, linear weights `[out, in]`, everything row-major;
//! - `rows x c` means a slice whose last axis is `c` long, whatever stands before it (NHWC batch norm, logits, features);
//! - a gradient is that of a scalar loss: `d*` arguments are the loss's derivatives by the output, results those by the
//!   input. Functions of a scalar loss (`cross_entropy::grad`, ...) take no such argument: the loss is their output;
//! - labels are class indices; [`MISSING`] marks a sample that has no label for the task at hand.
//!
//! Slices must have the lengths the doc comments give; a reference checks nothing.

pub mod adaptive_pool;
pub mod attention;
pub mod augment;
pub mod bank;
pub mod batch_norm;
pub mod binary_cross_entropy;
pub mod concat;
pub mod confusion;
pub mod contrast;
pub mod conv2d;
pub mod correlation;
pub mod cross_entropy;
pub mod dice;
pub mod distill_kl;
pub mod dkd;
pub mod elementwise;
pub mod fcos;
pub mod feature_loss;
pub mod focal;
pub mod fuse;
pub mod gradient_norm;
pub mod gramian;
pub mod imitation;
pub mod linear;
pub mod normalize;
pub mod optimizer;
pub mod pkt;
pub mod pool;
pub mod reduce;
pub mod regression;
pub mod relabel;
pub mod relation;
pub mod resize;
pub mod rkd;
pub mod sigmoid_kl;
pub mod softmax;
pub mod topk;
pub mod transpose;
pub mod vid;

#[cfg(test)]
mod testing;

/// The label of a sample that has none: it adds nothing to a loss, a gradient or a count, and is not averaged over.
pub const MISSING: u32 = u32::MAX;

/// The class of a label among `c`, or nothing for [`MISSING`]. Any other label outside the classes is treated alike
/// (the kernels must not read outside the row); the data room refuses such files long before.
pub(crate) fn class(label: u32, c: usize) -> Option<usize> {
    let class = label as usize;
    (class < c).then_some(class)
}

/// The gradient of `f` at `x` by central differences, `(f(x + h e_i) - f(x - h e_i)) / 2h` with `h = 1e-5 max(1, |x_i|)`.
///
/// Good to about nine digits for smooth functions of size 1. Keep `x` away from kinks (ties of a maximum, zeros of ReLU).
pub fn finite_difference(f: impl Fn(&[f64]) -> f64, x: &[f64]) -> Vec<f64> {
    let mut moved = x.to_vec();
    (0..x.len())
        .map(|i| {
            let h = 1e-5 * x[i].abs().max(1.0);
            moved[i] = x[i] + h;
            let above = f(&moved);
            moved[i] = x[i] - h;
            let below = f(&moved);
            moved[i] = x[i];
            (above - below) / (2.0 * h)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finite_difference_of_a_polynomial() {
        let d = finite_difference(|x| x[0] * x[0] * x[1] + 3.0 * x[1], &[2.0, -5.0]);
        testing::assert_close(&d, &[-20.0, 7.0], 1e-9);
    }

    #[test]
    fn rejects_class_ids_out_of_range() {
        assert_eq!([class(0, 3), class(2, 3), class(3, 3), class(MISSING, 3)], [Some(0), Some(2), None, None]);
    }
}
