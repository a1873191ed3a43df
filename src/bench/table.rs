//! Results as a table for a terminal.

use std::fmt::Write as _;

use super::measure::LATE;
use super::schema::{Record, Report, Unit, Verdict};

/// The whole report.
pub fn text(report: &Report) -> String {
    let Report { program, adapter, settings, ceiling, records, notes, .. } = report;
    let mut out = format!("{} ({}, {}), {}\n", adapter.name, adapter.backend, adapter.driver, adapter.class);
    let shaders = match (settings.checked, settings.poison) {
        (false, false) => "",
        (true, false) => ", checked shaders",
        (false, true) => ", poisoned buffers",
        (true, true) => ", checked shaders, poisoned buffers",
    };
    let _ = writeln!(
        out,
        "limbeck {}, {} build, {} {}, {} threads{shaders}; {} run of {:.0} s",
        program.version,
        program.profile,
        program.os,
        program.arch,
        program.threads,
        if settings.quick { "quick" } else { "full" },
        settings.seconds,
    );
    let mut heads: Vec<&str> = Vec::new();
    for name in records.iter().map(|r| head(&r.name)) {
        if !heads.contains(&name) {
            heads.push(name);
        }
    }
    for name in heads {
        let rows = records.iter().filter(|r| head(&r.name) == name);
        let _ = writeln!(out, "\n{name}");
        let mut lines = vec![["", "result", "of ceiling", "time", "±", "n", ""].map(String::from).to_vec()];
        lines.extend(rows.map(|r| row(r, name)));
        // A limit of the machine is no share of itself.
        if lines.iter().skip(1).all(|line| line[2].is_empty()) {
            lines.iter_mut().for_each(|line| drop(line.remove(2)));
        }
        out += &columns(&lines);
    }
    let mut best = Vec::new();
    best.extend(ceiling.fma_f32.map(|v| format!("{} f32", quantity(v, Unit::Flops))));
    best.extend(ceiling.fma_f16.map(|v| format!("{} f16", quantity(v, Unit::Flops))));
    best.extend(ceiling.fma_matrix.map(|v| format!("{} matrices", quantity(v, Unit::Flops))));
    if let Some(v) = ceiling.memory.last().and_then(|p| p.best()) {
        best.push(format!("{} from memory", quantity(v, Unit::Bytes)));
    }
    if let Some(launch) = ceiling.launch.filter(|l| l.seconds > 0.0) {
        best.push(format!("{} a dispatch", quantity(launch.seconds, Unit::Seconds)));
    }
    if !best.is_empty() {
        let _ = writeln!(out, "\nceiling: {}", best.join(", "));
    }
    for note in notes {
        let _ = writeln!(out, "note: {note}");
    }
    for record in records {
        match &record.verdict {
            Verdict::Failed(why) => drop(writeln!(out, "FAILED {}: {why}", record.name)),
            Verdict::Skipped(why) if why != LATE => drop(writeln!(out, "skipped {}: {why}", record.name)),
            _ => {}
        }
    }
    let late = records.iter().filter(|r| r.verdict == Verdict::Skipped(LATE.into())).count();
    if late > 0 {
        let _ = writeln!(
            out,
            "{late} records were skipped: the time for a quick run was up (--only PATTERN measures some of them)"
        );
    }
    out
}

/// `ceiling/fma`, `kernel/conv2d`, `train`.
fn head(name: &str) -> &str {
    let depth = if name.starts_with("ceiling/") || name.starts_with("kernel/") { 1 } else { 0 };
    &name[..name.match_indices('/').nth(depth).map_or(name.len(), |(at, _)| at)]
}

fn row(record: &Record, head: &str) -> Vec<String> {
    let name = record.name.strip_prefix(head).map_or(record.name.as_str(), |n| n.trim_start_matches('/'));
    let (time, mad, count) = match &record.seconds {
        Some(s) => {
            (quantity(s.median, Unit::Seconds), format!("{:.1} %", 100.0 * s.mad / s.median), s.count.to_string())
        }
        None => ("".into(), "".into(), "".into()),
    };
    let bound = record.bound.map_or("", |b| if b == super::schema::Bound::Memory { " mem" } else { " fma" });
    let percent = record.percent.map_or(String::new(), |p| format!("{p:.1} %{bound}"));
    vec![name.to_string(), value(record), percent, time, mad, count, remarks(record)]
}

/// The score, or why there is none.
pub(super) fn value(record: &Record) -> String {
    match (&record.verdict, record.value) {
        (Verdict::Failed(_), _) => "FAILED".into(),
        (Verdict::Skipped(_), _) => "skipped".into(),
        (Verdict::Passed(_), Some(v)) => quantity(v, record.unit),
        (Verdict::Passed(_), None) => "–".into(),
    }
}

/// Variant, clock and further figures.
fn remarks(record: &Record) -> String {
    let mut parts: Vec<String> = record.variant.iter().cloned().collect();
    if record.clock.as_deref() == Some("wall") && record.unit != Unit::Images {
        parts.push("wall clock".into());
    }
    parts.extend(record.more.iter().map(|(name, value)| match name.strip_suffix(" s") {
        Some(name) => format!("{name} {}", quantity(*value, Unit::Seconds)),
        None if name == "peak bytes" => format!("peak {:.0} MiB", value / f64::from(1 << 20)),
        None if name.ends_with(" B/s") => {
            format!("{} {}", name.trim_end_matches(" B/s"), quantity(*value, Unit::Bytes))
        }
        None => format!("{name} {:.1} %", 100.0 * value),
    }));
    parts.join(", ")
}

/// Three digits and a unit.
pub fn quantity(value: f64, unit: Unit) -> String {
    let (scaled, suffix) = match unit {
        Unit::Seconds => match value {
            v if v < 1e-3 => (v * 1e6, "µs"),
            v if v < 1.0 => (v * 1e3, "ms"),
            v => (v, "s"),
        },
        Unit::Images => (value, "images/s"),
        Unit::Bytes => (value / 1e9, "GB/s"),
        Unit::Flops if value >= 1e12 => (value / 1e12, "TFLOP/s"),
        Unit::Flops => (value / 1e9, "GFLOP/s"),
    };
    let digits = match scaled.abs() {
        s if s >= 100.0 => 0,
        s if s >= 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$} {suffix}")
}

/// Rows under each other: the first column to the left, the others to the right, but a last one without a heading.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let remarks = rows.first().and_then(|r| r.last()).is_some_and(String::is_empty);
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(c, (cell, w))| {
            if c == 0 || c + 1 == count && remarks { format!("{cell:<w$}") } else { format!("{cell:>w$}") }
        });
        let _ = writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_three_digits() {
        let all = [
            (1.5e-6, Unit::Seconds, "1.50 µs"),
            (0.0123, Unit::Seconds, "12.3 ms"),
            (2.0, Unit::Seconds, "2.00 s"),
            (30.04e9, Unit::Flops, "30.0 GFLOP/s"),
            (1.5e12, Unit::Flops, "1.50 TFLOP/s"),
            (4.04e9, Unit::Bytes, "4.04 GB/s"),
            (123.4, Unit::Images, "123 images/s"),
        ];
        for (value, unit, want) in all {
            assert_eq!(quantity(value, unit), want);
        }
    }

    #[test]
    fn the_table_says_what_failed() {
        let text = text(&crate::bench::compare::tests::report(1.0));
        println!("{text}");
        for word in
            ["a <GPU> (vulkan, 1.0)", "kernel/conv2d\n", "FAILED kernel/conv2d/b/forward: wrong", "70.0 images/s"]
        {
            assert!(text.contains(word), "{word}");
        }
        assert!(text.contains("12.5 %") && text.contains("note: a note") && text.contains("4.00 GB/s from memory"));
    }
}
