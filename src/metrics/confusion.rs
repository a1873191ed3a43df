//! The confusion matrix of a classification task, and what follows from it.

use crate::{Error, Result};

/// Counts of (true class, predicted class), accumulated over a whole split; never averaged over batches.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "train", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "train", serde(try_from = "Vec<Vec<u64>>", into = "Vec<Vec<u64>>"))]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

/// One class's share of the metrics. A quotient 0/0 is 0, as in scikit-learn's `zero_division=0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassMetrics {
    /// Of the samples said to be of this class, the part that is.
    pub precision: f64,
    /// Of the samples of this class, the part that was found.
    pub recall: f64,
    /// Harmonic mean of precision and recall: `2 TP / (2 TP + FP + FN)`.
    pub f1: f64,
    /// Samples of this class.
    pub support: u64,
    /// Times this class was predicted.
    pub predicted: u64,
}

/// A classification task's metrics, each in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "train", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskMetrics {
    /// Part of the samples predicted rightly.
    pub accuracy: f64,
    /// Macro precision: the unweighted mean over classes.
    pub precision: f64,
    /// Macro recall.
    pub recall: f64,
    /// Macro F1: the mean of the classes' F1, not the F1 of the means.
    pub f1: f64,
}

impl Confusion {
    /// All zero.
    pub fn new(classes: usize) -> Self {
        Confusion { classes, counts: vec![0; classes * classes] }
    }

    /// From counts laid out `[true class, predicted class]`, row-major. Refuses another length than `classes²`.
    pub fn from_counts(counts: Vec<u64>, classes: usize) -> Result<Self> {
        if classes.checked_mul(classes) != Some(counts.len()) {
            let n = counts.len();
            return Err(Error::Shape(format!(
                "a confusion matrix of {classes} classes has {classes}² counts, not {n}"
            )));
        }
        Ok(Confusion { classes, counts })
    }

    /// Counts one sample. Refuses a class out of range.
    pub fn add(&mut self, pred: usize, label: usize) -> Result<()> {
        if pred >= self.classes || label >= self.classes {
            let n = self.classes;
            return Err(Error::Invalid(format!(
                "prediction {pred} or label {label} is not below {n}, the number of classes"
            )));
        }
        self.counts[label * self.classes + pred] += 1;
        Ok(())
    }

    /// Adds another matrix of the same size, e.g. that of another batch or seed.
    pub fn merge(&mut self, other: &Confusion) -> Result<()> {
        if self.classes != other.classes {
            let (a, b) = (self.classes, other.classes);
            return Err(Error::Shape(format!("confusion matrices of {a} and {b} classes cannot be added")));
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        Ok(())
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The counts, `[true class, predicted class]`, row-major.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The counts as one row for each true class.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        self.counts.chunks_exact(self.classes.max(1)).map(<[u64]>::to_vec).collect()
    }

    /// Number of samples.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Part of the samples predicted rightly; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        let right = (0..self.classes).map(|c| self.counts[c * self.classes + c]).sum();
        ratio(right, self.total())
    }

    /// Macro precision over the classes that occur, see [`Confusion::metrics`].
    pub fn precision(&self) -> f64 {
        self.macro_mean(|c| c.precision)
    }

    /// Macro recall over the classes that occur.
    pub fn recall(&self) -> f64 {
        self.macro_mean(|c| c.recall)
    }

    /// Macro F1 over the classes that occur.
    pub fn f1(&self) -> f64 {
        self.macro_mean(|c| c.f1)
    }

    /// All four. The macro means are over the classes that occur among the labels or the predictions, as scikit-learn's
    /// `average="macro"` takes them: a class of which the split knows nothing says nothing.
    pub fn metrics(&self) -> TaskMetrics {
        TaskMetrics { accuracy: self.accuracy(), precision: self.precision(), recall: self.recall(), f1: self.f1() }
    }

    /// Each class by itself.
    pub fn per_class(&self) -> Vec<ClassMetrics> {
        let n = self.classes;
        let one = |c: usize| {
            let hits = self.counts[c * n + c];
            let support: u64 = self.counts[c * n..(c + 1) * n].iter().sum();
            let predicted: u64 = (0..n).map(|label| self.counts[label * n + c]).sum();
            ClassMetrics {
                precision: ratio(hits, predicted),
                recall: ratio(hits, support),
                f1: ratio(2 * hits, support + predicted),
                support,
                predicted,
            }
        };
        (0..n).map(one).collect()
    }

    /// Intersection over union of each class, `TP / (TP + FP + FN)`; `None` for a class that occurs neither among the labels nor
    /// among the predictions. For segmentation, where every pixel is a sample.
    pub fn iou(&self) -> Vec<Option<f64>> {
        let n = self.classes;
        let one = |(c, class): (usize, ClassMetrics)| {
            let hits = self.counts[c * n + c];
            let union = class.support + class.predicted - hits;
            (union > 0).then(|| ratio(hits, union))
        };
        self.per_class().into_iter().enumerate().map(one).collect()
    }

    /// The mean of [`Confusion::iou`] over the classes that occur (mIoU; Long et al. 2015, arXiv 1411.4038): of the one matrix
    /// of a whole split, never a mean over images or batches. `None` without samples.
    pub fn mean_iou(&self) -> Option<f64> {
        let known: Vec<f64> = self.iou().into_iter().flatten().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }

    fn macro_mean(&self, of: impl Fn(&ClassMetrics) -> f64) -> f64 {
        let classes = self.per_class();
        let known: Vec<f64> = classes.iter().filter(|c| c.support + c.predicted > 0).map(of).collect();
        if known.is_empty() { 0.0 } else { known.iter().sum::<f64>() / known.len() as f64 }
    }
}

/// In files the matrix is a list of rows.
impl From<Confusion> for Vec<Vec<u64>> {
    fn from(confusion: Confusion) -> Self {
        confusion.rows()
    }
}

impl TryFrom<Vec<Vec<u64>>> for Confusion {
    type Error = Error;

    fn try_from(rows: Vec<Vec<u64>>) -> Result<Self> {
        let classes = rows.len();
        if rows.iter().any(|r| r.len() != classes) {
            return Err(Error::Shape(format!("a confusion matrix of {classes} rows needs {classes} columns in each")));
        }
        Confusion::from_counts(rows.concat(), classes)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    #[test]
    fn a_matrix_worked_out_by_hand() {
        // Rows are truths: class 0 is found 2 of 3 times, class 1 1 of 2, class 2 1 of 1 with one false alarm.
        let m = Confusion::from_counts(vec![2, 1, 0, 0, 1, 1, 0, 0, 1], 3).unwrap();
        assert_relative_eq!(m.accuracy(), 4.0 / 6.0);
        assert_relative_eq!(m.precision(), (1.0 + 0.5 + 0.5) / 3.0);
        assert_relative_eq!(m.recall(), (2.0 / 3.0 + 0.5 + 1.0) / 3.0);
        assert_relative_eq!(m.f1(), (0.8 + 0.5 + 2.0 / 3.0) / 3.0);
        assert_eq!(m.per_class()[2].support, 1);
        assert_eq!(m.per_class()[2].predicted, 2);
        assert_eq!(m.iou(), [Some(2.0 / 3.0), Some(1.0 / 3.0), Some(0.5)]);
        assert_relative_eq!(m.mean_iou().unwrap(), 0.5);
    }

    #[test]
    fn nothing_over_nothing_is_zero_and_unknown_classes_do_not_count() {
        assert_eq!(Confusion::new(3).metrics(), TaskMetrics { accuracy: 0.0, precision: 0.0, recall: 0.0, f1: 0.0 });
        assert_eq!(Confusion::new(0).accuracy(), 0.0);
        let mut m = Confusion::new(3);
        m.add(1, 0).unwrap();
        m.add(0, 0).unwrap();
        // Class 2 is nowhere; class 1 was predicted once, wrongly.
        assert_relative_eq!(m.recall(), 0.25);
        assert_relative_eq!(m.precision(), 0.5);
        assert_eq!(m.iou(), [Some(0.5), Some(0.0), None]);
        assert_relative_eq!(m.mean_iou().unwrap(), 0.25);
        assert_eq!(Confusion::new(3).mean_iou(), None);
    }

    #[test]
    fn misfits_are_refused() {
        assert!(Confusion::from_counts(vec![0; 5], 2).is_err());
        assert!(Confusion::new(2).add(2, 0).is_err());
        assert!(Confusion::new(2).add(0, 2).is_err());
        assert!(Confusion::new(2).merge(&Confusion::new(3)).is_err());
        assert!(Confusion::try_from(vec![vec![1, 2], vec![3]]).is_err());
    }

    proptest! {
        #[test]
        fn metrics_are_shares_and_batches_add_up(pairs in prop::collection::vec((0usize..5, 0usize..5), 1..80), at in 0usize..80) {
            let count = |part: &[(usize, usize)]| {
                let mut m = Confusion::new(5);
                part.iter().for_each(|&(p, l)| m.add(p, l).unwrap());
                m
            };
            let whole = count(&pairs);
            let m = whole.metrics();
            prop_assert!([m.accuracy, m.precision, m.recall, m.f1].iter().all(|v| (0.0..=1.0).contains(v)));
            let (a, b) = pairs.split_at(at.min(pairs.len()));
            let mut sum = count(a);
            sum.merge(&count(b)).unwrap();
            prop_assert_eq!(&sum, &whole);
            prop_assert_eq!(Confusion::try_from(whole.rows()).unwrap(), whole);
        }
    }
}
