//! What one training image drew, and where it moves what it shows.

use crate::geometry::{Rect, Warp};

/// All that there is.
const WHOLE: [f32; 4] = [0.0, 0.0, 1.0, 1.0];

/// How four images meet (Bochkovskiy et al. 2020, "YOLOv4", arXiv 2004.10934).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mosaic {
    /// Where they meet, from 0 (left, above) to 1, `[x, y]`.
    pub centre: [f32; 2],
    /// The quarter of the sample itself: left above, right above, left below, right below.
    pub own: u32,
    /// The other images, left to right and downwards, as large numbers: their remainder by the size of the batch is a row of it.
    pub mates: [u32; 3],
}

/// One sample's draw.
///
/// A point of the augmented image is found in the sample by these steps: it is mirrored, if `flip` is 1; shifted by `(dx, dy)`; turned
/// back by `angle` and brought nearer by `zoom` about the middle; and taken for a point of `window`, a part of the image or, in a
/// mosaic, of the canvas on which four images meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Columns the window moves to the right (the content moves to the left).
    pub dx: i32,
    /// Rows the window moves down (the content moves up).
    pub dy: i32,
    /// 1: mirrored left-right after the shift.
    pub flip: u32,
    /// Seed of the sample's noise field; 0 where there is no noise.
    pub noise_seed: u32,
    /// Radians by which the content is turned, clockwise as images are shown.
    pub angle: f32,
    /// How much larger the content is shown.
    pub zoom: f32,
    /// The part that is shown, in shares of width and height: left, upper edge, width, height.
    pub window: [f32; 4],
    /// The other images beside it, if any.
    pub mosaic: Option<Mosaic>,
}

impl Default for Draw {
    /// The image as it is.
    fn default() -> Self {
        Draw { dx: 0, dy: 0, flip: 0, noise_seed: 0, angle: 0.0, zoom: 1.0, window: WHOLE, mosaic: None }
    }
}

/// An image of the batch, by its row, and where it lies on the canvas.
pub(in crate::data) type Tile = (usize, Rect);

impl Draw {
    /// The images that are seen, for the sample in `row` of a batch of `rows` images of `[h, w]`.
    pub(in crate::data) fn tiles(&self, row: usize, rows: usize, size @ [h, w]: [usize; 2]) -> Vec<Tile> {
        let (h, w) = (h as f32, w as f32);
        let Some(mosaic) = self.mosaic else { return vec![(row, Rect::from_size(0.0, 0.0, w, h))] };
        let [x, y] = mosaic.meeting(size);
        let mut mates = mosaic.mates.iter().map(|m| *m as usize % rows.max(1));
        let tile = |quarter: u32| {
            let row = if quarter == mosaic.own { row } else { mates.next().unwrap_or(row) };
            let left = if quarter.is_multiple_of(2) { x - w } else { x };
            (row, Rect::from_size(left, if quarter < 2 { y - h } else { y }, w, h))
        };
        (0..4).map(tile).collect()
    }

    /// Where the kernels find the pixels of the sample in `row` of a batch of `rows` images of `[h, w]`.
    pub fn warp(&self, row: usize, rows: usize, size @ [h, w]: [usize; 2]) -> Warp {
        let mut warp = Warp { noise_seed: self.noise_seed, ..Warp::still(row as u32) };
        if let Some(mosaic) = self.mosaic {
            warp.centre = mosaic.meeting(size);
            let tiles = self.tiles(row, rows, size);
            warp.rows.iter_mut().zip(tiles).for_each(|(row, tile)| *row = tile.0 as u32);
        }
        let (w, h) = (w as f64, h as f64);
        let [left, top, wide, high] = self.window.map(f64::from);
        let (sin, cos) = f64::from(self.angle).sin_cos();
        let zoom = f64::from(self.zoom);
        // The steps of the type's description, of a point with the middle as origin.
        let (mirror, from) = if self.flip != 0 { (-1.0, w) } else { (1.0, 0.0) };
        let (u, v) = (from + f64::from(self.dx) - w / 2.0, f64::from(self.dy) - h / 2.0);
        let across = [mirror * cos / zoom, sin / zoom, (cos * u + sin * v) / zoom + w / 2.0];
        let down = [-mirror * sin / zoom, cos / zoom, (cos * v - sin * u) / zoom + h / 2.0];
        let [a, b, c] = across.map(|k| k * wide);
        let [d, e, f] = down.map(|k| k * high);
        warp.matrix = [a, b, c + left * w, d, e, f + top * h].map(|k| k as f32);
        warp
    }

    /// Where a box of the canvas is in the augmented image of `[h, w]`: the smallest upright box around its corners; `None` where
    /// nothing of it is left.
    pub fn moves(&self, rect: &Rect, size @ [_, w]: [usize; 2]) -> Option<Rect> {
        let shifted = self.shown(rect, size).shifted(-self.dx as f32, -self.dy as f32).clipped(size);
        let moved = if self.flip != 0 { shifted.mirrored(w) } else { shifted };
        moved.is_proper().then_some(moved)
    }

    /// A box as the window, the turn and the zoom show it. What is not asked for changes no bit of it.
    pub(in crate::data) fn shown(&self, rect: &Rect, [h, w]: [usize; 2]) -> Rect {
        let (h, w) = (h as f32, w as f32);
        let [left, top, wide, high] = self.window;
        let mut rect = *rect;
        if self.window != WHOLE {
            rect = rect.shifted(-left * w, -top * h).scaled(1.0 / wide, 1.0 / high);
        }
        if self.angle == 0.0 && self.zoom == 1.0 {
            return rect;
        }
        let (sin, cos) = self.angle.sin_cos();
        let turn = |[x, y]: [f32; 2]| {
            let (u, v) = (x - w / 2.0, y - h / 2.0);
            [w / 2.0 + self.zoom * (cos * u - sin * v), h / 2.0 + self.zoom * (sin * u + cos * v)]
        };
        let corners = [[rect.x0, rect.y0], [rect.x1, rect.y0], [rect.x0, rect.y1], [rect.x1, rect.y1]];
        Rect::around(corners.map(turn)).unwrap_or(rect)
    }

    /// How many square pixels a square pixel of the canvas becomes.
    pub(in crate::data) fn magnification(&self) -> f64 {
        let [_, _, wide, high] = self.window.map(f64::from);
        f64::from(self.zoom).powi(2) / (wide * high)
    }
}

impl Mosaic {
    /// The pixel at whose left upper corner the images meet.
    fn meeting(&self, [h, w]: [usize; 2]) -> [f32; 2] {
        [(self.centre[0] * w as f32).round(), (self.centre[1] * h as f32).round()]
    }
}
