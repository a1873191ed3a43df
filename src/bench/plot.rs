//! The roofline as a picture.

use std::path::Path;

use super::schema::{Record, Report};
use crate::plot::roofline::{Ceilings, Mark, roofline_svg};
use crate::{Error, Result};

/// Draws the kernels of a report under the machine's own roof (Williams, Waterman & Patterson 2009): operations a second over
/// operations a byte. SVG.
///
/// # Errors
/// [`Error::Invalid`] where the report has no ceilings or no kernels, [`Error::Io`].
pub fn plot(report: &Report, path: impl AsRef<Path>) -> Result<()> {
    let missing = |what: &str| {
        Error::Invalid(format!(
            "the results have no {what}; a roofline needs ceilings and kernels: run `limbeck bench --json FILE`"
        ))
    };
    let peak = report.ceiling.fma_f32.ok_or_else(|| missing("peak of fused multiply-adds"))?;
    let mut curve = report.ceiling.memory.iter().filter_map(|p| p.best());
    let fastest = curve.clone().max_by(f64::total_cmp).ok_or_else(|| missing("memory bandwidth"))?;
    let memory = curve.next_back().unwrap_or(fastest);
    let marks: Vec<Mark> = report.records.iter().filter_map(mark).collect();
    if marks.is_empty() {
        return Err(missing("kernels"));
    }
    let adapter = &report.adapter;
    let title = format!("{} ({}, {})", adapter.name, adapter.backend, adapter.driver);
    roofline_svg(&title, &Ceilings { peak, fastest, memory }, &marks, path)
}

/// A kernel's place: what it is, operations a byte, operations a second.
fn mark(record: &Record) -> Option<Mark> {
    let kernel = record.name.strip_prefix("kernel/")?;
    let seconds = record.seconds?.median;
    if record.value.is_none() || record.bytes == 0 || record.flops == 0 {
        return None;
    }
    let series = match kernel.rsplit_once('/') {
        Some((start, pass)) if start.starts_with("conv2d/") => format!("conv2d {pass}"),
        _ => kernel.split('/').next().unwrap_or(kernel).to_string(),
    };
    let (flops, bytes) = (record.flops as f64, record.bytes as f64);
    Some(Mark { series, intensity: flops / bytes, rate: flops / seconds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::compare::tests::report;

    #[test]
    fn kernels_become_marks_and_failures_do_not() {
        let marks: Vec<Mark> = report(1.0).records.iter().filter_map(mark).collect();
        let series: Vec<&str> = marks.iter().map(|m| m.series.as_str()).collect();
        assert_eq!(series, ["linear", "conv2d forward"]);
        assert_eq!(marks[0].intensity, 64.0);
    }

    #[test]
    fn without_ceilings_there_is_no_roof() {
        let folder = tempfile::tempdir().unwrap();
        let mut bare = report(1.0);
        bare.ceiling = Default::default();
        assert!(plot(&bare, folder.path().join("x.svg")).unwrap_err().to_string().contains("bench --json"));
        let mut empty = report(1.0);
        empty.records.clear();
        assert!(plot(&empty, folder.path().join("x.svg")).is_err());
        assert!(!folder.path().join("x.svg").exists());
    }
}
