//! Maps in another size, each output the nearest input, as PyTorch's `interpolate(mode="nearest")`.

/// Where output `at` of a map `[n, oh, ow, c]` comes from in a map `[n, h, w, c]`.
fn source(at: usize, [_, h, w, c]: [usize; 4], [oh, ow]: [usize; 2]) -> usize {
    let (k, j, i, b) = (at % c, at / c % ow, at / (c * ow) % oh, at / (c * ow * oh));
    ((b * h + i * h / oh) * w + j * w / ow) * c + k
}

/// `[n, h, w, c]` to `[n, oh, ow, c]`.
pub fn nearest(x: &[f64], size: [usize; 4], out: [usize; 2]) -> Vec<f64> {
    (0..size[0] * out[0] * out[1] * size[3]).map(|at| x[source(at, size, out)]).collect()
}

/// The gradient by x, `[n, h, w, c]`, from dy `[n, oh, ow, c]`.
pub fn nearest_grad(dy: &[f64], size: [usize; 4], out: [usize; 2]) -> Vec<f64> {
    let mut dx = vec![0.0; size.iter().product()];
    dy.iter().enumerate().for_each(|(at, dy)| dx[source(at, size, out)] += dy);
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::{finite_difference, testing::*};

    #[test]
    fn gradient() {
        assert_eq!(nearest(&[1.0, 2.0, 3.0], [1, 3, 1, 1], [5, 1]), [1.0, 1.0, 2.0, 2.0, 3.0]);
        for (size, out) in [([1, 3, 2, 2], [5, 4]), ([1, 5, 4, 2], [2, 3])] {
            let (x, dy) = (values(size.iter().product(), 1), values(out[0] * out[1] * size[3], 2));
            let numeric = finite_difference(|x| dot(&nearest(x, size, out), &dy), &x);
            assert_close(&nearest_grad(&dy, size, out), &numeric, 1e-9);
        }
    }
}
