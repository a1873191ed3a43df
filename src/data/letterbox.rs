//! Images of any size on a canvas of one size, their proportions kept; and the way back.

use super::IGNORED;
use crate::geometry::{Detection, Rect};

/// How an image lies on a canvas: as large as fits, in the middle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    /// Height and width of the image.
    pub from: [usize; 2],
    /// Height and width of the canvas.
    pub canvas: [usize; 2],
    /// Height and width of the image on the canvas.
    pub inner: [usize; 2],
    /// Rows above it and columns to its left.
    pub offset: [usize; 2],
}

impl Letterbox {
    /// The place of an image of `from` `[height, width]`, at least 1 each, on a canvas.
    pub fn new(from: [usize; 2], canvas: [usize; 2]) -> Self {
        let from = from.map(|side| side.max(1));
        let scale = (canvas[0] as f64 / from[0] as f64).min(canvas[1] as f64 / from[1] as f64);
        let side = |k: usize| ((from[k] as f64 * scale).round() as usize).clamp(1, canvas[k].max(1));
        let inner = [side(0), side(1)];
        let offset = [0, 1].map(|k| (canvas[k] - inner[k].min(canvas[k])) / 2);
        Letterbox { from, canvas, inner, offset }
    }

    /// The place of an image that fills the canvas, its proportions lost.
    pub fn stretched(from: [usize; 2], canvas: [usize; 2]) -> Self {
        Letterbox { from: from.map(|side| side.max(1)), canvas, inner: canvas, offset: [0, 0] }
    }

    fn scales(&self) -> [f32; 2] {
        [0, 1].map(|k| self.inner[k] as f32 / self.from[k] as f32)
    }

    /// A box of the image, on the canvas.
    pub fn place(&self, rect: &Rect) -> Rect {
        let [y, x] = self.scales();
        rect.scaled(x, y).shifted(self.offset[1] as f32, self.offset[0] as f32)
    }

    /// A box on the canvas, in the image; what lies beyond the image is cut off.
    pub fn back(&self, rect: &Rect) -> Rect {
        let [y, x] = self.scales();
        let inside = rect.shifted(-(self.offset[1] as f32), -(self.offset[0] as f32));
        inside.scaled(1.0 / x, 1.0 / y).clipped(self.from)
    }

    /// What was found on the canvas, in the image; what lies beside it is not in it.
    pub fn boxes_back(&self, found: Vec<Detection>) -> Vec<Detection> {
        let moved = found.into_iter().map(|d| Detection { rect: self.back(&d.rect), ..d });
        moved.filter(|d| d.rect.is_proper()).collect()
    }

    /// Classes of the image's pixels `[h, w]`, on the canvas: each pixel's nearest, [`IGNORED`] beside the image.
    pub fn place_mask(&self, mask: &[u8]) -> Vec<u8> {
        self.place_values(mask, IGNORED)
    }

    /// Values of the image's pixels `[h, w]`, on the canvas: each pixel's nearest, and `none` beside the image.
    pub fn place_values<T: Copy>(&self, values: &[T], none: T) -> Vec<T> {
        let mut out = vec![none; self.canvas[0] * self.canvas[1]];
        for y in 0..self.inner[0] {
            for x in 0..self.inner[1] {
                let from =
                    nearest(y, self.inner[0], self.from[0]) * self.from[1] + nearest(x, self.inner[1], self.from[1]);
                out[(y + self.offset[0]) * self.canvas[1] + x + self.offset[1]] = values[from];
            }
        }
        out
    }

    /// Values of the canvas's pixels `[h, w]`, in the image: each pixel's nearest.
    pub fn mask_back<T: Copy>(&self, canvas: &[T]) -> Vec<T> {
        let [columns, rows] =
            [1, 0].map(|k| (0..self.from[k]).map(move |i| nearest(i, self.from[k], self.inner[k]) + self.offset[k]));
        let columns: Vec<usize> = columns.collect();
        let row = |y: usize| columns.iter().map(move |x| canvas[y * self.canvas[1] + x]);
        rows.flat_map(row).collect()
    }

    /// The image's pixels, already as large as they are on the canvas (`inner`, `channels` bytes each), on a canvas of grey.
    pub fn place_pixels(&self, pixels: &[u8], channels: usize) -> Vec<u8> {
        // What is beside the image shows nothing of any class; half grey is close to the mean of most data.
        let mut out = vec![114; self.canvas[0] * self.canvas[1] * channels];
        let row = self.inner[1] * channels;
        for (y, line) in pixels.chunks_exact(row).enumerate() {
            let at = ((y + self.offset[0]) * self.canvas[1] + self.offset[1]) * channels;
            out[at..at + row].copy_from_slice(line);
        }
        out
    }
}

/// The pixel of `to` whose middle is nearest to that of pixel `i` of `from`.
fn nearest(i: usize, from: usize, to: usize) -> usize {
    ((2 * i + 1) * to / (2 * from)).min(to - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        let b = Letterbox::new([20, 40], [16, 16]);
        assert_eq!((b.inner, b.offset), ([8, 16], [4, 0]));
        let rect = Rect::from_size(10.0, 5.0, 20.0, 10.0);
        assert_eq!(b.place(&rect), Rect { x0: 4.0, y0: 6.0, x1: 12.0, y1: 10.0 });
        assert_eq!(b.back(&b.place(&rect)), rect);
        let wide = Letterbox::stretched([20, 40], [16, 16]);
        assert_eq!(wide.place(&rect), Rect { x0: 4.0, y0: 4.0, x1: 12.0, y1: 12.0 });
        assert_eq!(wide.back(&wide.place(&rect)), rect);
        let same = Letterbox::new([9, 7], [9, 7]);
        assert_eq!((same.inner, same.offset), ([9, 7], [0, 0]));
    }

    proptest! {
        #[test]
        fn there_and_back(h in 1usize..50, w in 1usize..50, ch in 1usize..40, cw in 1usize..40, seed in 0u8..9) {
            let b = Letterbox::new([h, w], [ch, cw]);
            prop_assert!(b.inner[0] + b.offset[0] <= ch && b.inner[1] + b.offset[1] <= cw);
            let rect = Rect { x0: 0.0, y0: 0.0, x1: w as f32, y1: h as f32 };
            let back = b.back(&b.place(&rect));
            prop_assert!((back.x1 - rect.x1).abs() < 1e-3 && (back.y1 - rect.y1).abs() < 1e-3);
            let mask: Vec<u8> = (0..h * w).map(|i| (i as u8).wrapping_mul(37 + seed) % 5).collect();
            let placed = b.place_mask(&mask);
            let beside = placed.iter().filter(|c| **c == IGNORED).count();
            prop_assert_eq!(beside, ch * cw - b.inner[0] * b.inner[1]);
            // An enlarged mask comes back as it was.
            if b.inner[0] >= h && b.inner[1] >= w {
                prop_assert_eq!(b.mask_back(&placed), mask);
            }
        }
    }
}
