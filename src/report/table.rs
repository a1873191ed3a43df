//! The run's outcome as a table, for the terminal and for a page.

use std::collections::BTreeMap;

use crate::config::EvaluateOn;
use crate::experiment::Summary;
use crate::experiment::summary::Model;
use crate::metrics::{MeanStd, Metric, Scores};

/// Said wherever boxes and masks are not measured as other tools do.
pub(super) const ON_CANVAS: &str =
    "Boxes and masks are measured in pixels of the canvas (data.evaluate_on), not of the images.";

/// The table as plain text, columns aligned, with what its numbers are below.
pub fn text(summary: &Summary) -> String {
    plain_rows(&rows(summary), &notes(summary))
}

/// Rows as plain text, the first one as their head, with notes below.
pub(super) fn plain_rows(rows: &[Vec<String>], notes: &[String]) -> String {
    let widths = widths(rows);
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        out += aligned(row, &widths).join("   ").trim_end();
        out.push('\n');
        if i == 0 {
            out += &"─".repeat(widths.iter().sum::<usize>() + 3 * (widths.len() - 1));
            out.push('\n');
        }
    }
    for note in notes {
        out += &wrap(note, 110);
        out.push('\n');
    }
    out
}

/// The table in Markdown.
pub fn markdown(summary: &Summary) -> String {
    markdown_rows(&rows(summary), &notes(summary))
}

/// [`plain_rows`] in Markdown.
pub(super) fn markdown_rows(rows: &[Vec<String>], notes: &[String]) -> String {
    let widths = widths(rows);
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        out += &format!("| {} |\n", aligned(row, &widths).join(" | "));
        if i == 0 {
            let rule = |(c, w): (usize, &usize)| if c == 0 { "-".repeat(*w) } else { "-".repeat(w - 1) + ":" };
            out += &format!("| {} |\n", widths.iter().enumerate().map(rule).collect::<Vec<_>>().join(" | "));
        }
    }
    for note in notes {
        out += &format!("\n{note}\n");
    }
    out
}

/// A count with three digits and its unit: `77.4 k`, `1.23 M`.
pub fn count(n: u64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let n = n as f64;
    // A unit begins where rounding to three digits would reach it, so that there is no `1000 k`.
    match units.iter().find(|(unit, _)| n >= unit * 0.9995) {
        None => format!("{n}"),
        Some((unit, name)) => {
            let scaled = n / unit;
            let digits = if scaled < 9.995 {
                2
            } else if scaled < 99.95 {
                1
            } else {
                0
            };
            format!("{scaled:.digits$} {name}")
        }
    }
}

fn rows(summary: &Summary) -> Vec<Vec<String>> {
    let tasks = summary.tasks();
    let several = summary.seeds.len() > 1;
    let mut head: Vec<String> = ["model", "params", "MACs"].map(String::from).to_vec();
    let columns = columns(&tasks, summary.models.values().map(|m| &m.metrics));
    head.extend(columns.iter().map(|(task, m)| format!("{task} {}{}", m.label, m.unit())));
    let deltas = summary.delta_m.as_ref();
    head.extend(deltas.map(|_| "Δm %".to_string()));
    let mut rows = vec![head];
    // With one task the joint student is the single-task network: one row for both.
    let joint = summary.models.get("joint");
    let same = |name: &str, model: &Model| name.starts_with("single/") && joint == Some(model);
    let both = summary.models.iter().any(|(name, model)| same(name, model));
    for (name, model) in summary.in_order().into_iter().filter(|(name, _)| !both || *name != "joint") {
        let shown = if same(name, model) { format!("{name} (= joint)") } else { name.to_string() };
        let name = if same(name, model) { "joint" } else { name };
        let mut row = vec![shown, count(model.params as u64), count(model.macs)];
        row.extend(columns.iter().map(|(task, m)| cell(m, model.metrics.get(*task), several)));
        row.extend(deltas.map(|d| d.get(name).map_or("–".into(), |delta| spread(*delta, several, true))));
        rows.push(row);
    }
    rows
}

/// Each task's first two metrics.
fn columns<'a>(
    tasks: &[&'a str],
    models: impl Iterator<Item = &'a BTreeMap<String, Scores<MeanStd>>> + Clone,
) -> Vec<(&'a str, &'static Metric)> {
    let of = |task: &&'a str| {
        let scores = models.clone().find_map(|m| m.get(*task));
        let task = *task;
        scores.into_iter().flat_map(|s| s.iter().take(2)).map(move |(metric, _)| (task, metric))
    };
    tasks.iter().flat_map(of).collect()
}

/// A metric's value, or a dash.
pub(super) fn cell(metric: &Metric, scores: Option<&Scores<MeanStd>>, several: bool) -> String {
    let Some(value) = scores.and_then(|s| s.get(metric.name)) else { return "–".into() };
    let (mean, std, decimals) = (metric.shown(value.mean), metric.shown(value.std), metric.decimals());
    if several { format!("{mean:.decimals$} ± {std:.decimals$}") } else { format!("{mean:.decimals$}") }
}

pub(super) fn spread(value: MeanStd, several: bool, signed: bool) -> String {
    let mean = if signed { format!("{:+.2}", value.mean) } else { format!("{:.2}", value.mean) };
    if several { format!("{mean} ± {:.2}", value.std) } else { mean }
}

fn notes(summary: &Summary) -> Vec<String> {
    let seeds: Vec<String> = summary.seeds.iter().map(u64::to_string).collect();
    let mut notes = vec![match summary.seeds.len() {
        1 => format!("Test split, weights that were best on validation; seed {}.", seeds.join(", ")),
        n => format!(
            "Test split, weights that were best on validation; mean ± standard deviation over {n} seeds ({}).",
            seeds.join(", ")
        ),
    }];
    notes.extend((summary.evaluate_on == EvaluateOn::Canvas).then(|| ON_CANVAS.to_string()));
    notes.extend(summary.delta_m.as_ref().map(|_| format!("Δm: {}.", summary.delta_m_definition)));
    if summary.delta_m.is_none() && summary.without_delta_m.is_empty() {
        notes.push(
            "Δm is not given: there is no joint or distilled student to compare with single-task networks.".into(),
        );
    }
    notes.extend(summary.without_delta_m.iter().map(|(stage, why)| format!("Δm of {stage} is not given: {why}.")));
    notes
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    (0..columns)
        .map(|c| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect()
}

/// Names to the left, numbers to the right.
fn aligned(row: &[String], widths: &[usize]) -> Vec<String> {
    let cell =
        |(c, (text, w)): (usize, (&String, &usize))| if c == 0 { format!("{text:<w$}") } else { format!("{text:>w$}") };
    row.iter().zip(widths).enumerate().map(cell).collect()
}

/// Breaks a text between words so that no line is longer than `width`, unless a word is.
fn wrap(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let room = lines.last().map_or(0, |l| width.saturating_sub(l.chars().count() + 1));
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if word.chars().count() <= room => *line += &format!(" {word}"),
            _ => lines.push(word.to_string()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::summary;

    #[test]
    fn counts_have_three_digits() {
        let all =
            [0, 7, 999, 1000, 1234, 9_994, 9_996, 77_432, 999_499, 999_700, 1_234_567, 11_170_000, 37_220_000_000];
        let text: Vec<String> = all.into_iter().map(count).collect();
        assert_eq!(
            text,
            [
                "0", "7", "999", "1.00 k", "1.23 k", "9.99 k", "10.0 k", "77.4 k", "999 k", "1.00 M", "1.23 M",
                "11.2 M", "37.2 G"
            ]
        );
    }

    #[test]
    fn the_plain_table() {
        let text = text(&summary());
        println!("{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "model            params     MACs    first acc %     first F1 %   second acc %    second F1 %           Δm %"
        );
        assert_eq!(
            lines[2],
            "teacher/first    77.4 k   1.23 M   97.50 ± 0.71   97.50 ± 0.71              –              –              –"
        );
        assert_eq!(lines[1].chars().count(), lines[0].chars().count());
        let names: Vec<&str> = lines[2..8].iter().filter_map(|l| l.split(' ').next()).collect();
        assert_eq!(names, ["teacher/first", "teacher/second", "single/first", "single/second", "joint", "distilled"]);
        assert!(lines[7].ends_with(" ± 0.00") && lines[7].contains('+'), "{}", lines[7]);
        assert!(text.contains("over 2 seeds (0, 1)") && text.contains("\nΔm: "));
        assert!(lines.iter().skip(8).all(|l| l.chars().count() <= 110));
    }

    #[test]
    fn the_markdown_table() {
        let text = markdown(&summary());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("| model          | params |"));
        assert!(lines[1].starts_with("| -------------- | -----: |"));
        assert!(lines[..8].iter().all(|l| l.chars().count() == lines[0].chars().count()));
    }

    #[test]
    fn without_baselines_there_is_no_delta() {
        let mut summary = summary();
        summary.delta_m = None;
        summary.seeds = vec![4];
        let text = text(&summary);
        assert!(!text.lines().next().unwrap().contains("Δm") && !text.contains('±'), "{text}");
        assert!(text.contains("seed 4.") && text.contains("Δm is not given"));
    }
}
