//! Maximum, average and global average pooling. x: `[n, h, w, c]`, y: `[n, oh, ow, c]`, global: `[n, c]`.
//!
//! A window of `kernel x kernel` pixels starts at `(oy stride - padding, ox stride - padding)`.
//! - maximum: `y = max` over the window's pixels inside the image (padding never wins); its gradient goes to the first
//!   of equal maxima in row-major order, as in PyTorch;
//! - average: `y = sum / kernel^2`, padding counted as zeros (PyTorch's `count_include_pad = true`);
//! - global average: the mean over h and w (Lin et al., "Network in network", ICLR 2014, arXiv 1312.4400).

use crate::shape::Pool2d;

/// Calls `f(y index, x indices of the window's pixels inside the image, in row-major order)` for every output.
fn each_window(s: &Pool2d, mut f: impl FnMut(usize, &[usize])) {
    let (oh, ow) = (s.oh(), s.ow());
    let span = |o: usize, size: usize| {
        let start = o * s.stride;
        start.saturating_sub(s.padding)..(start + s.kernel).saturating_sub(s.padding).min(size)
    };
    let mut window = Vec::with_capacity(s.kernel * s.kernel);
    for n in 0..s.n {
        for oy in 0..oh {
            for ox in 0..ow {
                for c in 0..s.c {
                    window.clear();
                    for iy in span(oy, s.h) {
                        window.extend(span(ox, s.w).map(|ix| ((n * s.h + iy) * s.w + ix) * s.c + c));
                    }
                    f(((n * oh + oy) * ow + ox) * s.c + c, &window);
                }
            }
        }
    }
}

/// The first of the largest elements of `x` among `window`; none for an empty window, which [`Pool2d::check`] rules out.
fn argmax(x: &[f64], window: &[usize]) -> Option<usize> {
    window.iter().copied().reduce(|best, i| if x[i] > x[best] { i } else { best })
}

/// Maximum pooling, `[n, oh, ow, c]`.
pub fn max(s: &Pool2d, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; s.n * s.oh() * s.ow() * s.c];
    each_window(s, |yi, window| {
        if let Some(best) = argmax(x, window) {
            y[yi] = x[best];
        }
    });
    y
}

/// `dx`, `[n, h, w, c]`, of [`max`] at x from dy, `[n, oh, ow, c]`.
pub fn max_grad(s: &Pool2d, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; x.len()];
    each_window(s, |yi, window| {
        if let Some(best) = argmax(x, window) {
            dx[best] += dy[yi];
        }
    });
    dx
}

/// Average pooling, `[n, oh, ow, c]`.
pub fn avg(s: &Pool2d, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; s.n * s.oh() * s.ow() * s.c];
    let size = (s.kernel * s.kernel) as f64;
    each_window(s, |yi, window| y[yi] = window.iter().map(|&i| x[i]).sum::<f64>() / size);
    y
}

/// `dx`, `[n, h, w, c]`, of [`avg`] from dy, `[n, oh, ow, c]`.
pub fn avg_grad(s: &Pool2d, dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; s.n * s.h * s.w * s.c];
    let size = (s.kernel * s.kernel) as f64;
    each_window(s, |yi, window| window.iter().for_each(|&i| dx[i] += dy[yi] / size));
    dx
}

/// The mean over all `hw = h w` pixels: x `[n, hw, c]` to `[n, c]`.
pub fn global_avg(x: &[f64], n: usize, hw: usize, c: usize) -> Vec<f64> {
    let mut y = vec![0.0; n * c];
    for (i, v) in x.iter().enumerate() {
        y[i / (hw * c) * c + i % c] += v / hw as f64;
    }
    y
}

/// `dx`, `[n, hw, c]`, of [`global_avg`] from dy, `[n, c]`.
pub fn global_avg_grad(dy: &[f64], n: usize, hw: usize, c: usize) -> Vec<f64> {
    (0..n * hw * c).map(|i| dy[i / (hw * c) * c + i % c] / hw as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    const SHAPES: [Pool2d; 3] = [
        Pool2d { n: 2, h: 5, w: 7, c: 3, kernel: 3, stride: 2, padding: 1 },
        Pool2d { n: 1, h: 4, w: 3, c: 1, kernel: 2, stride: 1, padding: 0 },
        Pool2d { n: 3, h: 1, w: 1, c: 5, kernel: 3, stride: 1, padding: 1 },
    ];

    #[test]
    fn padding_never_wins_but_is_averaged() {
        let s = Pool2d { n: 1, h: 2, w: 2, c: 1, kernel: 3, stride: 2, padding: 1 };
        let x = [-1.0, -2.0, -3.0, -4.0];
        assert_eq!(max(&s, &x), [-1.0]);
        assert_close(&avg(&s, &x), &[-10.0 / 9.0], 1e-15);
    }

    #[test]
    fn the_first_maximum_takes_the_gradient() {
        let s = Pool2d { n: 1, h: 2, w: 2, c: 1, kernel: 2, stride: 2, padding: 0 };
        assert_eq!(max_grad(&s, &[1.0, 3.0, 3.0, 3.0], &[5.0]), [0.0, 5.0, 0.0, 0.0]);
    }

    #[test]
    fn gradients_match_finite_differences() {
        for s in &SHAPES {
            s.check().unwrap();
            let (x, dy) = (values(s.n * s.h * s.w * s.c, 1), values(s.n * s.oh() * s.ow() * s.c, 2));
            assert_close(&max_grad(s, &x, &dy), &finite_difference(|x| dot(&max(s, x), &dy), &x), 1e-8);
            assert_close(&avg_grad(s, &dy), &finite_difference(|x| dot(&avg(s, x), &dy), &x), 1e-8);
        }
    }

    #[test]
    fn global_average() {
        let (n, hw, c) = (2, 15, 3);
        assert_close(&global_avg(&[1.0, 10.0, 3.0, 20.0], 1, 2, 2), &[2.0, 15.0], 1e-15);
        let (x, dy) = (values(n * hw * c, 1), values(n * c, 2));
        let by_x = finite_difference(|x| dot(&global_avg(x, n, hw, c), &dy), &x);
        assert_close(&global_avg_grad(&dy, n, hw, c), &by_x, 1e-9);
    }
}
