//! An axis with ticks where a reader expects them.

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// From one value to another, linear or logarithmic, with given ticks.
pub(crate) struct Axis {
    pub range: Range<f64>,
    pub ticks: Vec<f64>,
    pub log: bool,
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let scale = |v: f64| if self.log { v.log10() } else { v };
        let (low, high) = (scale(self.range.start), scale(self.range.end));
        let part = (scale(*value) - low) / (high - low);
        from + (part * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        label(value)
    }
}

/// The ticks of a logarithmic axis: of the coarse and fine divisions of a decade the coarsest that gives three.
pub(crate) fn log_ticks(range: &Range<f64>) -> Vec<f64> {
    const DIVISIONS: [&[f64]; 4] = [
        &[1.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        &[1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.2, 2.5, 2.8, 3.2, 3.6, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0],
    ];
    // What single precision has; of a range that begins at 0 the decades would have no end.
    let decade = |x: f64| x.log10().clamp(-45.0, 39.0);
    let decades = decade(range.start).floor() as i32..=decade(range.end).ceil() as i32;
    let ticks = |division: &&[f64]| -> Vec<f64> {
        let all = decades.clone().flat_map(|d| division.iter().map(move |m| m * 10f64.powi(d)));
        all.filter(|t| range.contains(t)).collect()
    };
    let all: Vec<Vec<f64>> = DIVISIONS.iter().map(ticks).collect();
    all.iter().find(|t| t.len() >= 3).or(all.last()).cloned().unwrap_or_default()
}

/// Short, and without a tail of zeros.
fn label(value: &f64) -> String {
    let text = if *value != 0.0 && value.abs() < 0.001 { format!("{value:.0e}") } else { format!("{value:.3}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short() {
        let labels: Vec<String> = [0.0, 0.00002, 0.01, 0.5, 1.0, 20.0, 95.0].iter().map(label).collect();
        assert_eq!(labels, ["0", "2e-5", "0.01", "0.5", "1", "20", "95"]);
    }

    #[test]
    fn ticks_are_few_but_enough() {
        assert_eq!(log_ticks(&(0.0009..3.0)), [0.001, 0.01, 0.1, 1.0]);
        assert_eq!(log_ticks(&(0.04..2.6)).len(), 6);
        assert!(log_ticks(&(0.0..1.0)).len() < 60 && log_ticks(&(f64::NAN..f64::INFINITY)).len() < 60);
        assert!(log_ticks(&(0.4..0.6)).len() >= 3 && log_ticks(&(1e-6..1e6)).len() <= 13);
    }

    #[test]
    fn values_fall_in_their_place() {
        let linear = Axis { range: 0.0..10.0, ticks: Vec::new(), log: false };
        assert_eq!([0.0, 5.0, 10.0].map(|v| linear.map(&v, (200, 100))), [200, 150, 100]);
        let log = Axis { range: 0.01..1.0, ticks: Vec::new(), log: true };
        assert_eq!([0.01, 0.1, 1.0].map(|v| log.map(&v, (200, 100))), [200, 150, 100]);
    }
}
