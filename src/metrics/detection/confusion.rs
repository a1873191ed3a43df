//! Which classes of objects are taken for which, and which for nothing.

use super::coco::overlap;
use super::{Detection, DetectionTally, Truth};
use crate::metrics::Confusion;

/// The lowest score of a detection that is counted, and the lowest intersection over union with what it is held against: those of
/// ultralytics' confusion matrices (<https://docs.ultralytics.com/reference/utils/metrics/>), so that both can be laid side by side.
const SCORE: f32 = 0.25;
const OVERLAP: f64 = 0.45;

impl DetectionTally {
    /// Counts of (true class, predicted class) over objects; the last row and column are those of nothing: what was found where nothing is,
    /// and what was not found.
    ///
    /// Of the detections that are at least 25 % sure and the objects that they overlap by 45 % or more, whatever their classes, the pair that
    /// overlaps most belongs together, then of the rest the one that does, and so on. What need not be found counts nowhere, and neither does
    /// a detection that found it alone.
    pub fn confusion(&self) -> Confusion {
        let mut matrix = Confusion::new(self.classes + 1);
        for (truths, detections) in &self.images {
            let sure: Vec<&Detection> = detections.iter().filter(|d| d.score >= SCORE).collect();
            let (ignored, wanted): (Vec<&Truth>, Vec<&Truth>) = truths.iter().partition(|t| t.ignored);
            let pairs = pairs(&wanted, &sure);
            let mut count = |truth: usize, found: usize| {
                // Classes were found in range when they were added.
                let _ = matrix.add(found, truth);
            };
            for (t, truth) in wanted.iter().enumerate() {
                let found = pairs.iter().find(|pair| pair.0 == t).map_or(self.classes, |pair| sure[pair.1].class);
                count(truth.class, found);
            }
            for (d, detection) in sure.iter().enumerate() {
                let crowd = |t: &&Truth| overlap(&detection.rect, t) >= OVERLAP;
                if !pairs.iter().any(|pair| pair.1 == d) && !ignored.iter().any(crowd) {
                    count(self.classes, detection.class);
                }
            }
        }
        matrix
    }
}

/// Objects and detections that belong together, by their places.
fn pairs(truths: &[&Truth], detections: &[&Detection]) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    for (t, truth) in truths.iter().enumerate() {
        for (d, detection) in detections.iter().enumerate() {
            let common = overlap(&detection.rect, truth);
            if common >= OVERLAP {
                all.push((common, t, d));
            }
        }
    }
    // Of equal overlaps the first object, and of its detections the first, which is the surest where they are sorted.
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut taken, mut used) = (vec![false; truths.len()], vec![false; detections.len()]);
    let mut pairs = Vec::new();
    for (_, t, d) in all {
        if !taken[t] && !used[d] {
            (taken[t], used[d]) = (true, true);
            pairs.push((t, d));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    fn truth(x: f32, class: usize) -> Truth {
        Truth::new(Rect::from_size(x, 0.0, 10.0, 10.0), class)
    }

    fn found(x: f32, class: usize, score: f32) -> Detection {
        Detection { rect: Rect::from_size(x, 0.0, 10.0, 10.0), class, score }
    }

    /// Rows of two classes and of nothing.
    fn matrix(truths: Vec<Truth>, detections: Vec<Detection>) -> Vec<Vec<u64>> {
        let mut tally = DetectionTally::new(2);
        tally.add(truths, detections).unwrap();
        tally.confusion().rows()
    }

    #[test]
    fn objects_are_found_taken_for_others_missed_and_made_up() {
        let truths = vec![truth(0.0, 0), truth(20.0, 0), truth(40.0, 1), truth(60.0, 1)];
        let detections = vec![
            found(1.0, 0, 0.9),
            // Of another class.
            found(21.0, 1, 0.8),
            // Not sure enough, and not near enough.
            found(40.0, 1, 0.2),
            found(64.5, 1, 0.9),
            // Where nothing is.
            found(80.0, 0, 0.3),
        ];
        assert_eq!(matrix(truths, detections), [[1, 1, 0], [0, 0, 2], [1, 1, 0]]);
    }

    #[test]
    fn an_object_is_found_once_by_what_overlaps_it_most() {
        // The second detection overlaps more, whatever the first is sure of; the first is then left with nothing.
        let detections = vec![found(2.0, 0, 0.9), found(0.5, 1, 0.5)];
        assert_eq!(matrix(vec![truth(0.0, 0)], detections), [[0, 1, 0], [0, 0, 0], [1, 0, 0]]);
        // One detection, two objects.
        assert_eq!(
            matrix(vec![truth(0.0, 0), truth(4.0, 1)], vec![found(1.0, 0, 0.9)]),
            [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
        );
    }

    #[test]
    fn what_need_not_be_found_counts_nowhere() {
        let crowd = Truth { ignored: true, ..truth(0.0, 0) };
        assert_eq!(matrix(vec![crowd], vec![found(0.0, 1, 0.9), found(1.0, 0, 0.9)]), [[0; 3]; 3]);
        assert_eq!(matrix(Vec::new(), Vec::new()), [[0; 3]; 3]);
        assert_eq!(matrix(Vec::new(), vec![found(0.0, 1, 0.9)]), [[0, 0, 0], [0, 0, 0], [0, 1, 0]]);
    }
}
