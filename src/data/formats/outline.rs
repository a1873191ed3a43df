//! Outlines of objects: polygons and run lengths, as COCO's files have them, into pixels.

use crate::data::Object;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Which pixels belong to an object.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectMask {
    /// Corners (x, y) of one or more polygons, in pixels.
    Polygons(Vec<Vec<[f32; 2]>>),
    /// Lengths of runs outside and inside in turn, column by column from the left upper corner (COCO's order).
    Runs {
        /// Height and width of the image.
        size: [usize; 2],
        /// The lengths; the first is outside.
        counts: Vec<usize>,
    },
}

/// An object with its outline, where that is known.
pub type Outlined = (Object, Option<ObjectMask>);

impl ObjectMask {
    /// Polygons of coordinates `x, y, x, y, …`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than three corners, an odd number, or one that is no number.
    pub fn polygons(flat: &[Vec<f32>]) -> Result<Self> {
        let one = |flat: &Vec<f32>| {
            if flat.len() < 6 || flat.len() % 2 == 1 {
                let n = flat.len();
                return Err(Error::Invalid(format!("a polygon of {n} coordinates; three corners have six")));
            }
            match flat.iter().find(|v| !v.is_finite()) {
                Some(v) => Err(Error::Invalid(format!("a polygon with a coordinate of {v}"))),
                None => Ok(flat.chunks_exact(2).map(|p| [p[0], p[1]]).collect()),
            }
        };
        if flat.is_empty() {
            return Err(Error::Invalid("an outline without a polygon".into()));
        }
        Ok(ObjectMask::Polygons(flat.iter().map(one).collect::<Result<_>>()?))
    }

    /// Run lengths of an image of `size`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they do not add up to the image.
    pub fn runs(size: [usize; 2], counts: Vec<usize>) -> Result<Self> {
        let [h, w] = size;
        // A damaged file may hold numbers whose sum or product is none.
        let sum = counts.iter().try_fold(0usize, |sum, count| sum.checked_add(*count));
        let pixels = h.checked_mul(w);
        let (Some(sum), Some(pixels)) = (sum, pixels) else {
            return Err(Error::Invalid(format!("run lengths that are beyond any image, of {h}x{w}")));
        };
        if sum != pixels {
            return Err(Error::Invalid(format!(
                "run lengths of {sum} pixels for an image of {h}x{w}, which has {pixels}"
            )));
        }
        Ok(ObjectMask::Runs { size, counts })
    }

    /// COCO's compressed run lengths: six bits a letter from `0` on, five of them of the number, lowest first, the sixth says whether
    /// more follow; from the third number on the difference from the one before the last.
    ///
    /// # Errors
    /// [`Error::Invalid`] for letters that are none of these, or lengths that do not add up.
    pub fn compressed(size: [usize; 2], text: &str) -> Result<Self> {
        let strange = |why: &str| Error::Invalid(format!("compressed run lengths {why}"));
        let mut counts: Vec<i64> = Vec::new();
        let mut letters = text.bytes().peekable();
        while letters.peek().is_some() {
            let (mut value, mut shift) = (0i64, 0u32);
            loop {
                let letter = letters.next().ok_or_else(|| strange("that end within a number"))?;
                let bits =
                    letter.checked_sub(48).filter(|b| *b < 64).ok_or_else(|| strange("with a strange letter"))?;
                if shift >= 60 {
                    return Err(strange("with a number too large"));
                }
                value |= i64::from(bits & 31) << shift;
                shift += 5;
                if bits & 32 == 0 {
                    // The highest bit of the last letter is the sign.
                    if bits & 16 != 0 {
                        value |= -1i64 << shift;
                    }
                    break;
                }
            }
            if counts.len() > 2 {
                let before = counts[counts.len() - 2];
                value = value.checked_add(before).ok_or_else(|| strange("with a number too large"))?;
            }
            if value < 0 {
                return Err(strange("with a negative length"));
            }
            counts.push(value);
        }
        Self::runs(size, counts.into_iter().map(|c| c as usize).collect())
    }

    /// Calls `inside(y, x)` once for every pixel of an image of `size` that belongs to the object: to any of its polygons, which are parts
    /// of it, as pycocotools merges them. A pixel belongs to a polygon if its middle is inside, by the even-odd rule.
    pub fn pixels(&self, [h, w]: [usize; 2], mut inside: impl FnMut(usize, usize)) {
        match self {
            ObjectMask::Runs { size, counts } => {
                let mut at = 0;
                for (i, count) in counts.iter().enumerate() {
                    if i % 2 == 1 {
                        let own = (at..at + count).map(|p| (p % size[0].max(1), p / size[0].max(1)));
                        own.filter(|(y, x)| *y < h && *x < w).for_each(|(y, x)| inside(y, x));
                    }
                    at += count;
                }
            }
            ObjectMask::Polygons(polygons) => {
                for y in 0..h {
                    let mut spans: Vec<[usize; 2]> = polygons.iter().flat_map(|p| spans(p, y as f32 + 0.5)).collect();
                    spans.sort_unstable();
                    let mut done = 0;
                    for [first, end] in spans {
                        (first.max(done)..end.min(w)).for_each(|x| inside(y, x));
                        done = done.max(end);
                    }
                }
            }
        }
    }
}

/// Each class of a mask `[h, w]` that is there, by number, with the lengths of its runs outside and inside in turn, column by column from the
/// left upper corner, the first outside (COCO's uncompressed form; [`ObjectMask::runs`] reads it).
///
/// # Errors
/// [`Error::Shape`] where there are not as many classes as pixels.
pub fn class_runs(classes: &[u8], [h, w]: [usize; 2]) -> Result<BTreeMap<u8, Vec<usize>>> {
    if h.checked_mul(w) != Some(classes.len()) {
        return Err(Error::Shape(format!("{} classes for a mask of {h}x{w}", classes.len())));
    }
    let mut columns = (0..w).flat_map(|x| classes.iter().skip(x).step_by(w)).copied().peekable();
    // Of each class: the place behind its last run, and its lengths.
    let mut all: BTreeMap<u8, (usize, Vec<usize>)> = BTreeMap::new();
    let mut at = 0;
    while let Some(class) = columns.next() {
        let start = at;
        at += 1;
        while columns.next_if_eq(&class).is_some() {
            at += 1;
        }
        let (end, counts) = all.entry(class).or_default();
        counts.extend([start - *end, at - start]);
        *end = at;
    }
    let closed = all.into_iter().map(|(class, (end, mut counts))| {
        counts.extend((end < at).then(|| at - end));
        (class, counts)
    });
    Ok(closed.collect())
}

/// The first pixel and the one behind the last of each piece of a horizontal line that lies inside.
fn spans(polygon: &[[f32; 2]], y: f32) -> Vec<[usize; 2]> {
    let mut crossings = Vec::new();
    for (i, a) in polygon.iter().enumerate() {
        let b = polygon[(i + 1) % polygon.len()];
        // A corner belongs to the edge below it, so that there is an even number.
        if (a[1] <= y) != (b[1] <= y) {
            crossings.push(a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]));
        }
    }
    crossings.sort_by(f32::total_cmp);
    // Pixels whose middle is at or behind the first crossing and before the second.
    let pixel = |x: f32| (x - 0.5).ceil().max(0.0) as usize;
    crossings.chunks_exact(2).map(|pair| [pixel(pair[0]), pixel(pair[1])]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(outline: &ObjectMask, size: [usize; 2]) -> Vec<u8> {
        let mut out = vec![0; size[0] * size[1]];
        outline.pixels(size, |y, x| out[y * size[1] + x] += 1);
        out
    }

    #[test]
    fn runs_go_down_the_columns() {
        let outline = ObjectMask::runs([2, 3], vec![1, 2, 2, 1]).unwrap();
        #[rustfmt::skip]
        assert_eq!(drawn(&outline, [2, 3]), [
            0, 1, 0,
            1, 0, 1,
        ]);
        assert!(ObjectMask::runs([2, 3], vec![1, 2]).unwrap_err().to_string().contains("3 pixels"));
        // Sums and products that do not fit are errors too.
        assert!(ObjectMask::runs([2, 3], vec![usize::MAX, 7]).unwrap_err().to_string().contains("beyond any image"));
        assert!(ObjectMask::runs([usize::MAX, 3], vec![6]).unwrap_err().to_string().contains("beyond any image"));
    }

    #[test]
    fn the_runs_of_a_masks_classes() {
        #[rustfmt::skip]
        let mask = [
            2, 0, 2,
            0, 2, 2,
        ];
        let found = class_runs(&mask, [2, 3]).unwrap();
        // By columns: 2 0 0 2 2 2.
        assert_eq!(found, BTreeMap::from([(0, vec![1, 2, 3]), (2, vec![0, 1, 2, 3])]));
        assert_eq!(class_runs(&[7; 6], [2, 3]).unwrap(), BTreeMap::from([(7, vec![0, 6])]));
        assert!(class_runs(&mask, [2, 2]).is_err());
        assert_eq!(class_runs(&[], [0, 3]).unwrap(), BTreeMap::new());
        // Every class comes back.
        let (h, w) = (7, 11);
        let mask: Vec<u8> = (0..h * w).map(|p| ((p * p / 5) % 4) as u8).collect();
        for (class, counts) in class_runs(&mask, [h, w]).unwrap() {
            let own: Vec<u8> = mask.iter().map(|c| u8::from(*c == class)).collect();
            assert_eq!(drawn(&ObjectMask::runs([h, w], counts).unwrap(), [h, w]), own, "{class}");
        }
    }

    /// Encoded by pycocotools 2.0.11 (`mask.frPyObjects`).
    #[test]
    fn compressed_runs() {
        let cases: [(&str, [usize; 2], &[usize]); 4] = [
            ("122O", [2, 3], &[1, 2, 2, 1]),
            ("06", [2, 3], &[0, 6]),
            ("7T33`M]<fm0", [30, 50], &[7, 100, 3, 20, 400, 970]),
            ("352Q2b0", [10, 10], &[3, 5, 2, 70, 20]),
        ];
        for (text, size, counts) in cases {
            let want = ObjectMask::Runs { size, counts: counts.to_vec() };
            assert_eq!(ObjectMask::compressed(size, text).unwrap(), want, "{text}");
        }
        assert!(ObjectMask::compressed([2, 3], "\u{1}").is_err());
        assert!(ObjectMask::compressed([2, 3], "P").is_err());
        assert!(ObjectMask::compressed([2, 3], "3").is_err());
    }

    #[test]
    fn polygons_hold_the_middles_of_their_pixels() {
        let square = ObjectMask::polygons(&[vec![1.0, 0.0, 3.0, 0.0, 3.0, 2.0, 1.0, 2.0]]).unwrap();
        #[rustfmt::skip]
        assert_eq!(drawn(&square, [3, 4]), [
            0, 1, 1, 0,
            0, 1, 1, 0,
            0, 0, 0, 0,
        ]);
        // Parts that overlap, one of them with corners beyond the image; and one whose path crosses itself.
        let parts = ObjectMask::polygons(&[
            vec![-1.0, -1.0, 3.0, -1.0, 3.0, 2.0, -1.0, 2.0],
            vec![2.0, 1.0, 4.0, 1.0, 4.0, 3.0, 2.0, 3.0],
        ]);
        #[rustfmt::skip]
        assert_eq!(drawn(&parts.unwrap(), [3, 4]), [
            1, 1, 1, 0,
            1, 1, 1, 1,
            0, 0, 1, 1,
        ]);
        let ring =
            vec![0.0, 0.0, 4.0, 0.0, 4.0, 3.0, 0.0, 3.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 3.0, 2.0, 3.0, 1.0, 1.0, 1.0];
        #[rustfmt::skip]
        assert_eq!(drawn(&ObjectMask::polygons(&[ring]).unwrap(), [3, 4]), [
            1, 1, 1, 1,
            1, 0, 0, 1,
            1, 1, 1, 1,
        ]);
        let area = drawn(&ObjectMask::polygons(&[vec![0.0, 0.0, 40.0, 0.0, 0.0, 40.0]]).unwrap(), [40, 40]);
        assert_eq!(area.iter().map(|v| usize::from(*v)).sum::<usize>(), 40 * 39 / 2);
        for bad in [vec![], vec![vec![0.0, 0.0, 1.0, 1.0]], vec![vec![0.0; 7]], vec![vec![f32::NAN; 6]]] {
            assert!(ObjectMask::polygons(&bad).is_err(), "{bad:?}");
        }
    }
}
