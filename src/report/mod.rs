//! Pictures and tables of a run.

pub mod ablation;
pub mod confusion;
pub mod curves;
mod picture;
mod style;
pub mod table;

pub use confusion::confusion_svg;
pub use curves::curves_svg;
pub use picture::{PictureOptions, prediction_png, prediction_png_with};

#[cfg(test)]
mod tests {
    use crate::experiment::Summary;
    use crate::metrics::{Confusion, TaskResult};
    use crate::train::StageResult;
    use std::collections::BTreeMap;

    /// Two tasks of ten classes, two seeds, all stages. Of each class's 100 images `right` are right.
    pub(super) fn summary() -> Summary {
        let confusion = |right: u64| {
            let cell = |i: usize| match ((i / 10), (i % 10)) {
                (r, c) if r == c => right,
                (r, c) if (r + 1) % 10 == c => (100 - right).div_ceil(2),
                (r, c) if (r + 5) % 10 == c => (100 - right) / 2,
                _ => 0,
            };
            Confusion::from_counts((0..100).map(cell).collect(), 10).unwrap()
        };
        let mut results = Vec::new();
        for seed in [0, 1] {
            let stages: [(&str, &[&str], u64); 6] = [
                ("teacher/first", &["first"], 97),
                ("teacher/second", &["second"], 95),
                ("single/first", &["first"], 92),
                ("single/second", &["second"], 90),
                ("joint", &["first", "second"], 88),
                ("distilled", &["first", "second"], 93),
            ];
            for (stage, tasks, right) in stages {
                let extra = if stage == "teacher/first" { seed } else { 0 };
                let of = |right| {
                    tasks
                        .iter()
                        .map(|t| (t.to_string(), TaskResult::of_classes(confusion(right), &[])))
                        .collect::<BTreeMap<_, _>>()
                };
                let (best, last) = (of(right + extra), of(right - 1));
                results.push(StageResult {
                    stage: stage.into(),
                    seed,
                    params: 77_432,
                    macs: 1_234_567,
                    seconds: 1.0,
                    beside: 0,
                    val: Some(0.9),
                    step_ms: 1.0,
                    agreement: Vec::new(),
                    best,
                    last,
                    ema: BTreeMap::new(),
                });
            }
        }
        Summary::from_results("demo", "a GPU", &[0, 1], results, 62.5).unwrap()
    }
}
