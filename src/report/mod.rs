//! Pictures and tables of a run, and of a machine.

pub mod ablation;
mod axis;
pub mod confusion;
pub mod curves;
mod draw;
mod picture;
pub mod roofline;
pub mod table;

pub use confusion::confusion_svg;
pub use curves::curves_svg;
pub use picture::prediction_png;

#[cfg(test)]
mod tests {
    use crate::metrics::{Confusion, TaskResult};
    use crate::train::{StageResult, Summary};
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
                });
            }
        }
        Summary::from_results("demo", "a GPU", &[0, 1], results, 62.5).unwrap()
    }

    /// Well-formed as XML: tags close in order, attributes are quoted, no bare `<` or `&`, every number is a number.
    pub(super) fn check_svg(text: &str) {
        assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"));
        assert!(!text.contains("NaN") && !text.contains("inf\""));
        let mut open: Vec<&str> = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('<') {
            let between = &rest[..start];
            assert!(!between.contains('>'), "{between}");
            for (i, _) in between.match_indices('&') {
                assert!(
                    ["&lt;", "&gt;", "&amp;", "&quot;", "&apos;"].iter().any(|e| between[i..].starts_with(e)),
                    "{between}"
                );
            }
            rest = &rest[start + 1..];
            let end = rest.find('>').expect("a tag ends");
            let tag = &rest[..end];
            rest = &rest[end + 1..];
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
                open.push(tag.split_whitespace().next().expect("a tag has a name"));
            }
        }
        assert!(open.is_empty(), "{open:?} stay open");
    }
}
