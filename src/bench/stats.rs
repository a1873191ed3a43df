//! The statistics of repeated measurements.

use serde::{Deserialize, Serialize};

/// Repeated measurements of one quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The median absolute deviation from it: half of the measurements are nearer.
    pub mad: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
    /// How many there are.
    pub count: usize,
}

impl Spread {
    /// Of some measurements; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let median = quantile(values, 0.5)?;
        let deviations: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
        Some(Spread {
            median,
            mad: quantile(&deviations, 0.5)?,
            least: quantile(values, 0.0)?,
            most: quantile(values, 1.0)?,
            count: values.len(),
        })
    }
}

/// The quantile `q` in 0..=1, between neighbours as in proportion (R's type 7); `None` of no values.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

/// A line `y = a + x / b`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Where it begins, in the unit of y.
    pub a: f64,
    /// Units of x for one of y.
    pub b: f64,
    /// The largest relative deviation of a point from it.
    pub worst: f64,
}

/// The line through `(x, y)` points by least squares of the *relative* deviations: sizes span decades, and the largest alone
/// would decide otherwise. `None` with fewer than two different x, or where y does not grow with x.
pub fn fit(points: &[(f64, f64)]) -> Option<Line> {
    let weighted = |f: &dyn Fn(f64, f64) -> f64| points.iter().map(|&(x, y)| f(x, y) / (y * y)).sum::<f64>();
    if points.iter().any(|(_, y)| *y <= 0.0) {
        return None;
    }
    let (w, wx, wy) = (weighted(&|_, _| 1.0), weighted(&|x, _| x), weighted(&|_, y| y));
    let (wxx, wxy) = (weighted(&|x, _| x * x), weighted(&|x, y| x * y));
    let determinant = w * wxx - wx * wx;
    if determinant <= 1e-12 * w * wxx {
        return None;
    }
    let slope = (w * wxy - wx * wy) / determinant;
    let a = (wy - slope * wx) / w;
    if slope <= 0.0 {
        return None;
    }
    let worst = points.iter().map(|(x, y)| ((a + slope * x) / y - 1.0).abs()).fold(0.0, f64::max);
    Some(Line { a, b: 1.0 / slope, worst })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        let s = Spread::of(&[2.0, 1.0, 4.0, 100.0, 3.0]).unwrap();
        assert_eq!((s.median, s.mad, s.least, s.most, s.count), (3.0, 1.0, 1.0, 100.0, 5));
        let s = Spread::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((s.median, s.mad), (2.5, 1.0));
        assert_eq!(Spread::of(&[7.0]).map(|s| (s.median, s.mad, s.count)), Some((7.0, 0.0, 1)));
        assert_eq!(Spread::of(&[]), None);
        let values: Vec<f64> = (0..=20).map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|q| quantile(&values, q).unwrap()), [0.0, 10.0, 19.0, 20.0]);
    }

    #[test]
    fn the_line_is_found_again() {
        // 30 µs and 5 GB/s.
        let points: Vec<(f64, f64)> = (12..24).map(|e| 2f64.powi(e)).map(|v| (v, 30e-6 + v / 5e9)).collect();
        let line = fit(&points).unwrap();
        assert!((line.a / 30e-6 - 1.0).abs() < 1e-9 && (line.b / 5e9 - 1.0).abs() < 1e-9 && line.worst < 1e-9);
        // A disturbed largest point moves the intercept little, because deviations count relative to the value.
        let mut disturbed = points.clone();
        disturbed[11].1 *= 1.1;
        assert!((fit(&disturbed).unwrap().a / 30e-6 - 1.0).abs() < 0.05);
    }

    #[test]
    fn no_line_is_no_number() {
        assert_eq!(fit(&[(1.0, 1.0)]), None);
        assert_eq!(fit(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(fit(&[(1.0, 2.0), (2.0, 1.0)]), None);
        assert_eq!(fit(&[(1.0, 0.0), (2.0, 1.0)]), None);
    }

    proptest! {
        #[test]
        fn half_of_the_values_lie_within_the_mad(values in prop::collection::vec(-1e3..1e3f64, 1..40)) {
            let s = Spread::of(&values).unwrap();
            let near = values.iter().filter(|v| (*v - s.median).abs() <= s.mad + 1e-9).count();
            prop_assert!(2 * near >= values.len());
            prop_assert!(s.least <= s.median && s.median <= s.most);
        }
    }
}
