//! Max, average and global average pooling.

use crate::shape::Pool2d;

/// Calls `visit(y, window)` for every output `y`, in order, with the flat indices of the inputs its window covers, row
/// by row; padding is left out.
fn for_each_window(s: &Pool2d, mut visit: impl FnMut(usize, &[usize])) {
    let mut window = Vec::new();
    // The part of a window that begins at `o · stride − padding` which lies inside `0..size`.
    let span = |o: usize, size: usize| {
        let start = o * s.stride;
        start.saturating_sub(s.padding)..(start + s.kernel).saturating_sub(s.padding).min(size)
    };
    for n in 0..s.n {
        for oy in 0..s.oh() {
            for ox in 0..s.ow() {
                for c in 0..s.c {
                    window.clear();
                    for y in span(oy, s.h) {
                        window.extend(span(ox, s.w).map(|x| ((n * s.h + y) * s.w + x) * s.c + c));
                    }
                    visit(((n * s.oh() + oy) * s.ow() + ox) * s.c + c, &window);
                }
            }
        }
    }
}

fn x_len(s: &Pool2d) -> usize {
    s.n * s.h * s.w * s.c
}

fn y_len(s: &Pool2d) -> usize {
    s.n * s.oh() * s.ow() * s.c
}

/// The index of the window's first maximum.
fn argmax(x: &[f64], window: &[usize]) -> usize {
    window.iter().copied().reduce(|best, i| if x[i] > x[best] { i } else { best }).unwrap_or(0)
}

/// The maximum of each window of `x` `[n, h, w, c]`: `[n, oh, ow, c]`. Padding is never the maximum.
pub fn max(s: &Pool2d, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; y_len(s)];
    for_each_window(s, |i, window| y[i] = x[argmax(x, window)]);
    y
}

/// The gradient of [`max`]: each `dy` `[n, oh, ow, c]` goes to its window's first maximum (row by row), as in PyTorch.
pub fn max_grad(s: &Pool2d, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; x_len(s)];
    for_each_window(s, |i, window| dx[argmax(x, window)] += dy[i]);
    dx
}

/// The sum of each window of `x` `[n, h, w, c]` divided by `kernel²`: `[n, oh, ow, c]`. Padding counts as zeros
/// (PyTorch's `count_include_pad`).
pub fn avg(s: &Pool2d, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; y_len(s)];
    let size = (s.kernel * s.kernel) as f64;
    for_each_window(s, |i, window| y[i] = window.iter().map(|j| x[*j]).sum::<f64>() / size);
    y
}

/// The gradient of [`avg`]: each `dy / kernel²` goes to all of its window.
pub fn avg_grad(s: &Pool2d, dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; x_len(s)];
    let size = (s.kernel * s.kernel) as f64;
    for_each_window(s, |i, window| window.iter().for_each(|j| dx[*j] += dy[i] / size));
    dx
}

/// The mean over the `hw` pixels of `x` `[n, hw, c]`: `[n, c]`.
pub fn global_avg(x: &[f64], n: usize, hw: usize, c: usize) -> Vec<f64> {
    let mean = |i: usize| (0..hw).map(|p| x[(i / c * hw + p) * c + i % c]).sum::<f64>() / hw as f64;
    (0..n * c).map(mean).collect()
}

/// The gradient of [`global_avg`]: `dy` `[n, c]`, spread evenly over the pixels, `[n, hw, c]`.
pub fn global_avg_grad(dy: &[f64], n: usize, hw: usize, c: usize) -> Vec<f64> {
    (0..n * hw * c).map(|i| dy[i / (hw * c) * c + i % c] / hw as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_equal, assert_gradient, dot, values};
    use super::*;

    const SHAPES: [Pool2d; 3] = [
        Pool2d { n: 2, h: 5, w: 4, c: 3, kernel: 3, stride: 2, padding: 1 },
        Pool2d { n: 1, h: 4, w: 7, c: 2, kernel: 2, stride: 2, padding: 0 },
        Pool2d { n: 1, h: 3, w: 3, c: 1, kernel: 3, stride: 1, padding: 1 },
    ];

    #[test]
    fn a_map_by_hand() {
        let s = Pool2d { n: 1, h: 2, w: 2, c: 1, kernel: 2, stride: 2, padding: 1 };
        let x = [-1.0, -2.0, -3.0, -4.0];
        // Every window holds one pixel and three of padding: zero to the average, nothing to the maximum.
        assert_equal(&max(&s, &x), &x);
        assert_equal(&avg(&s, &x), &[-0.25, -0.5, -0.75, -1.0]);
        assert_equal(&global_avg(&[1.0, 10.0, 3.0, 30.0], 1, 2, 2), &[2.0, 20.0]);
    }

    #[test]
    fn the_first_maximum_takes_the_gradient() {
        let s = Pool2d { n: 1, h: 2, w: 3, c: 1, kernel: 2, stride: 1, padding: 0 };
        let x = [1.0, 5.0, 0.0, 5.0, 2.0, 5.0];
        assert_equal(&max_grad(&s, &x, &[1.0, 10.0]), &[0.0, 11.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn gradients() {
        for s in SHAPES {
            s.check().unwrap();
            let (x, dy) = (values(1, x_len(&s)), values(2, y_len(&s)));
            assert_gradient(&max_grad(&s, &x, &dy), &x, |x| dot(&max(&s, x), &dy));
            assert_gradient(&avg_grad(&s, &dy), &x, |x| dot(&avg(&s, x), &dy));
            let (hw, dy) = (s.h * s.w, &dy[..s.n * s.c]);
            assert_gradient(&global_avg_grad(dy, s.n, hw, s.c), &x, |x| dot(&global_avg(x, s.n, hw, s.c), dy));
        }
    }
}
