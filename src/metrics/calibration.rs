//! Probabilities of classes: whether they are as sure as they are right, and whether the label is among the first.

use crate::{Error, Result};

/// Confidence against correctness in bins, and how often the label is among the first.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationTally {
    /// By bin: samples, sum of their confidences, right ones.
    bins: Vec<(u64, f64, u64)>,
    top5: u64,
}

impl CalibrationTally {
    /// With so many bins of equal width; 15 is usual.
    pub fn new(bins: usize) -> Self {
        CalibrationTally { bins: vec![(0, 0.0, 0); bins.max(1)], top5: 0 }
    }

    /// Adds one sample's probabilities, one a class.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the label is no class, or a probability not in 0..=1.
    pub fn add(&mut self, probabilities: &[f32], label: usize) -> Result<()> {
        let Some(own) = probabilities.get(label) else {
            let n = probabilities.len();
            return Err(Error::Invalid(format!("label {label} is not below {n}, the number of classes")));
        };
        // Softmax may round a hair over 1.
        if let Some(p) = probabilities.iter().find(|p| !(0.0..=1.0 + 1e-4).contains(*p)) {
            return Err(Error::Invalid(format!("a probability of {p}")));
        }
        let first =
            probabilities.iter().enumerate().fold((0, f32::MIN), |b, (i, p)| if *p > b.1 { (i, *p) } else { b });
        // Of equal probabilities the earlier class comes first.
        let before = probabilities.iter().enumerate().filter(|(i, p)| *p > own || (*p == own && *i < label)).count();
        self.top5 += u64::from(before < 5);
        let n = self.bins.len();
        // Bins are open at the left: (0, 1/n], (1/n, 2/n], ….
        let confidence = f64::from(first.1).min(1.0);
        let bin = ((confidence * n as f64).ceil() as usize).clamp(1, n) - 1;
        let (samples, sum, right) = &mut self.bins[bin];
        *samples += 1;
        *sum += confidence;
        *right += u64::from(first.0 == label);
        Ok(())
    }

    /// Samples so far.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|b| b.0).sum()
    }

    /// Part of the samples whose most probable class is right.
    pub fn top1(&self) -> f64 {
        self.share(self.bins.iter().map(|b| b.2).sum())
    }

    /// Part of the samples whose label is among the five most probable classes.
    pub fn top5(&self) -> f64 {
        self.share(self.top5)
    }

    /// Expected calibration error: the mean distance between confidence and accuracy of the bins, weighted by their samples
    /// (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599).
    pub fn ece(&self) -> f64 {
        let gap = |(_, sum, right): &(u64, f64, u64)| (sum - *right as f64).abs();
        let n = self.count();
        if n == 0 { 0.0 } else { self.bins.iter().map(gap).sum::<f64>() / n as f64 }
    }

    fn share(&self, part: u64) -> f64 {
        let n = self.count();
        if n == 0 { 0.0 } else { part as f64 / n as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn by_hand() {
        let mut tally = CalibrationTally::new(2);
        // Confidences 0.75 (right) and 0.875 (wrong) in the upper bin, 0.5 (right) in the lower one.
        tally.add(&[0.75, 0.25], 0).unwrap();
        tally.add(&[0.125, 0.875], 0).unwrap();
        tally.add(&[0.5, 0.5], 0).unwrap();
        assert_relative_eq!(tally.ece(), (0.625 + 0.5) / 3.0);
        assert_relative_eq!(tally.top1(), 2.0 / 3.0);
        assert_eq!(tally.top5(), 1.0);
    }

    #[test]
    fn the_first_five() {
        let mut tally = CalibrationTally::new(15);
        let p = [0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05];
        (0..7).for_each(|label| tally.add(&p, label).unwrap());
        assert_relative_eq!(tally.top5(), 5.0 / 7.0);
        assert_eq!(CalibrationTally::new(15).ece(), 0.0);
        assert!(tally.add(&p, 7).is_err());
        assert!(tally.add(&[f32::NAN, 0.5], 0).is_err());
    }
}
