//! Average pooling to a given size, as PyTorch's `adaptive_avg_pool2d`.

use std::ops::Range;

/// The rows (or columns) that output i of `out` is the mean of.
fn window(i: usize, size: usize, out: usize) -> Range<usize> {
    i * size / out..((i + 1) * size).div_ceil(out)
}

/// `[n, h, w, c]` to `[n, oh, ow, c]`.
pub fn forward(x: &[f64], [n, h, w, c]: [usize; 4], [oh, ow]: [usize; 2]) -> Vec<f64> {
    let mut y = Vec::new();
    for b in 0..n {
        for (i, j) in (0..oh).flat_map(|i| (0..ow).map(move |j| (i, j))) {
            let (rows, columns) = (window(i, h, oh), window(j, w, ow));
            let count = (rows.len() * columns.len()) as f64;
            for k in 0..c {
                let cells = rows.clone().flat_map(|r| columns.clone().map(move |s| (r, s)));
                y.push(cells.map(|(r, s)| x[((b * h + r) * w + s) * c + k]).sum::<f64>() / count);
            }
        }
    }
    y
}

/// The gradient by x, `[n, h, w, c]`, from dy `[n, oh, ow, c]`.
pub fn grad(dy: &[f64], [n, h, w, c]: [usize; 4], [oh, ow]: [usize; 2]) -> Vec<f64> {
    let mut dx = vec![0.0; n * h * w * c];
    for (at, dy) in dy.iter().enumerate() {
        let (k, j, i, b) = (at % c, at / c % ow, at / (c * ow) % oh, at / (c * ow * oh));
        let (rows, columns) = (window(i, h, oh), window(j, w, ow));
        let share = dy / (rows.len() * columns.len()) as f64;
        for (r, s) in rows.flat_map(|r| columns.clone().map(move |s| (r, s))) {
            dx[((b * h + r) * w + s) * c + k] += share;
        }
    }
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn windows_overlap_where_sizes_do_not_divide() {
        assert_eq!([window(0, 5, 2), window(1, 5, 2)], [0..3, 2..5]);
        assert_eq!(forward(&[1.0, 2.0, 3.0, 4.0, 5.0], [1, 5, 1, 1], [2, 1]), [2.0, 4.0]);
    }

    #[test]
    fn gradient() {
        let (size, out) = ([1, 5, 4, 2], [2, 3]);
        let (x, dy) = (values(40, 1), values(12, 2));
        let numeric = finite_difference(|x| dot(&forward(x, size, out), &dy), &x);
        assert_close(&grad(&dy, size, out), &numeric, 1e-9);
    }
}
