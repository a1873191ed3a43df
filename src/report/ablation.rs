//! A comparison as a table and as a picture.

use super::style::plain_ticks;
use super::table::{cell, count, markdown_rows, plain_rows, spread};
use crate::experiment::ablation::{Outcome, Row};
use crate::metrics::{MeanStd, Metric};
use crate::plot::axis::Axis;
use crate::plot::draw::{self, Area, GRID, INK, failed, letters, width_of};
use crate::{Error, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::path::Path;

fn all(outcome: &Outcome) -> impl Iterator<Item = &Row> {
    outcome.references.iter().chain(&outcome.rows)
}

/// What a step of the first row costs: the others are told in it.
fn unit(outcome: &Outcome) -> Option<f64> {
    outcome.rows.first().map(|r| r.step_ms.mean).filter(|ms| *ms > 0.0)
}

/// The metrics of a task, as the first row that has it lists them.
fn metrics_of(outcome: &Outcome, task: &str) -> Vec<&'static Metric> {
    let scores = all(outcome).find_map(|r| r.metrics.get(task));
    scores.map_or(Vec::new(), |s| s.iter().map(|(metric, _)| metric).collect())
}

fn main_metric(outcome: &Outcome, task: &str) -> Option<&'static Metric> {
    metrics_of(outcome, task).first().copied()
}

fn rows(outcome: &Outcome) -> Vec<Vec<String>> {
    let (tasks, several, unit) = (outcome.tasks(), outcome.seeds.len() > 1, unit(outcome));
    let mut head = vec!["row".to_string()];
    let mains: Vec<(&str, &Metric)> = tasks.iter().filter_map(|t| Some((*t, main_metric(outcome, t)?))).collect();
    head.extend(mains.iter().map(|(task, m)| format!("{task} {}{}", m.label, m.unit())));
    head.extend(["Δm %", "params", "beside", "MACs", "step ms", "step cost"].map(String::from));
    let mut out = vec![head];
    for row in all(outcome) {
        let mut cells = vec![row.name.clone()];
        cells.extend(mains.iter().map(|(task, m)| cell(m, row.metrics.get(*task), several)));
        cells.push(row.delta_m.map_or("–".into(), |d| spread(d, several, true)));
        cells.push(count(row.params as u64));
        cells.push(if row.beside == 0 { "–".into() } else { count(row.beside as u64) });
        cells.push(count(row.macs));
        cells.push(format!("{:.1}", row.step_ms.mean));
        cells.push(unit.map_or("–".into(), |u| format!("{:.2}", row.step_ms.mean / u)));
        out.push(cells);
    }
    out
}

fn notes(outcome: &Outcome) -> Vec<String> {
    let seeds: Vec<String> = outcome.seeds.iter().map(u64::to_string).collect();
    let several = outcome.seeds.len() > 1;
    let first = outcome.rows.first().map_or("", |r| r.name.as_str());
    let mut notes = vec![
        format!(
            "Test split, weights that were best on validation; mean ± standard deviation over the seeds {}. On {}.",
            seeds.join(", "),
            outcome.adapter
        ),
        format!("Δm: {}.", outcome.delta_m_definition),
        format!(
            "beside: parameters trained beside the network, which are no part of it. step cost: a training step, in that of {first:?}. \
             Teachers and single-task networks: the sum over the tasks' networks."
        ),
    ];
    let without = outcome.rows.iter().filter_map(|r| Some((&r.name, r.without_delta_m.as_ref()?)));
    notes.extend(without.map(|(name, why)| format!("Δm of {name:?} is not given: {why}.")));
    for row in outcome.rows.iter().filter(|r| r.agreement.len() > 1).take(1) {
        let cosines: Vec<String> = row
            .agreement
            .iter()
            .map(|line| line.iter().map(|v| format!("{v:+.2}")).collect::<Vec<_>>().join(" "))
            .collect();
        notes.push(format!(
            "Agreement of the tasks in {:?} (cosine of their gradients at the trunk's output, mean over the training): {}.",
            row.name,
            cosines.join("; ")
        ));
    }
    for t in &outcome.transfer {
        let cosine = t.agreement.map_or(String::new(), |a| format!(", agreement {}", spread(a, several, true)));
        notes.push(match t.gain {
            Some(gain) => {
                format!("{} gains {} % by learning with {}{cosine}.", t.task, spread(gain, several, true), t.with)
            }
            None => format!(
                "{} with {}: alone it is near zero or undefined, so a gain cannot be told{cosine}.",
                t.task, t.with
            ),
        });
    }
    notes
}

/// The table as plain text.
pub fn text(outcome: &Outcome) -> String {
    plain_rows(&rows(outcome), &notes(outcome))
}

/// The table in Markdown.
pub fn markdown(outcome: &Outcome) -> String {
    markdown_rows(&rows(outcome), &notes(outcome))
}

/// The table as CSV, with every number in full.
pub fn csv(outcome: &Outcome) -> String {
    let tasks = outcome.tasks();
    let quoted = |text: &str| match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    };
    let mut head = vec!["row".to_string()];
    let columns: Vec<(&str, &Metric)> =
        tasks.iter().flat_map(|t| metrics_of(outcome, t).into_iter().map(|m| (*t, m))).collect();
    for (task, metric) in &columns {
        head.extend(["mean", "std"].map(|p| format!("{task} {} {p}", metric.name)));
    }
    let numbers = ["delta_m mean", "delta_m std", "params", "beside", "macs", "step_ms mean", "step_ms std"];
    head.extend(numbers.map(String::from));
    head.extend(["seconds mean", "val mean", "val std", "sets"].map(String::from));
    let mut lines = vec![head.iter().map(|h| quoted(h)).collect::<Vec<_>>().join(",")];
    let pair = |value: Option<MeanStd>| match value {
        Some(v) => [v.mean.to_string(), v.std.to_string()],
        None => [String::new(), String::new()],
    };
    for row in all(outcome) {
        let mut cells = vec![quoted(&row.name)];
        for (task, metric) in &columns {
            cells.extend(pair(row.metrics.get(*task).and_then(|s| s.get(metric.name)).copied()));
        }
        cells.extend(pair(row.delta_m));
        cells.extend([row.params.to_string(), row.beside.to_string(), row.macs.to_string()]);
        cells.extend(pair(Some(row.step_ms)));
        cells.push(row.seconds.mean.to_string());
        cells.extend(pair(row.val));
        cells.push(quoted(&row.sets.join("; ")));
        lines.push(cells.join(","));
    }
    lines.join("\n") + "\n"
}

const MARGIN: i32 = 12;
const ROW: i32 = 22;
const PLOT: i32 = 520;
const TEXT: f64 = 12.0;

/// Every row's Δm with its standard deviation, beside the single-task networks at 0.
///
/// # Errors
/// [`Error::Invalid`] where no row has a Δm; [`Error::Io`] where the picture cannot be written.
pub fn ablation_svg(outcome: &Outcome, path: impl AsRef<Path>) -> Result<()> {
    let points: Vec<(&str, MeanStd)> =
        outcome.rows.iter().filter_map(|r| Some((r.name.as_str(), r.delta_m?))).collect();
    if points.is_empty() {
        return Err(Error::Invalid("no row has a Δm, so there is nothing to draw".into()));
    }
    let names = points.iter().map(|(name, _)| width_of(name, TEXT)).max().unwrap_or(0);
    let height = MARGIN * 2 + ROW * (points.len() as i32 + 1) + 66;
    let width = MARGIN * 2 + names + PLOT;
    draw::svg(path.as_ref(), (width as u32, height as u32), |area| picture(area, outcome, &points, names))
}

fn picture(area: &Area, outcome: &Outcome, points: &[(&str, MeanStd)], names: i32) -> Result<()> {
    let reach = |sign: f64| points.iter().map(move |(_, d)| d.mean + sign * d.std);
    let low = reach(-1.0).fold(0.0, f64::min);
    let high = reach(1.0).fold(0.0, f64::max);
    let pad = 0.06 * (high - low).max(0.1);
    let x = low - pad..high + pad;
    let rows = points.len() as f64;
    let style = letters(TEXT, &INK, HPos::Center, VPos::Center);
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .caption(
            format!("{}: Δm against single-task networks, {} seeds", outcome.name, outcome.seeds.len()),
            letters(15.0, &INK, HPos::Center, VPos::Center),
        )
        .x_label_area_size(40)
        .y_label_area_size(names + 8)
        .build_cartesian_2d(
            Axis { ticks: fine_ticks(&x), range: x.clone(), log: false },
            Axis { ticks: Vec::new(), range: 0.0..rows, log: false },
        )
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("Δm, %")
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(style.clone())
        .axis_desc_style(style)
        .draw()
        .map_err(failed)?;
    let zero = LineSeries::new([(0.0, 0.0), (0.0, rows)], INK.stroke_width(1));
    chart.draw_series(zero).map_err(failed)?;
    for (i, (name, delta)) in points.iter().enumerate() {
        let y = rows - i as f64 - 0.5;
        let colour = if delta.mean >= 0.0 { RGBColor(0, 120, 88) } else { RGBColor(213, 94, 0) };
        let bar = [(delta.mean - delta.std, y), (delta.mean + delta.std, y)];
        chart.draw_series(LineSeries::new(bar, colour.stroke_width(2))).map_err(failed)?;
        chart.draw_series([Circle::new((delta.mean, y), 4, colour.filled())]).map_err(failed)?;
        let label = Text::new(name.to_string(), (-8, 0), letters(TEXT, &INK, HPos::Right, VPos::Center));
        chart.draw_series([EmptyElement::at((x.start, y)) + label]).map_err(failed)?;
    }
    Ok(())
}

/// Ticks of a short range too: of a tenth or a hundredth where it is small.
fn fine_ticks(range: &std::ops::Range<f64>) -> Vec<f64> {
    let length = range.end - range.start;
    let scale = if length >= 4.0 { 1.0 } else { 10f64.powf((4.0 / length).log10().ceil()) };
    plain_ticks(&(range.start * scale..range.end * scale)).into_iter().map(|t| t / scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::ablation::Transfer;
    use crate::metrics::Scores;
    use crate::plot::tests::check_svg;
    use std::collections::BTreeMap;

    fn outcome() -> Outcome {
        let m = |mean| MeanStd { mean, std: 0.01 };
        let scores = |v| Scores::new([("accuracy", m(v)), ("f1", m(v))]);
        let row = |name: &str, v: f64, delta: Option<f64>| Row {
            name: name.into(),
            sets: vec!["balance.method=\"dwa\"".into()],
            metrics: BTreeMap::from([("a".into(), scores(v)), ("b".into(), scores(v))]),
            delta_m: delta.map(m),
            without_delta_m: None,
            params: 20_000,
            beside: 0,
            macs: 1_000_000,
            step_ms: MeanStd { mean: 100.0 * v, std: 1.0 },
            seconds: m(3.0),
            val: Some(m(v)),
            agreement: vec![vec![1.0, -0.25], vec![-0.25, 1.0]],
        };
        Outcome {
            schema: 1,
            name: "test".into(),
            adapter: "a GPU".into(),
            seeds: vec![0, 1, 2],
            delta_m_definition: "…".into(),
            references: vec![row("single-task networks", 0.9, None)],
            transfer: vec![Transfer {
                task: "a".into(),
                with: "b".into(),
                gain: Some(m(-1.5)),
                agreement: Some(m(0.125)),
            }],
            rows: vec![row("joint", 0.8, Some(-5.0)), row("distilled, <best>", 0.95, Some(1.25))],
            searches: BTreeMap::new(),
        }
    }

    #[test]
    fn the_tables() {
        let outcome = outcome();
        let text = text(&outcome);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("row ") && lines[0].ends_with("step cost"), "{text}");
        assert!(
            lines[3].contains("joint") && lines[3].contains("-5.00 ± 0.01") && lines[3].ends_with("1.00"),
            "{text}"
        );
        assert!(lines[4].contains("+1.25 ± 0.01") && lines[4].ends_with("1.19"), "{text}");
        assert!(text.contains("a gains -1.50 ± 0.01 % by learning with b, agreement +0.12 ± 0.01."), "{text}");
        assert!(text.contains("+1.00 -0.25; -0.25 +1.00"), "{text}");
        let mut nothing = outcome.clone();
        nothing.transfer[0].gain = None;
        assert!(super::text(&nothing).contains("a with b: alone it is near zero"));
        assert_eq!(Outcome::load(&written(&nothing).1).unwrap(), nothing);
        assert!(markdown(&outcome).starts_with("| row "));
        let csv = csv(&outcome);
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[3].starts_with("\"distilled, <best>\",0.95,0.01,") && lines[1].contains(",,,20000,0,1000000,"),
            "{csv}"
        );
        assert_eq!(Outcome::load(&written(&outcome).1).unwrap(), outcome);
    }

    fn written(outcome: &Outcome) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ablation.json");
        std::fs::write(&path, outcome.to_json().unwrap()).unwrap();
        (folder, path)
    }

    #[test]
    fn the_picture() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ablation.svg");
        ablation_svg(&outcome(), &path).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        check_svg(&svg);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("joint") && svg.contains("Δm, %"));
        assert_eq!(fine_ticks(&(-0.25..0.15)).len(), 4);
        let mut empty = outcome();
        empty.rows.clear();
        assert!(ablation_svg(&empty, &path).is_err());
    }
}
