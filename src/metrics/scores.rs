//! Metrics by name: what tables, files and the multi-task delta know of any task.

use super::{CocoScores, Confusion, Measure, MultilabelMetrics, RegressionMetrics, TaskMetrics};

/// What is known of a metric, whatever its value.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in files.
    pub name: &'static str,
    /// Its name in tables.
    pub label: &'static str,
    /// What it is, in words.
    pub what: &'static str,
    /// `true` for an accuracy, `false` for an error.
    pub higher_is_better: bool,
    /// Shown in per cent: it is a part of a whole.
    pub percent: bool,
    /// Takes part in Δm. One that may be 0 or negative cannot: nothing is relative to it.
    pub in_delta: bool,
}

/// The least that a baseline must reach for anything to be told relative to it. Seeds move a share of a whole by about a hundredth; of a
/// baseline below 5 % that alone is a fifth or more, and a ratio to it says nothing.
const LEAST_SHARE: f64 = 0.05;
/// The same of an error, in standard deviations of the labels: a baseline that is right to a hundredth of them leaves nothing to gain.
const LEAST_ERROR: f64 = 0.01;

const fn part(name: &'static str, label: &'static str, what: &'static str) -> Metric {
    Metric { name, label, what, higher_is_better: true, percent: true, in_delta: true }
}

const fn error(name: &'static str, label: &'static str, what: &'static str) -> Metric {
    Metric { name, label, what, higher_is_better: false, percent: false, in_delta: true }
}

/// Every metric that is reported.
pub const METRICS: &[Metric] = &[
    part("accuracy", "acc", "accuracy"),
    part("precision", "precision", "macro precision"),
    part("recall", "recall", "macro recall"),
    part("f1", "F1", "macro F1"),
    Metric { in_delta: false, ..part("top5", "top-5", "label among the five most probable classes") },
    Metric { percent: true, in_delta: false, ..error("ece", "ECE", "expected calibration error") },
    part("miou", "mIoU", "mean intersection over union of the classes"),
    part("pixel_accuracy", "pixel acc", "accuracy over the pixels"),
    part("ap", "AP", "COCO's average precision, thresholds 0.5 to 0.95"),
    part("ap50", "AP50", "average precision at a threshold of 0.5"),
    Metric { in_delta: false, ..part("ap75", "AP75", "average precision at a threshold of 0.75") },
    Metric { in_delta: false, ..part("ar100", "AR100", "average recall with 100 detections") },
    part("map", "mAP", "mean average precision over the attributes"),
    Metric { in_delta: false, ..part("micro_f1", "micro F1", "F1 of all answers together") },
    error("rmse", "RMSE", "root mean squared error"),
    error("mae", "MAE", "mean absolute error"),
    Metric { percent: false, in_delta: false, ..part("r2", "R²", "coefficient of determination") },
    // Of one class, or beside those of tables.
    Metric { in_delta: false, ..part("iou", "IoU", "intersection over union") },
    Metric { in_delta: false, ..part("average_precision", "average precision", "average precision of one attribute") },
    Metric { in_delta: false, ..part("ap_small", "AP small", "average precision of objects under 32² pixels") },
    Metric {
        in_delta: false, ..part("ap_medium", "AP medium", "average precision of objects from 32² to 96² pixels")
    },
    Metric { in_delta: false, ..part("ap_large", "AP large", "average precision of objects over 96² pixels") },
    Metric { in_delta: false, ..part("ar1", "AR1", "average recall with 1 detection") },
    Metric { in_delta: false, ..part("ar10", "AR10", "average recall with 10 detections") },
    Metric { in_delta: false, ..part("ar_small", "AR small", "average recall of objects under 32² pixels") },
    Metric { in_delta: false, ..part("ar_medium", "AR medium", "average recall of objects from 32² to 96² pixels") },
    Metric { in_delta: false, ..part("ar_large", "AR large", "average recall of objects over 96² pixels") },
    Metric { in_delta: false, ..part("voc_ap50", "VOC AP50", "Pascal VOC's average precision, area under the curve") },
    Metric { in_delta: false, ..part("voc07_ap50", "VOC07 AP50", "Pascal VOC's average precision, eleven points") },
];

impl Metric {
    /// The value as tables show it: in per cent, or with three decimals.
    pub fn shown(&self, value: f64) -> f64 {
        if self.percent { 100.0 * value } else { value }
    }

    /// Its unit, for tables: `" %"` or nothing.
    pub fn unit(&self) -> &'static str {
        if self.percent { " %" } else { "" }
    }

    /// Decimals that tables show.
    pub fn decimals(&self) -> usize {
        if self.percent { 2 } else { 3 }
    }
}

/// The metric of that name.
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|m| m.name == name)
}

/// A task's metrics in the order in which they are shown, the most telling first; `T` is a value, or its mean and deviation over
/// seeds. One that the split does not define (average precision without an object to find) is there without a value, in files `null`:
/// undefined is not zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores<T = f64>(Vec<(&'static Metric, Option<T>)>);

impl<T> Scores<T> {
    /// Of these metrics. Names that stand in no row of [`METRICS`] are left out.
    pub fn new(values: impl IntoIterator<Item = (&'static str, T)>) -> Self {
        Scores::of(values.into_iter().map(|(name, value)| (name, Some(value))))
    }

    /// The same, of which some may be undefined.
    pub fn of(values: impl IntoIterator<Item = (&'static str, Option<T>)>) -> Self {
        Scores(values.into_iter().filter_map(|(name, value)| Some((metric(name)?, value))).collect())
    }

    /// The value of that name; `None` where there is none, or it is undefined.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.iter().find(|(m, _)| m.name == name).and_then(|(_, value)| value)
    }

    /// Every metric with its value, `None` where it is undefined.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Metric, Option<&T>)> {
        self.0.iter().map(|(metric, value)| (*metric, value.as_ref()))
    }

    /// These, followed by `more`.
    pub fn with(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that is shown where there is room for one, and by which epochs are chosen.
    pub fn main(&self) -> Option<(&'static Metric, Option<&T>)> {
        self.iter().next()
    }

    /// The same metrics with values of another kind; `of` may give none.
    pub fn map<U>(&self, of: impl Fn(&'static Metric, &T) -> Option<U>) -> Scores<U> {
        Scores(self.iter().map(|(m, value)| (m, value.and_then(|v| of(m, v)))).collect())
    }
}

impl Scores {
    /// How good the network is at the task, at most 1, for choosing among epochs: its main metric, so that the epoch that is chosen is
    /// the one that tables call the best. Of an error, the ratio `v` of its square to that of `spread` (the standard deviation of the
    /// training labels) gives `1 − v` up to 1 and `1/v − 1` beyond: as R², but never below −1, so that one task that is far off
    /// does not decide for all, and strictly falling, so that of two bad epochs the better one is chosen. `None` where the metric is
    /// undefined.
    pub fn selection(&self, spread: f64) -> Option<f64> {
        let (metric, value) = self.main()?;
        let value = *value?;
        if metric.higher_is_better {
            return Some(value);
        }
        let ratio = (value / spread).powi(2);
        Some(if ratio <= 1.0 { 1.0 - ratio } else { 1.0 / ratio - 1.0 })
    }

    /// Those that take part in Δm, each with the least that a baseline must reach.
    pub fn measures(&self) -> Vec<Measure> {
        // `R² = 1 − (RMSE / spread)²` gives the spread of the labels back.
        let spread = match (self.get("rmse"), self.get("r2")) {
            (Some(rmse), Some(r2)) if *r2 < 1.0 => Some(rmse / (1.0 - r2).sqrt()),
            _ => None,
        };
        let measure = |(m, value): (&Metric, Option<&f64>)| Measure {
            name: m.name.into(),
            value: value.copied(),
            higher_is_better: m.higher_is_better,
            // Where all labels are equal, no error is large or small.
            least: if m.percent { LEAST_SHARE } else { spread.map_or(f64::INFINITY, |s| LEAST_ERROR * s) },
        };
        self.iter().filter(|(m, _)| m.in_delta).map(measure).collect()
    }

    /// Of a segmentation task, from one matrix over all pixels of a split.
    pub fn of_pixels(pixels: &Confusion) -> Self {
        let known = pixels.total() > 0;
        Scores::of([("miou", pixels.mean_iou()), ("pixel_accuracy", known.then(|| pixels.accuracy()))])
    }

    /// Of a task that names a class of each sample, from the matrix of a split.
    pub fn of_classes(samples: &Confusion) -> Self {
        let m = (samples.total() > 0).then(|| samples.metrics());
        let of = |value: fn(TaskMetrics) -> f64| m.map(value);
        Scores::of([
            ("accuracy", of(|m| m.accuracy)),
            ("f1", of(|m| m.f1)),
            ("precision", of(|m| m.precision)),
            ("recall", of(|m| m.recall)),
        ])
    }
}

impl From<MultilabelMetrics> for Scores {
    fn from(m: MultilabelMetrics) -> Self {
        let known = |value| Some(value);
        Scores::of([
            ("map", m.map),
            ("f1", known(m.f1)),
            ("micro_f1", known(m.micro_f1)),
            ("accuracy", known(m.accuracy)),
        ])
    }
}

impl From<RegressionMetrics> for Scores {
    fn from(m: RegressionMetrics) -> Self {
        Scores::of([("rmse", m.rmse), ("mae", m.mae), ("r2", m.r2)])
    }
}

impl From<CocoScores> for Scores {
    fn from(m: CocoScores) -> Self {
        Scores::of([("ap", m.ap), ("ap50", m.ap50), ("ap75", m.ap75), ("ar100", m.ar100)])
    }
}

/// In files they are a table by name.
#[cfg(feature = "train")]
mod files {
    use super::{Scores, metric};
    use serde::de::{Error, MapAccess, Visitor};
    use serde::ser::SerializeMap;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::fmt;
    use std::marker::PhantomData;

    impl<T: Serialize> Serialize for Scores<T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(self.0.len()))?;
            self.iter().try_for_each(|(m, value)| map.serialize_entry(m.name, &value))?;
            map.end()
        }
    }

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Scores<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Table<T>(PhantomData<T>);
            impl<'de, T: Deserialize<'de>> Visitor<'de> for Table<T> {
                type Value = Scores<T>;

                fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                    f.write_str("metrics by name")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scores<T>, A::Error> {
                    let mut scores = Vec::new();
                    while let Some((name, value)) = map.next_entry::<String, Option<T>>()? {
                        let known =
                            metric(&name).ok_or_else(|| A::Error::custom(format!("no metric is called {name:?}")))?;
                        scores.push((known, value));
                    }
                    Ok(Scores(scores))
                }
            }
            deserializer.deserialize_map(Table(PhantomData))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once() {
        for (i, m) in METRICS.iter().enumerate() {
            assert_eq!(METRICS.iter().position(|other| other.name == m.name), Some(i));
        }
    }

    #[test]
    fn what_selects_and_what_enters_the_delta() {
        let number = Scores::from(RegressionMetrics { rmse: Some(2.0), mae: Some(1.5), r2: Some(-0.5) });
        assert_eq!((number.selection(4.0), number.selection(1.0)), (Some(0.75), Some(-0.75)));
        assert_eq!(
            number.measures().iter().map(|m| (m.name.as_str(), m.value)).collect::<Vec<_>>(),
            [("rmse", Some(2.0)), ("mae", Some(1.5))]
        );
        // The labels' deviation is 2 / √1.5.
        assert!((number.measures()[0].least - 0.01 * 2.0 / 1.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(number.main().unwrap().0.label, "RMSE");
        let pixels = Scores::of_pixels(&Confusion::from_counts(vec![3, 1, 0, 4], 2).unwrap());
        assert!((pixels.selection(1.0).unwrap() - (3.0 / 4.0 + 4.0 / 5.0) / 2.0).abs() < 1e-12);
        let rare = MultilabelMetrics { accuracy: 0.95, f1: 0.0, micro_f1: 0.0, map: Some(0.05) };
        assert_eq!(Scores::from(rare).selection(1.0), Some(0.05));
        let boxes = Scores::from(CocoScores { ap: Some(0.25), ap50: Some(0.5), ..CocoScores::default() });
        assert_eq!((boxes.selection(1.0), boxes.measures().len(), boxes.get("ap75")), (Some(0.25), 2, None));
        assert_eq!(boxes.map(|m, v| Some((m.percent, *v))).get("ap50"), Some(&(true, 0.5)));
        assert!(boxes.measures().iter().all(|m| m.least == 0.05));
    }

    #[test]
    fn undefined_is_not_zero() {
        let constant = Scores::from(RegressionMetrics { rmse: Some(0.5), mae: Some(0.5), r2: None });
        assert_eq!((constant.selection(1.0), constant.get("r2")), (Some(0.75), None));
        assert_eq!(constant.measures()[0].least, f64::INFINITY);
        let nothing = [
            Scores::from(CocoScores::default()),
            Scores::of_pixels(&Confusion::new(2)),
            Scores::of_classes(&Confusion::new(2)),
            Scores::from(RegressionMetrics { rmse: None, mae: None, r2: None }),
            Scores::from(MultilabelMetrics { accuracy: 1.0, f1: 0.0, micro_f1: 0.0, map: None }),
        ];
        for scores in nothing {
            let (metric, value) = scores.main().unwrap();
            assert_eq!((value, scores.selection(1.0)), (None, None), "{}", metric.name);
            assert_eq!(scores.measures()[0].value, None);
        }
    }

    #[cfg(feature = "train")]
    #[test]
    fn files_hold_them_by_name() {
        let scores = Scores::of([("accuracy", Some(0.5)), ("f1", Some(0.75)), ("precision", None)]);
        let text = serde_json::to_string(&scores).unwrap();
        assert_eq!(text, r#"{"accuracy":0.5,"f1":0.75,"precision":null}"#);
        assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), scores);
        let error = serde_json::from_str::<Scores>(r#"{"luck":1.0}"#).unwrap_err().to_string();
        assert!(error.contains("luck"), "{error}");
    }
}
