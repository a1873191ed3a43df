//! Maps in another size, as PyTorch's `interpolate`: each output the nearest input, or between the four around it.

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

/// Where output `i` of `out` lies among `size` inputs: the one before it, the one behind it, and the share of the latter.
/// `s = max((i + 1/2) size / out - 1/2, 0)`, as with `align_corners=False`.
fn between(i: usize, size: usize, out: usize) -> [(usize, f64); 2] {
    let s = ((i as f64 + 0.5) * size as f64 / out as f64 - 0.5).max(0.0);
    let low = (s + 1e-9).floor();
    let share = (s - low).max(0.0);
    [(low as usize, 1.0 - share), ((low as usize + 1).min(size - 1), share)]
}

/// `[n, h, w, c]` to `[n, oh, ow, c]`, bilinear.
pub fn bilinear(x: &[f64], [n, h, w, c]: [usize; 4], [oh, ow]: [usize; 2]) -> Vec<f64> {
    let mut y = Vec::with_capacity(n * oh * ow * c);
    for at in 0..n * oh * ow * c {
        let (k, j, i, b) = (at % c, at / c % ow, at / (c * ow) % oh, at / (c * ow * oh));
        let mut sum = 0.0;
        for (r, u) in between(i, h, oh) {
            for (q, v) in between(j, w, ow) {
                sum += u * v * x[((b * h + r) * w + q) * c + k];
            }
        }
        y.push(sum);
    }
    y
}

/// The gradient of [`bilinear`] by x, `[n, h, w, c]`, from dy `[n, oh, ow, c]`.
pub fn bilinear_grad(dy: &[f64], [n, h, w, c]: [usize; 4], [oh, ow]: [usize; 2]) -> Vec<f64> {
    let mut dx = vec![0.0; n * h * w * c];
    for (at, dy) in dy.iter().enumerate() {
        let (k, j, i, b) = (at % c, at / c % ow, at / (c * ow) % oh, at / (c * ow * oh));
        for (r, u) in between(i, h, oh) {
            for (q, v) in between(j, w, ow) {
                dx[((b * h + r) * w + q) * c + k] += u * v * dy;
            }
        }
    }
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn bilinear_by_hand() {
        let y = bilinear(&[0.0, 4.0], [1, 2, 1, 1], [4, 1]);
        assert_close(&y, &[0.0, 1.0, 3.0, 4.0], 1e-12);
        assert_close(&bilinear(&[0.0, 1.0, 2.0, 3.0], [1, 4, 1, 1], [2, 1]), &[0.5, 2.5], 1e-12);
    }

    #[test]
    fn gradient() {
        assert_eq!(nearest(&[1.0, 2.0, 3.0], [1, 3, 1, 1], [5, 1]), [1.0, 1.0, 2.0, 2.0, 3.0]);
        for (size, out) in [([1, 3, 2, 2], [5, 4]), ([1, 5, 4, 2], [2, 3])] {
            let (x, dy) = (values(size.iter().product(), 1), values(out[0] * out[1] * size[3], 2));
            let numeric = finite_difference(|x| dot(&nearest(x, size, out), &dy), &x);
            assert_close(&nearest_grad(&dy, size, out), &numeric, 1e-9);
            let numeric = finite_difference(|x| dot(&bilinear(x, size, out), &dy), &x);
            assert_close(&bilinear_grad(&dy, size, out), &numeric, 1e-9);
        }
    }
}
