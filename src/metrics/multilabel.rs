//! Attributes: several yes-or-no questions of each image.

use super::detection::curve;
use crate::{Error, Result};

/// Scores and answers of every attribute over a whole split.
#[derive(Debug, Clone, PartialEq)]
pub struct MultilabelTally {
    /// By attribute: the score in 0..=1 and whether it holds.
    answers: Vec<Vec<(f32, bool)>>,
}

/// One attribute by itself, at a threshold of 0.5. A quotient 0/0 is 0, as in scikit-learn's `zero_division=0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttributeMetrics {
    /// Of the samples said to have it, the part that has.
    pub precision: f64,
    /// Of the samples that have it, the part that was found.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
    /// Average precision: the mean precision at the samples that have it, from the highest score down; `None` without one.
    pub average_precision: Option<f64>,
    /// Samples that have it.
    pub support: usize,
    /// Samples whose answer is known.
    pub known: usize,
}

/// An attribute task's metrics, each in 0..=1; means are over the attributes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultilabelMetrics {
    /// Part of the answers that are right.
    pub accuracy: f64,
    /// Mean F1 over the attributes (macro); one of which nothing is known, or which nobody has and nobody is said to have, counts as 0,
    /// as in torchmetrics.
    pub f1: f64,
    /// F1 of all answers together (micro).
    pub micro_f1: f64,
    /// Mean average precision over the attributes that some sample has; `None` without one.
    pub map: Option<f64>,
}

impl MultilabelTally {
    /// Of so many attributes; no answer yet.
    pub fn new(attributes: usize) -> Self {
        MultilabelTally { answers: vec![Vec::new(); attributes] }
    }

    /// Adds one sample: a probability and an answer (`None`: not known) for each attribute.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of them, or a score that is no number.
    pub fn add(&mut self, scores: &[f32], answers: &[Option<bool>]) -> Result<()> {
        let n = self.answers.len();
        if scores.len() != n || answers.len() != n {
            let (a, b) = (scores.len(), answers.len());
            return Err(Error::Shape(format!("{a} scores and {b} answers for {n} attributes")));
        }
        if let Some(score) = scores.iter().find(|s| !s.is_finite()) {
            return Err(Error::Invalid(format!("an attribute's score is {score}")));
        }
        for ((all, score), answer) in self.answers.iter_mut().zip(scores).zip(answers) {
            all.extend(answer.map(|answer| (*score, answer)));
        }
        Ok(())
    }

    /// Each attribute by itself.
    pub fn per_attribute(&self) -> Vec<AttributeMetrics> {
        self.answers.iter().map(|answers| Counts::of(answers).metrics(answers)).collect()
    }

    /// All of them.
    pub fn metrics(&self) -> MultilabelMetrics {
        let each = self.per_attribute();
        let all = self.answers.iter().map(|a| Counts::of(a)).fold(Counts::default(), Counts::plus);
        let found: Vec<f64> = each.iter().filter_map(|a| a.average_precision).collect();
        let mean = |sum: f64, n: usize| if n == 0 { 0.0 } else { sum / n as f64 };
        MultilabelMetrics {
            accuracy: ratio(all.right, all.known),
            f1: mean(each.iter().map(|a| a.f1).sum(), each.len()),
            micro_f1: all.f1(),
            map: (!found.is_empty()).then(|| mean(found.iter().sum(), found.len())),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    hits: usize,
    said: usize,
    are: usize,
    right: usize,
    known: usize,
}

impl Counts {
    fn of(answers: &[(f32, bool)]) -> Self {
        let mut counts = Counts { known: answers.len(), ..Counts::default() };
        for (score, is) in answers {
            let said = *score > 0.5;
            counts.hits += usize::from(said && *is);
            counts.said += usize::from(said);
            counts.are += usize::from(*is);
            counts.right += usize::from(said == *is);
        }
        counts
    }

    fn plus(self, other: Counts) -> Counts {
        Counts {
            hits: self.hits + other.hits,
            said: self.said + other.said,
            are: self.are + other.are,
            right: self.right + other.right,
            known: self.known + other.known,
        }
    }

    fn f1(&self) -> f64 {
        ratio(2 * self.hits, self.said + self.are)
    }

    fn metrics(&self, answers: &[(f32, bool)]) -> AttributeMetrics {
        AttributeMetrics {
            precision: ratio(self.hits, self.said),
            recall: ratio(self.hits, self.are),
            f1: self.f1(),
            average_precision: (self.are > 0).then(|| average_precision(answers, self.are)),
            support: self.are,
            known: self.known,
        }
    }
}

/// `Σ (R_i − R_{i−1}) P_i` over the thresholds; samples of one score are one threshold.
fn average_precision(answers: &[(f32, bool)], positives: usize) -> f64 {
    let mut order: Vec<(f32, bool)> = answers.to_vec();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (precision, recall) = curve(order.iter().map(|(_, is)| *is), positives);
    let mut before = 0.0;
    let mut sum = 0.0;
    for i in 0..order.len() {
        if order.get(i + 1).is_none_or(|next| next.0 != order[i].0) {
            sum += (recall[i] - before) * precision[i];
            before = recall[i];
        }
    }
    sum
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn by_hand() {
        let mut tally = MultilabelTally::new(2);
        // First attribute: true, found; false, said; true, missed. Second: one answer is not known.
        for (scores, answers) in [
            ([0.9, 0.2], [Some(true), Some(false)]),
            ([0.8, 0.7], [Some(false), None]),
            ([0.3, 0.6], [Some(true), Some(true)]),
        ] {
            tally.add(&scores, &answers).unwrap();
        }
        let each = tally.per_attribute();
        assert_eq!((each[0].precision, each[0].recall, each[0].f1), (0.5, 0.5, 0.5));
        assert_relative_eq!(each[0].average_precision.unwrap(), 0.5 + 0.5 * 2.0 / 3.0);
        assert_eq!((each[1].f1, each[1].known, each[1].support), (1.0, 2, 1));
        let all = tally.metrics();
        assert_relative_eq!(all.f1, 0.75);
        assert_relative_eq!(all.accuracy, 3.0 / 5.0);
        assert_relative_eq!(all.micro_f1, 4.0 / 6.0);
        assert_relative_eq!(all.map.unwrap(), (5.0 / 6.0 + 1.0) / 2.0);
    }

    #[test]
    fn nothing_known_is_zero_and_misfits_are_refused() {
        let mut tally = MultilabelTally::new(1);
        tally.add(&[0.9], &[None]).unwrap();
        assert_eq!(tally.metrics(), MultilabelMetrics { accuracy: 0.0, f1: 0.0, micro_f1: 0.0, map: None });
        assert_eq!(tally.per_attribute()[0].average_precision, None);
        assert!(tally.add(&[0.1, 0.2], &[None, None]).is_err());
        assert!(tally.add(&[f32::NAN], &[None]).is_err());
    }
}
