//! Numbers: how far predictions lie from what was measured.

use crate::{Error, Result};

/// Sums over the samples of a split; in the units of the labels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RegressionTally {
    count: u64,
    absolute: f64,
    squared: f64,
    /// Mean of the labels so far, and the sum of their squared distances from it (Welford 1962), which does not cancel.
    mean: f64,
    spread: f64,
}

/// A regression task's metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegressionMetrics {
    /// Root of the mean squared error, in the units of the labels; `None` without samples.
    pub rmse: Option<f64>,
    /// Mean absolute error, in the units of the labels; `None` without samples.
    pub mae: Option<f64>,
    /// Coefficient of determination, `1 − Σ(y − ŷ)² / Σ(y − ȳ)²`: 1 is perfect, 0 is as good as always saying the mean, and below
    /// is worse. `None` where all labels are equal (scikit-learn's `force_finite=False` gives NaN or −∞ there, its default 1 or 0).
    pub r2: Option<f64>,
}

impl RegressionTally {
    /// Adds one sample.
    ///
    /// # Errors
    /// [`Error::Invalid`] where one of the two is no finite number.
    pub fn add(&mut self, prediction: f64, label: f64) -> Result<()> {
        if !prediction.is_finite() || !label.is_finite() {
            return Err(Error::Invalid(format!("a prediction of {prediction} for {label}: both must be finite")));
        }
        let error = prediction - label;
        self.count += 1;
        self.absolute += error.abs();
        self.squared += error * error;
        let step = label - self.mean;
        self.mean += step / self.count as f64;
        self.spread += step * (label - self.mean);
        Ok(())
    }

    /// Adds the samples of another part of the split.
    pub fn merge(&mut self, other: &RegressionTally) {
        let count = self.count + other.count;
        if other.count == 0 {
            return;
        }
        let step = other.mean - self.mean;
        let share = other.count as f64 / count as f64;
        // Chan et al. 1979: the spreads of two parts and that between their means.
        self.spread += other.spread + step * step * self.count as f64 * share;
        self.mean += step * share;
        self.absolute += other.absolute;
        self.squared += other.squared;
        self.count = count;
    }

    /// Samples so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The metrics.
    pub fn metrics(&self) -> RegressionMetrics {
        let mean = |sum: f64| (self.count > 0).then(|| sum / self.count as f64);
        RegressionMetrics {
            rmse: mean(self.squared).map(f64::sqrt),
            mae: mean(self.absolute),
            r2: (self.spread > 0.0).then(|| 1.0 - self.squared / self.spread),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    fn of(pairs: &[(f64, f64)]) -> RegressionTally {
        let mut tally = RegressionTally::default();
        pairs.iter().for_each(|(p, y)| tally.add(*p, *y).unwrap());
        tally
    }

    #[test]
    fn by_hand() {
        let m = of(&[(1.0, 2.0), (4.0, 2.0), (5.0, 5.0)]).metrics();
        assert_relative_eq!(m.rmse.unwrap(), (5.0f64 / 3.0).sqrt());
        assert_relative_eq!(m.mae.unwrap(), 1.0);
        assert_relative_eq!(m.r2.unwrap(), 1.0 - 5.0 / 6.0);
    }

    #[test]
    fn edges() {
        assert_eq!(of(&[]).metrics(), RegressionMetrics { rmse: None, mae: None, r2: None });
        assert_eq!(of(&[(3.0, 3.0), (3.0, 3.0)]).metrics().r2, None);
        assert_eq!(
            of(&[(3.0, 3.0), (4.0, 3.0)]).metrics(),
            RegressionMetrics { rmse: Some(0.5f64.sqrt()), mae: Some(0.5), r2: None }
        );
        assert!(RegressionTally::default().add(f64::NAN, 0.0).is_err());
    }

    proptest! {
        #[test]
        fn parts_add_up(pairs in prop::collection::vec((-1e3f64..1e3, -1e3f64..1e3), 2..60), at in 0usize..60) {
            let (a, b) = pairs.split_at(at.min(pairs.len()));
            let mut sum = of(a);
            sum.merge(&of(b));
            let (got, want) = (sum.metrics(), of(&pairs).metrics());
            prop_assert_eq!(sum.count(), pairs.len() as u64);
            for (got, want) in [(got.rmse, want.rmse), (got.mae, want.mae), (got.r2, want.r2)] {
                let (Some(got), Some(want)) = (got, want) else {
                    prop_assert_eq!(got, want);
                    continue;
                };
                prop_assert!((got - want).abs() <= 1e-9 * want.abs().max(1.0), "{} {}", got, want);
            }
        }
    }
}
