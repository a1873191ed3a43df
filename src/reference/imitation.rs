//! Imitation of a teacher's features where objects are. Wang et al., "Distilling object detectors with fine-grained feature imitation",
//! 2019, arXiv 1906.03609; the mask of whole boxes as in Yang et al., "Focal and global knowledge distillation for detectors", 2022,
//! arXiv 2111.11837.

use super::fcos::{Level, Thing};

/// The places of a map of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Pixels from one row, and from one column, to the next.
    pub step: [f64; 2],
}

/// How much each place of a map counts: 1 where a labelled box touches its cell; else, in an image that nobody has looked at (`None`)
/// and within what is not judged, a teacher's foreground at the cell's middle, the largest over the levels of its detector; else 0.
/// `foreground` is that of all its places, level by level.
pub fn mask(things: Option<&[Thing]>, foreground: &[f64], levels: &[Level], grid: &Grid) -> Vec<f64> {
    let [h, w] = grid.size;
    let one = |(i, j): (usize, usize)| {
        // Upper and left edge, lower and right edge.
        let (from, to) = ([i, j].map(|k| k as f64), [i, j].map(|k| k as f64 + 1.0));
        let [sy, sx] = grid.step;
        let touches = |t: &&Thing| {
            let [left, upper, right, lower] = t.edges;
            left < to[1] * sx && right > from[1] * sx && upper < to[0] * sy && lower > from[0] * sy
        };
        let within =
            |ignored: bool| things.is_some_and(|all| all.iter().filter(|t| t.ignored == ignored).any(|t| touches(&t)));
        if within(false) {
            return 1.0;
        }
        if things.is_some() && !within(true) {
            return 0.0;
        }
        let (y, x) = ((from[0] + 0.5) * sy, (from[1] + 0.5) * sx);
        let mut start = 0;
        let mut most: f64 = 0.0;
        for level in levels {
            let [lh, lw] = level.size;
            let (a, b) = (((y / level.stride) as usize).min(lh - 1), ((x / level.stride) as usize).min(lw - 1));
            most = most.max(foreground[start + a * lw + b]);
            start += lh * lw;
        }
        most
    };
    (0..h * w).map(|k| one((k / w, k % w))).collect()
}

fn half_mean(mask: &[f64]) -> f64 {
    0.5 / mask.iter().sum::<f64>().max(1.0)
}

/// `1/(2 max(sum of the mask, 1))` times the sum over places and channels of `mask (s - t)^2`; s and t `[rows, c]`, mask `[rows]`.
pub fn forward(s: &[f64], t: &[f64], mask: &[f64], c: usize) -> f64 {
    let rows = s.chunks_exact(c).zip(t.chunks_exact(c)).zip(mask);
    let sum: f64 = rows.map(|((s, t), m)| m * s.iter().zip(t).map(|(s, t)| (s - t).powi(2)).sum::<f64>()).sum();
    half_mean(mask) * sum
}

/// The gradient of [`forward`] by s: `mask (s - t) / max(sum of the mask, 1)`.
pub fn grad(s: &[f64], t: &[f64], mask: &[f64], c: usize) -> Vec<f64> {
    let scale = 2.0 * half_mean(mask);
    s.iter().zip(t).enumerate().map(|(i, (s, t))| scale * mask[i / c] * (s - t)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn places_by_hand() {
        let grid = Grid { size: [2, 3], step: [4.0, 4.0] };
        let levels = [Level { size: [1, 2], stride: 8.0 }, Level { size: [1, 1], stride: 16.0 }];
        let thing = |edges, ignored| Thing { edges, class: 0, ignored };
        let seen = [0.75, 0.25, 0.5];
        // Far smaller than a cell, and still there.
        let small = thing([5.0, 1.0, 5.5, 1.5], false);
        assert_eq!(mask(Some(&[small]), &seen, &levels, &grid), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        // Ends where the next cell begins.
        let wide = thing([0.0, 4.0, 8.0, 8.0], false);
        let crowd = thing([3.0, 0.0, 12.0, 8.0], true);
        assert_eq!(mask(Some(&[wide, crowd]), &seen, &levels, &grid), [0.75, 0.75, 0.5, 1.0, 1.0, 0.5]);
        assert_eq!(mask(Some(&[]), &seen, &levels, &grid), [0.0; 6]);
        assert_eq!(mask(None, &seen, &levels, &grid), [0.75, 0.75, 0.5, 0.75, 0.75, 0.5]);
    }

    #[test]
    fn gradient() {
        let (s, t) = (values(15, 1), values(15, 2));
        // More than one place in all, less than one, and nothing.
        for mask in [[1.0, 0.0, 0.25, 1.0, 0.0], [0.0, 0.0, 0.25, 0.0, 0.5], [0.0; 5]] {
            let numeric = finite_difference(|s| forward(s, &t, &mask, 3), &s);
            assert_close(&grad(&s, &t, &mask, 3), &numeric, 1e-9);
        }
        assert_eq!(forward(&[1.0, 2.0, 5.0, 5.0], &[0.0; 4], &[1.0, 0.0], 2), 2.5);
    }
}
