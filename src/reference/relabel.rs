//! Labels of pixels, moved as [`super::augment`] moves the pixels: `out[n, y, x]` is the label of the pixel that holds the point which
//! the sample's [`Warp`] finds for the middle of `(x, y)`; where it finds none, it is the one that marks a pixel without a label.

use crate::geometry::Warp;

/// The moved labels, `[n, h, w]`, of labels `[n, h, w]`. warps: `[n]`.
pub fn forward<T: Copy>(labels: &[T], h: usize, w: usize, warps: &[Warp], missing: T) -> Vec<T> {
    let mut out = Vec::with_capacity(warps.len() * h * w);
    for warp in warps {
        for y in 0..h {
            for x in 0..w {
                let source = warp.source(x as f64 + 0.5, y as f64 + 0.5, [h, w]);
                let label = source.map(|(row, [u, v])| labels[(row * h + v as usize) * w + u as usize]);
                out.push(label.unwrap_or(missing));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::augment::{self, tests::shift};

    #[test]
    fn they_follow_the_pixels() {
        let pixels: Vec<u8> = (1..=24).collect();
        for (dx, dy, flip) in [(0, 0, 0), (1, 0, 0), (0, -1, 1), (-2, 1, 1), (i32::MAX, 0, 0)] {
            let warps = [0, 1].map(|row| shift(row, 4, dx, dy, flip));
            let moved = forward(&pixels, 3, 4, &warps, 0);
            let seen = augment::forward(&pixels, [3, 4, 1], &warps, &[0.0], &[1.0 / 255.0], 0.0, false);
            assert!(moved.iter().zip(seen).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-9), "{dx} {dy} {flip}");
        }
    }

    #[test]
    fn four_images_meet() {
        // Four images of 2x2, each of one value, that meet at (1, 1).
        let labels: Vec<u8> = (1..=4).flat_map(|v| [v; 4]).collect();
        let warp = Warp { centre: [1.0, 1.0], rows: [3, 2, 1, 0], ..Warp::still(0) };
        assert_eq!(forward(&labels, 2, 2, &[warp], 0), [4, 3, 2, 1]);
    }
}
