//! Where the pixels of a varied image come from, in the words that kernels read.

use bytemuck::{Pod, Zeroable};

/// Where one varied image's pixels come from, 64 bytes.
///
/// A point `(x, y)` of the image, continuous as in [`Rect`](super::Rect), is the point `p = (a x + b y + c, d x + e y + f)` of a canvas.
/// There up to four images of the batch meet at `centre`, each with one corner: left above, right above, left below, right below. One
/// image alone has its left upper corner at `centre`, and nothing around it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Warp {
    /// `[a, b, c, d, e, f]`.
    pub matrix: [f32; 6],
    /// Where the images meet, `[x, y]`.
    pub centre: [f32; 2],
    /// Which row of the batch lies in each quarter; [`Warp::NOTHING`] for none.
    pub rows: [u32; 4],
    /// Seed of the noise; 0 where there is none.
    pub noise_seed: u32,
    /// Unused words, so that a warp is four vectors.
    pub padding: [u32; 3],
}

impl Warp {
    /// Stands for no image.
    pub const NOTHING: u32 = u32::MAX;
    /// Words of one.
    pub const WORDS: usize = 16;

    /// The image in `row` as it is.
    pub fn still(row: u32) -> Warp {
        Warp {
            matrix: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            centre: [0.0; 2],
            rows: [Self::NOTHING, Self::NOTHING, Self::NOTHING, row],
            noise_seed: 0,
            padding: [0; 3],
        }
    }

    /// The row and the point in its image, `[h, w]` like all, that is seen at `(x, y)`; `None` where there is none.
    pub fn source(&self, x: f64, y: f64, [h, w]: [usize; 2]) -> Option<(usize, [f64; 2])> {
        let [a, b, c, d, e, f] = self.matrix.map(f64::from);
        let [u, v] = [a * x + b * y + c - f64::from(self.centre[0]), d * x + e * y + f - f64::from(self.centre[1])];
        let row = self.rows[usize::from(u >= 0.0) + 2 * usize::from(v >= 0.0)];
        let (w, h) = (w as f64, h as f64);
        let [u, v] = [if u >= 0.0 { u } else { u + w }, if v >= 0.0 { v } else { v + h }];
        let inside = row != Self::NOTHING && (0.0..w).contains(&u) && (0.0..h).contains(&v);
        inside.then_some((row as usize, [u, v]))
    }
}
