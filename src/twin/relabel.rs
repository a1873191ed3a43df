//! Labels of pixels, moved as [`super::augment`] moves the pixels: `out[n, y, x]` is the label at `(y + dy, x' + dx)`,
//! `x' = w - 1 - x` if flipped, else `x`; outside the image it is the one that marks a pixel without a label.

use super::augment::Draw;

/// The moved labels, `[n, h, w]`, of labels `[n, h, w]`. draws: `[n]`.
pub fn forward<T: Copy>(labels: &[T], n: usize, h: usize, w: usize, draws: &[Draw], missing: T) -> Vec<T> {
    let mut out = Vec::with_capacity(n * h * w);
    for (sample, &[dx, dy, flip, _]) in draws.iter().take(n).enumerate() {
        for y in 0..h {
            for x in 0..w {
                let across = if flip != 0 { w - 1 - x } else { x };
                let row = y.checked_add_signed(dy as isize).filter(|&y| y < h);
                let column = across.checked_add_signed(dx as isize).filter(|&x| x < w);
                out.push(row.zip(column).map_or(missing, |(y, x)| labels[(sample * h + y) * w + x]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::augment;

    #[test]
    fn they_follow_the_pixels() {
        let pixels: Vec<u8> = (1..=24).collect();
        for draw in [[0, 0, 0, 0], [1, 0, 0, 0], [0, -1, 1, 0], [-2, 1, 1, 0], [i32::MAX, 0, 0, 0]] {
            let moved = forward(&pixels, 2, 3, 4, &[draw; 2], 0);
            let seen = augment::forward(&pixels, 2, 3, 4, 1, &[draw; 2], &[0.0], &[1.0 / 255.0], 0.0);
            assert!(moved.iter().zip(seen).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-9), "{draw:?}");
        }
    }
}
