//! From what a detector says to boxes: decoding, and the suppression of boxes that show the same object.

use crate::geometry::{Detection, Rect};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::kernels::topk::{self, Pair};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What is kept of what a detector says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NmsConfig {
    /// Scores below it are nothing.
    pub score: f32,
    /// Places and classes that are looked at, the surest first.
    pub candidates: usize,
    /// Of two boxes of a class that overlap more than this (intersection over union), the surer one stays.
    pub overlap: f64,
    /// Boxes of an image.
    pub most: usize,
}

impl Default for NmsConfig {
    /// FCOS's values (Tian et al. 2019).
    fn default() -> Self {
        NmsConfig { score: 0.05, candidates: 1000, overlap: 0.6, most: 100 }
    }
}

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

/// The boxes that a detector sees in one image of `size` `[height, width]`, the surest first, within the image. `said`
/// `[places, classes + 5]` as [`HeadSpec::detector`](super::HeadSpec::detector) describes, places of `levels`. A box's score is
/// `√(p · c)` with its class's probability p and its place's centre-ness c.
///
/// # Errors
/// [`Error::Shape`] where `said` does not fit the levels.
pub fn decode(said: &[f32], levels: &[Level], size: [usize; 2], keep: &NmsConfig) -> Result<Vec<Detection>> {
    let places: usize = levels.iter().map(|l| l.size[0] * l.size[1]).sum();
    let columns = said.len() / places.max(1);
    if columns < 6 || columns * places != said.len() {
        return Err(Error::Shape(format!("{} values for a detector of {places} places", said.len())));
    }
    let classes = columns - 5;
    let row = |(place, row): (usize, &[f32])| {
        let (centre, distances) = (row[columns - 1], [0, 1, 2, 3].map(|k| row[classes + k]));
        let pair = |(class, z): (usize, &f32)| Pair { place, class, logit: *z, centre, distances };
        row[..classes].iter().enumerate().map(pair).collect::<Vec<_>>()
    };
    Ok(boxes(said.chunks_exact(columns).enumerate().flat_map(row), levels, size, keep))
}

/// [`decode`] for every image of `said` `[images, places, classes + 5]`, which stays on the GPU: only the [`NmsConfig::candidates`] surest
/// places and classes of each image are fetched. The same boxes, but that the GPU's exponential decides which of two scores within some
/// 10⁻⁶ of each other is the last candidate.
///
/// # Errors
/// [`Error::Shape`] where `said` does not fit the levels.
pub fn detect(
    gpu: &Gpu,
    said: &Tensor,
    levels: &[Level],
    size: [usize; 2],
    keep: &NmsConfig,
) -> Result<Vec<Vec<Detection>>> {
    let (places, columns) = (levels.iter().map(|l| l.size[0] * l.size[1]).sum::<usize>(), said.columns());
    if places == 0 || columns < 6 || !said.rows().is_multiple_of(places) {
        return Err(Error::Shape(format!("{:?} of a detector of {places} places", said.shape())));
    }
    let said = said.reshape(&[said.rows() / places, places, columns])?;
    // Scores are roots; a little is left for the processor to decide.
    let least = keep.score.max(0.0).powi(2) * (1.0 - 1e-4);
    let found = topk::topk(gpu, &said, least, keep.candidates)?;
    Ok(found.into_iter().map(|pairs| boxes(pairs, levels, size, keep)).collect())
}

/// The boxes of the surest of these pairs, which come in the order of places and classes.
fn boxes(
    pairs: impl IntoIterator<Item = Pair>,
    levels: &[Level],
    size: [usize; 2],
    keep: &NmsConfig,
) -> Vec<Detection> {
    let score = |pair: &Pair| (sigmoid(pair.logit) * sigmoid(pair.centre)).sqrt();
    let scored = pairs.into_iter().map(|pair| (score(&pair), pair));
    let mut candidates: Vec<(f32, Pair)> = scored.filter(|(score, _)| *score >= keep.score).collect();
    // Equal scores in the order of the places.
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    candidates.truncate(keep.candidates);
    let boxes = candidates.into_iter().filter_map(|(score, pair)| {
        let (x, y, stride) = middle(pair.place, levels)?;
        let d = |k: usize| pair.distances[k].clamp(-15.0, 15.0).exp() * stride;
        let rect = Rect { x0: x - d(0), y0: y - d(1), x1: x + d(2), y1: y + d(3) }.clipped(size);
        rect.is_proper().then_some(Detection { rect, class: pair.class, score })
    });
    suppress(boxes.collect(), keep)
}

/// The point of a place, and its level's stride.
fn middle(mut place: usize, levels: &[Level]) -> Option<(f32, f32, f32)> {
    for level in levels {
        let count = level.size[0] * level.size[1];
        if place < count {
            let at = |i: usize| (i as f32 + 0.5) * level.stride;
            return Some((at(place % level.size[1]), at(place / level.size[1]), level.stride));
        }
        place -= count;
    }
    None
}

/// Class-wise non-maximum suppression of boxes that are sorted by their scores.
fn suppress(sorted: Vec<Detection>, keep: &NmsConfig) -> Vec<Detection> {
    let mut kept: Vec<Detection> = Vec::new();
    for new in sorted {
        if kept.len() == keep.most {
            break;
        }
        let same = |old: &&Detection| old.class == new.class && old.rect.iou(&new.rect) > keep.overlap;
        if kept.iter().find(same).is_none() {
            kept.push(new);
        }
    }
    kept
}

#[cfg(all(test, feature = "selftest"))]
mod tests {
    use super::*;

    const LEVELS: [Level; 2] = [Level { size: [2, 3], stride: 4.0 }, Level { size: [1, 2], stride: 8.0 }];

    /// Two classes; every place says nothing but those given: place, class, distances in pixels, centre-ness.
    fn said(all: &[(usize, usize, [f32; 4], f32)]) -> Vec<f32> {
        let mut z = vec![-20.0; 8 * 7];
        for (place, class, distances, centre) in all {
            let stride = if *place < 6 { 4.0 } else { 8.0 };
            z[place * 7 + class] = 3.0;
            (0..4).for_each(|k| z[place * 7 + 2 + k] = (distances[k] / stride).ln());
            z[place * 7 + 6] = (centre / (1.0 - centre)).ln();
        }
        z
    }

    #[test]
    fn places_become_boxes_within_the_image() {
        // Place 4 is row 1, column 1 of the first level: (6, 6). Place 7 is column 1 of the second: (12, 4).
        let z = said(&[(4, 0, [2.0, 3.0, 1.0, 0.5], 0.9), (7, 1, [20.0, 1.0, 9.0, 2.0], 0.5)]);
        let found = decode(&z, &LEVELS, [8, 12], &NmsConfig::default()).unwrap();
        assert_eq!(found.len(), 2);
        let near =
            |r: &Rect, e: [f32; 4]| [r.x0 - e[0], r.y0 - e[1], r.x1 - e[2], r.y1 - e[3]].iter().all(|d| d.abs() < 1e-4);
        assert!(found[0].class == 0 && near(&found[0].rect, [4.0, 3.0, 7.0, 6.5]), "{:?}", found[0]);
        assert!(found[1].class == 1 && near(&found[1].rect, [0.0, 3.0, 12.0, 6.0]), "{:?}", found[1]);
        let p = 1.0 / (1.0 + (-3.0f32).exp());
        assert!((found[0].score - (p * 0.9).sqrt()).abs() < 1e-5);
        assert!(decode(&z[1..], &LEVELS, [8, 12], &NmsConfig::default()).is_err());
    }

    #[test]
    fn what_is_chosen_on_the_gpu_gives_the_same_boxes() {
        let gpu = Gpu::new(crate::gpu::Options { poison: true, ..Default::default() }).unwrap();
        let mut z = crate::kernels::case::values(5, 3 * 8 * 7);
        z[10] = f32::NAN;
        z[8 * 7 + 6] = f32::INFINITY;
        let said = Tensor::from_f32(&gpu, &z, &[3, 8, 7]).unwrap();
        let all = [
            NmsConfig::default(),
            NmsConfig { score: 0.5, ..NmsConfig::default() },
            NmsConfig { candidates: 4, ..NmsConfig::default() },
            NmsConfig { candidates: 0, ..NmsConfig::default() },
            NmsConfig { score: 0.0, overlap: 1.0, ..NmsConfig::default() },
            NmsConfig { score: 1.1, ..NmsConfig::default() },
        ];
        for keep in all {
            let want: Vec<_> = z.chunks(8 * 7).map(|z| decode(z, &LEVELS, [20, 20], &keep).unwrap()).collect();
            assert_eq!(detect(&gpu, &said, &LEVELS, [20, 20], &keep).unwrap(), want, "{keep:?}");
        }
        let one = said.reshape(&[24, 7]).unwrap();
        assert_eq!(detect(&gpu, &one, &LEVELS, [20, 20], &NmsConfig::default()).unwrap().len(), 3);
        assert!(detect(&gpu, &one, &[], [20, 20], &NmsConfig::default()).is_err());
        assert!(detect(&gpu, &said.reshape(&[28, 6]).unwrap(), &LEVELS, [20, 20], &NmsConfig::default()).is_err());
    }

    #[test]
    fn of_boxes_of_one_object_the_surest_stays() {
        let at = |place, class, centre| (place, class, [3.0, 3.0, 3.0, 3.0], centre);
        // Neighbouring places see boxes that overlap by a fifth; the same place twice is two classes.
        let z = said(&[at(0, 0, 0.9), at(1, 0, 0.8), at(3, 1, 0.7)]);
        let keep = NmsConfig { overlap: 0.1, ..NmsConfig::default() };
        let classes = |keep: &NmsConfig| -> Vec<usize> {
            decode(&z, &LEVELS, [20, 20], keep).unwrap().iter().map(|d| d.class).collect()
        };
        assert_eq!(classes(&keep), [0, 1]);
        assert_eq!(classes(&NmsConfig::default()), [0, 0, 1]);
        assert_eq!(classes(&NmsConfig { most: 1, ..NmsConfig::default() }), [0]);
        assert_eq!(classes(&NmsConfig { candidates: 2, ..NmsConfig::default() }), [0, 0]);
        assert_eq!(classes(&NmsConfig { score: 0.99, ..NmsConfig::default() }), [0; 0]);
    }
}
