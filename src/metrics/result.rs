//! What a network achieves at a task over a split: the metrics that tables show, those beside them, and each class by itself.

use super::{
    CalibrationTally, CocoScores, Confusion, DetectionTally, Interpolation, MultilabelTally, RegressionMetrics, Scores,
};

/// What a network achieves at a task over a split.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "train", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskResult {
    /// The metrics.
    pub scores: Scores,
    /// Those beside them: of boxes COCO's by size and by number of detections, and Pascal VOC's.
    #[cfg_attr(feature = "train", serde(default, skip_serializing_if = "Scores::is_empty"))]
    pub more: Scores,
    /// Each class or attribute that occurs, by itself.
    #[cfg_attr(feature = "train", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub classes: Vec<ClassResult>,
    /// Of samples, or of pixels, where the task names a class of each; of objects, with nothing as the last class.
    #[cfg_attr(feature = "train", serde(default, skip_serializing_if = "Option::is_none"))]
    pub confusion: Option<Confusion>,
}

/// One class or attribute by itself.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "train", derive(serde::Serialize, serde::Deserialize))]
pub struct ClassResult {
    /// Its name.
    pub name: String,
    /// Samples, pixels or objects that are of it.
    pub support: u64,
    /// Its metrics.
    pub scores: Scores,
}

impl TaskResult {
    fn new(scores: Scores) -> Self {
        TaskResult { scores, more: Scores::new([]), classes: Vec::new(), confusion: None }
    }

    /// Of a task that names one class of each image; `names` are the classes', in their order (without them, no class has a row).
    pub fn of_classes(confusion: Confusion, names: &[String]) -> Self {
        let rows = names.iter().zip(confusion.per_class()).filter(|(_, c)| c.support + c.predicted > 0);
        let row = |(name, c): (&String, super::ClassMetrics)| ClassResult {
            name: name.clone(),
            support: c.support,
            scores: of_class(&c).with(Scores::new([("f1", c.f1)])),
        };
        let classes = rows.map(row).collect();
        TaskResult { classes, confusion: Some(confusion.clone()), ..Self::new(Scores::of_classes(&confusion)) }
    }

    /// The same with how sure the network was; the first five classes say something where there are more.
    pub fn of_probabilities(confusion: Confusion, sure: &CalibrationTally, names: &[String]) -> Self {
        let classes = confusion.classes();
        let mut result = Self::of_classes(confusion, names);
        let known = |value: f64| (sure.count() > 0).then_some(value);
        let more = [("top5", known(sure.top5())), ("ece", known(sure.ece()))];
        let more = more.into_iter().skip(usize::from(classes <= 5));
        result.scores = result.scores.with(Scores::of(more));
        result
    }

    /// Of a task that names a class of each pixel.
    pub fn of_pixels(confusion: Confusion, names: &[String]) -> Self {
        let rows = names.iter().zip(confusion.per_class().into_iter().zip(confusion.iou()));
        let row = |(name, (c, iou)): (&String, (super::ClassMetrics, Option<f64>))| {
            let scores = Scores::new([("iou", iou?)]).with(of_class(&c));
            Some(ClassResult { name: name.clone(), support: c.support, scores })
        };
        let classes = rows.filter_map(row).collect();
        TaskResult { classes, confusion: Some(confusion.clone()), ..Self::new(Scores::of_pixels(&confusion)) }
    }

    /// Of attributes called `names`, those whose answer is known of some sample each by itself.
    pub fn of_attributes(tally: &MultilabelTally, names: &[String]) -> Self {
        let rows = names.iter().zip(tally.per_attribute()).filter(|(_, a)| a.known > 0);
        let row = |(name, a): (&String, super::AttributeMetrics)| ClassResult {
            name: name.clone(),
            support: a.support as u64,
            scores: Scores::of([
                ("precision", Some(a.precision)),
                ("recall", (a.support > 0).then_some(a.recall)),
                ("f1", Some(a.f1)),
                ("average_precision", a.average_precision),
            ]),
        };
        TaskResult { classes: rows.map(row).collect(), ..Self::new(tally.metrics().into()) }
    }

    /// Of numbers.
    pub fn of_numbers(metrics: RegressionMetrics) -> Self {
        Self::new(metrics.into())
    }

    /// Of boxes of classes called `names`.
    pub fn of_boxes(tally: &DetectionTally, names: &[String]) -> Self {
        let (coco, each) = tally.coco_and_classes();
        let CocoScores { ap_small, ap_medium, ap_large, ar1, ar10, ar_small, ar_medium, ar_large, .. } = coco;
        let more = [
            ("ap_small", ap_small),
            ("ap_medium", ap_medium),
            ("ap_large", ap_large),
            ("ar1", ar1),
            ("ar10", ar10),
            ("ar_small", ar_small),
            ("ar_medium", ar_medium),
            ("ar_large", ar_large),
            ("voc_ap50", tally.voc_map(0.5, Interpolation::Area)),
            ("voc07_ap50", tally.voc_map(0.5, Interpolation::ElevenPoints)),
        ];
        let more = Scores::of(more);
        let row = |(name, class): (&String, Option<super::CocoClass>)| {
            let class = class?;
            let scores = [("ap", class.ap), ("ap50", class.ap50), ("ap75", class.ap75), ("ar100", class.ar100)];
            Some(ClassResult { name: name.clone(), support: class.objects as u64, scores: Scores::new(scores) })
        };
        let (classes, confusion) = (names.iter().zip(each).filter_map(row).collect(), Some(tally.confusion()));
        TaskResult { more, classes, confusion, ..Self::new(coco.into()) }
    }
}

/// Of what was said to be of a class and of what is, the part that is right; undefined where there is nothing of the kind.
fn of_class(c: &super::ClassMetrics) -> Scores {
    Scores::of([
        ("precision", (c.predicted > 0).then_some(c.precision)),
        ("recall", (c.support > 0).then_some(c.recall)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Detection, Rect};
    use crate::metrics::{Truth, metric};
    use approx::assert_relative_eq;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn classes_that_occur_have_a_row() {
        let matrix = Confusion::from_counts(vec![3, 1, 0, 0, 4, 0, 0, 0, 0], 3).unwrap();
        let result = TaskResult::of_pixels(matrix.clone(), &names(&["sky", "tree", "cat"]));
        let rows: Vec<(&str, u64)> = result.classes.iter().map(|c| (c.name.as_str(), c.support)).collect();
        assert_eq!(rows, [("sky", 4), ("tree", 4)]);
        assert_eq!(result.classes[1].scores.get("iou"), Some(&0.8));
        let mean = result.classes.iter().map(|c| c.scores.get("iou").unwrap()).sum::<f64>() / 2.0;
        assert_relative_eq!(mean, *result.scores.get("miou").unwrap());
        let result = TaskResult::of_classes(matrix, &names(&["sky", "tree", "cat"]));
        assert_eq!(result.classes[0].scores.get("recall"), Some(&0.75));
    }

    #[test]
    fn boxes_have_their_sizes_and_classes() {
        let mut tally = DetectionTally::new(3);
        let rect = Rect::from_size(0.0, 0.0, 40.0, 40.0);
        let small = Rect::from_size(60.0, 60.0, 8.0, 8.0);
        let seen = Detection { rect, class: 2, score: 0.9 };
        tally.add(vec![Truth::new(rect, 2), Truth::new(small, 0)], vec![seen]).unwrap();
        let result = TaskResult::of_boxes(&tally, &names(&["ant", "bee", "cow"]));
        assert_eq!(result.scores.get("ap50"), Some(&0.5));
        let more = |name: &str| result.more.get(name).copied();
        assert_eq!((more("ap_small"), more("ap_medium"), more("ap_large")), (Some(0.0), Some(1.0), None));
        assert_eq!(more("voc_ap50"), Some(0.5));
        let rows: Vec<(&str, u64, f64)> =
            result.classes.iter().map(|c| (c.name.as_str(), c.support, *c.scores.get("ap").unwrap())).collect();
        assert_eq!(rows, [("ant", 1, 0.0), ("cow", 1, 1.0)]);
    }

    #[test]
    fn attributes_whose_answers_are_known_have_a_row() {
        let mut tally = MultilabelTally::new(3);
        tally.add(&[0.9, 0.2, 0.5], &[Some(true), Some(false), None]).unwrap();
        let result = TaskResult::of_attributes(&tally, &names(&["red", "new", "odd"]));
        let rows: Vec<(&str, u64, Option<f64>)> = result
            .classes
            .iter()
            .map(|c| (c.name.as_str(), c.support, c.scores.get("average_precision").copied()))
            .collect();
        assert_eq!(rows, [("red", 1, Some(1.0)), ("new", 0, None)]);
        assert!(metric("average_precision").is_some_and(|m| !m.in_delta));
    }
}
