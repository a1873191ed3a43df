//! Pascal VOC's average precision (Everingham et al. 2010, IJCV 88; 2015, IJCV 111).
//!
//! A detection belongs to the object it overlaps most, and is right if that overlap reaches the threshold and no surer
//! detection has taken the object already; COCO would let it turn to another one.

use super::{DetectionTally, curve, mean};
use crate::geometry::Rect;

/// How the precision is averaged over the recall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// The mean at the recalls 0, 0.1, … 1 (until 2009).
    ElevenPoints,
    /// The area under the monotone curve (since 2010).
    Area,
}

impl DetectionTally {
    /// Average precision of each class at a threshold of the intersection over union (VOC takes 0.5); `None` for a class without
    /// objects that count.
    pub fn voc(&self, threshold: f64, interpolation: Interpolation) -> Vec<Option<f64>> {
        (0..self.classes).map(|class| self.voc_class(class, threshold, interpolation)).collect()
    }

    /// The mean of [`DetectionTally::voc`] over the classes that occur.
    pub fn voc_map(&self, threshold: f64, interpolation: Interpolation) -> Option<f64> {
        mean(self.voc(threshold, interpolation).into_iter().flatten())
    }

    fn voc_class(&self, class: usize, threshold: f64, interpolation: Interpolation) -> Option<f64> {
        let images = self.of_class(class);
        let total = images.iter().flat_map(|(truths, _)| truths).filter(|t| !t.ignored).count();
        if total == 0 {
            return None;
        }
        let mut all: Vec<(f32, usize, &Rect)> = Vec::new();
        for (i, (_, detections)) in images.iter().enumerate() {
            all.extend(detections.iter().map(|d| (d.score, i, &d.rect)));
        }
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut taken: Vec<Vec<bool>> = images.iter().map(|(truths, _)| vec![false; truths.len()]).collect();
        let judge = |(_, image, rect): (f32, usize, &Rect)| {
            let truths = &images[image].0;
            let best = truths.iter().enumerate().fold((0, f64::MIN), |best, (g, truth)| {
                let overlap = truth.rect.iou(rect);
                if overlap > best.1 { (g, overlap) } else { best }
            });
            match best {
                (g, overlap) if overlap >= threshold && truths[g].ignored => None,
                (g, overlap) if overlap >= threshold => Some(!std::mem::replace(&mut taken[image][g], true)),
                _ => Some(false),
            }
        };
        let (precision, recall) = curve(all.into_iter().filter_map(judge), total);
        Some(match interpolation {
            Interpolation::ElevenPoints => eleven_points(&precision, &recall),
            Interpolation::Area => area(precision, &recall),
        })
    }
}

fn eleven_points(precision: &[f64], recall: &[f64]) -> f64 {
    let best_from = |least: f64| {
        precision.iter().zip(recall).filter(|(_, r)| **r >= least).fold(0.0, |best: f64, (p, _)| best.max(*p))
    };
    (0..=10).map(|i| best_from(f64::from(i) / 10.0)).sum::<f64>() / 11.0
}

fn area(mut precision: Vec<f64>, recall: &[f64]) -> f64 {
    for i in (1..precision.len()).rev() {
        precision[i - 1] = precision[i - 1].max(precision[i]);
    }
    let before = std::iter::once(&0.0).chain(recall);
    recall.iter().zip(before).zip(precision).map(|((r, before), p)| (r - before) * p).sum()
}
