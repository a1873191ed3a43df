//! COCO's average precision and recall (Lin et al. 2014, arXiv 1405.0312; the rules are those of its published evaluation,
//! <https://cocodataset.org/#detection-eval>).
//!
//! A detection is right if its intersection over union with an object that no surer detection has taken reaches a threshold;
//! of several such objects it takes the one it overlaps most. Precision is made monotone and read at 101 recalls. AP is the
//! mean over ten thresholds, 0.5 to 0.95, and over the classes that occur.

use super::{Detection, DetectionTally, Truth, curve, mean};
use crate::geometry::Rect;

/// The twelve numbers of COCO's table, each in 0..=1; `None` where no object of that kind occurs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "train", derive(serde::Serialize, serde::Deserialize))]
pub struct CocoScores {
    /// Mean over the thresholds 0.5, 0.55, … 0.95.
    pub ap: Option<f64>,
    /// At 0.5.
    pub ap50: Option<f64>,
    /// At 0.75.
    pub ap75: Option<f64>,
    /// Of objects under 32² square pixels.
    pub ap_small: Option<f64>,
    /// Of objects from 32² to 96².
    pub ap_medium: Option<f64>,
    /// Of objects over 96².
    pub ap_large: Option<f64>,
    /// Average recall with one detection an image (and class).
    pub ar1: Option<f64>,
    /// With ten.
    pub ar10: Option<f64>,
    /// With a hundred.
    pub ar100: Option<f64>,
    /// With a hundred, of small objects.
    pub ar_small: Option<f64>,
    /// Of medium ones.
    pub ar_medium: Option<f64>,
    /// Of large ones.
    pub ar_large: Option<f64>,
}

/// One class by itself, each number in 0..=1, as [`CocoScores`] has them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CocoClass {
    /// Mean over the thresholds.
    pub ap: f64,
    /// At 0.5.
    pub ap50: f64,
    /// At 0.75.
    pub ap75: f64,
    /// Average recall with a hundred detections an image.
    pub ar100: f64,
    /// Objects that are to be found.
    pub objects: usize,
}

const THRESHOLDS: usize = 10;
const RECALLS: usize = 101;
/// Detections of an image (and class) that are looked at, at most.
const MOST: usize = 100;
/// All sizes, small, medium, large; both ends belong to the range.
const SIZES: [[f64; 2]; 4] = [[0.0, 1e10], [0.0, 1024.0], [1024.0, 9216.0], [9216.0, 1e10]];

/// `0.5 + 0.05 i`, as `numpy.linspace` rounds it.
fn threshold(i: usize) -> f64 {
    0.5 + i as f64 * ((0.95 - 0.5) / 9.0)
}

/// `i / 100`, as `numpy.linspace` rounds it.
fn recall_at(i: usize) -> f64 {
    i as f64 * 0.01
}

/// What became of a detection at one threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Right,
    Wrong,
    /// It found what need not be found.
    Ignored,
}

/// One image's detections of one class and size: score and fate at each threshold.
struct Judged {
    fates: Vec<(f32, [Fate; THRESHOLDS])>,
    /// Objects to be found.
    wanted: usize,
}

/// Intersection over union; over the detection's own area where the object is a crowd.
pub(super) fn overlap(detection: &Rect, truth: &Truth) -> f64 {
    let common = detection.common(&truth.rect);
    let whole = if truth.ignored { detection.area() } else { detection.area() + truth.rect.area() - common };
    if common > 0.0 { common / whole } else { 0.0 }
}

/// Judges the detections of one class in one image for objects of one size.
fn judge(truths: &[&Truth], detections: &[&Detection], size: [f64; 2]) -> Judged {
    let inside = |area: f64| (size[0]..=size[1]).contains(&area);
    let detections = &detections[..detections.len().min(MOST)];
    // Those that count come first: a detection turns to the others only if it finds none of them.
    let mut order: Vec<(&Truth, bool)> = truths.iter().map(|t| (*t, t.ignored || !inside(t.area))).collect();
    order.sort_by_key(|(_, ignored)| *ignored);
    let overlaps: Vec<Vec<f64>> =
        detections.iter().map(|d| order.iter().map(|(t, _)| overlap(&d.rect, t)).collect()).collect();
    let mut fates: Vec<(f32, [Fate; THRESHOLDS])> =
        detections.iter().map(|d| (d.score, [Fate::Wrong; THRESHOLDS])).collect();
    for t in 0..THRESHOLDS {
        let mut taken = vec![false; order.len()];
        for (d, (_, fate)) in fates.iter_mut().enumerate() {
            let mut best = threshold(t).min(1.0 - 1e-10);
            let mut found: Option<(usize, bool)> = None;
            for (g, (truth, ignored)) in order.iter().enumerate() {
                // A crowd can be found again and again.
                if taken[g] && !truth.ignored {
                    continue;
                }
                if *ignored && found.is_some_and(|(_, ignored)| !ignored) {
                    break;
                }
                if overlaps[d][g] >= best {
                    best = overlaps[d][g];
                    found = Some((g, *ignored));
                }
            }
            fate[t] = match found {
                Some((g, ignored)) => {
                    taken[g] = true;
                    if ignored { Fate::Ignored } else { Fate::Right }
                }
                None if inside(detections[d].rect.area()) => Fate::Wrong,
                None => Fate::Ignored,
            };
        }
    }
    Judged { fates, wanted: order.iter().filter(|(_, ignored)| !ignored).count() }
}

/// Of one class: average precision and highest recall at each threshold.
type Average = [(f64, f64); THRESHOLDS];

fn wanted(images: &[Judged]) -> usize {
    images.iter().map(|i| i.wanted).sum()
}

/// From all images; `None` where there is nothing to find.
fn average(images: &[Judged], most: usize) -> Option<Average> {
    let wanted = wanted(images);
    if wanted == 0 {
        return None;
    }
    let mut all: Vec<&(f32, [Fate; THRESHOLDS])> = images.iter().flat_map(|i| i.fates.iter().take(most)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let at = |t: usize| {
        let counted = all.iter().map(|(_, fates)| fates[t]).filter(|f| *f != Fate::Ignored);
        let (mut precision, recall) = curve(counted.map(|f| f == Fate::Right), wanted);
        for i in (1..precision.len()).rev() {
            precision[i - 1] = precision[i - 1].max(precision[i]);
        }
        let read = (0..RECALLS).map(|i| {
            let place = recall.partition_point(|r| *r < recall_at(i));
            precision.get(place).copied().unwrap_or(0.0)
        });
        (read.sum::<f64>() / RECALLS as f64, recall.last().copied().unwrap_or(0.0))
    };
    Some(std::array::from_fn(at))
}

/// Precision at one threshold, or over all.
fn precision<'a>(of: impl Iterator<Item = &'a Average>, at: Option<usize>) -> Option<f64> {
    match at {
        Some(t) => mean(of.map(|c| c[t].0)),
        None => mean(of.flatten().map(|(p, _)| *p)),
    }
}

fn recall<'a>(of: impl Iterator<Item = &'a Average>) -> Option<f64> {
    mean(of.flatten().map(|(_, r)| *r))
}

impl DetectionTally {
    /// COCO's table.
    pub fn coco(&self) -> CocoScores {
        self.coco_and_classes().0
    }

    /// COCO's table, and a row of each class; `None` for a class without objects.
    pub fn coco_and_classes(&self) -> (CocoScores, Vec<Option<CocoClass>>) {
        let classes: Vec<_> = (0..self.classes).map(|c| self.of_class(c)).collect();
        let judged = |size: [f64; 2]| -> Vec<Vec<Judged>> {
            classes.iter().map(|images| images.iter().map(|(t, d)| judge(t, d, size)).collect()).collect()
        };
        let averages = |judged: &[Vec<Judged>], most: usize| -> Vec<Option<Average>> {
            judged.iter().map(|images| average(images, most)).collect()
        };
        let whole = judged(SIZES[0]);
        let [one, ten, all] = [1, 10, MOST].map(|most| averages(&whole, most));
        let [small, medium, large] = [1, 2, 3].map(|s| averages(&judged(SIZES[s]), MOST));
        let [known, small, medium, large] = [&all, &small, &medium, &large].map(|of| of.iter().flatten());
        let scores = CocoScores {
            ap: precision(known.clone(), None),
            ap50: precision(known.clone(), Some(0)),
            ap75: precision(known.clone(), Some(5)),
            ap_small: precision(small.clone(), None),
            ap_medium: precision(medium.clone(), None),
            ap_large: precision(large.clone(), None),
            ar1: recall(one.iter().flatten()),
            ar10: recall(ten.iter().flatten()),
            ar100: recall(known),
            ar_small: recall(small),
            ar_medium: recall(medium),
            ar_large: recall(large),
        };
        let class = |(found, images): (&Option<Average>, &Vec<Judged>)| {
            let own = || found.iter();
            Some(CocoClass {
                ap: precision(own(), None)?,
                ap50: precision(own(), Some(0))?,
                ap75: precision(own(), Some(5))?,
                ar100: recall(own())?,
                objects: wanted(images),
            })
        };
        let rows = all.iter().zip(&whole).map(class).collect();
        (scores, rows)
    }
}
