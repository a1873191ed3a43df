//! Training loss and each task's main validation metric against the epoch, all stages and seeds in one picture.

use super::style::{plain_ticks, stage_colour};
use crate::experiment::summary::stage_rank;
use crate::plot::axis::{Axis, log_ticks};
use crate::plot::draw::{self, Area, GRID, INK, failed, letters, width_of};
use crate::train::EpochRecord;
use crate::{Error, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

const PANEL: (u32, u32) = (460, 340);
const LEGEND_ROW: i32 = 26;
const LEGEND_TEXT: f64 = 14.0;
const MARGIN: i32 = 16;
/// Below this a loss is as good as zero, and the logarithm must end somewhere.
const SMALLEST_LOSS: f64 = 1e-6;

/// One stage's values by seed and epoch (from 1).
type Lines = BTreeMap<u64, BTreeMap<usize, f64>>;

/// Draws the curves of `metrics.jsonl` ([`crate::train::event::read_records`]): a panel for the training loss, one for each
/// task's main validation metric; a colour for each stage, thin lines for the seeds, a bold one for their mean.
///
/// # Errors
/// [`Error::Invalid`] without records, [`Error::Io`] where the file cannot be written (an old one is then left as it was).
pub fn curves_svg(records: &[EpochRecord], path: impl AsRef<Path>) -> Result<()> {
    if records.is_empty() {
        return Err(Error::Invalid("there are no epochs to draw curves of; train for at least one".into()));
    }
    let mut stages: Vec<&str> = records.iter().map(|r| r.stage.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    stages.sort_by_key(|s| stage_rank(s));
    let tasks: Vec<&str> =
        records.iter().flat_map(|r| r.val.keys().map(String::as_str)).collect::<BTreeSet<_>>().into_iter().collect();

    let columns = (tasks.len() + 1).min(3) as u32;
    let rows = (tasks.len() as u32 + 1).div_ceil(columns);
    let width = columns * PANEL.0;
    let legend = legend_places(&stages, width as i32);
    let legend_height = legend.last().map_or(0, |p| p.1) + LEGEND_ROW + MARGIN / 2;
    draw::svg(path.as_ref(), (width, rows * PANEL.1 + legend_height as u32), |area| {
        let (top, panels) = area.split_vertically(legend_height);
        draw_legend(&top, &stages, &tasks, &legend)?;
        let panels = panels.split_evenly((rows as usize, columns as usize));
        let last_epoch = records.iter().map(|r| r.epoch + 1).max().unwrap_or(1);

        let loss = by_stage(records, &stages, |r| r.train_loss.is_finite().then_some(r.train_loss.max(SMALLEST_LOSS)));
        let range = loss_range(&loss);
        let axis = Axis { ticks: log_ticks(&range), range, log: true };
        panel(&panels[0], "training loss", &loss, last_epoch, axis, &tasks)?;
        for (task, area) in tasks.iter().zip(&panels[1..]) {
            let Some((metric, _)) = records.iter().find_map(|r| r.val.get(*task)?.main()) else { continue };
            let value = |r: &EpochRecord| r.val.get(*task)?.get(metric.name).map(|v| metric.shown(*v));
            let name = if metric.name == "accuracy" { metric.name } else { metric.label };
            // What is no part of a whole may reach over decades, as a loss does.
            let (values, axis, unit) = if metric.percent {
                let values = by_stage(records, &stages, |r| value(r).filter(|v| v.is_finite()));
                let range = accuracy_range(&values);
                (values, Axis { ticks: plain_ticks(&range), range, log: false }, " (%)")
            } else {
                let finite = |r: &EpochRecord| value(r).filter(|v| v.is_finite()).map(|v| v.max(SMALLEST_LOSS));
                let values = by_stage(records, &stages, finite);
                let range = loss_range(&values);
                (values, Axis { ticks: log_ticks(&range), range, log: true }, "")
            };
            panel(area, &format!("validation {name}, {task}{unit}"), &values, last_epoch, axis, &tasks)?;
        }
        Ok(())
    })
}

/// The values of each stage that has any, in the order of `stages`.
fn by_stage<'a>(
    records: &[EpochRecord],
    stages: &[&'a str],
    value: impl Fn(&EpochRecord) -> Option<f64>,
) -> Vec<(&'a str, Lines)> {
    let lines = |stage: &str| {
        let mut lines = Lines::new();
        for record in records.iter().filter(|r| r.stage == stage) {
            if let Some(value) = value(record) {
                lines.entry(record.seed).or_default().insert(record.epoch + 1, value);
            }
        }
        lines
    };
    stages.iter().map(|s| (*s, lines(s))).filter(|(_, l)| !l.is_empty()).collect()
}

fn values(stages: &[(&str, Lines)]) -> impl Iterator<Item = f64> {
    stages.iter().flat_map(|(_, lines)| lines.values().flat_map(|l| l.values().copied()))
}

/// From the smallest to the largest loss, a little wider.
fn loss_range(stages: &[(&str, Lines)]) -> Range<f64> {
    let (low, high) = values(stages).fold((f64::MAX, SMALLEST_LOSS), |(low, high), v| (low.min(v), high.max(v)));
    let low = low.min(high);
    0.85 * low..1.15 * high
}

/// From the lowest accuracy to the highest, widened to multiples of five. The first quarter of a stage's epochs may begin below: the
/// climb is much the same for all, what matters happens near the top.
fn accuracy_range(stages: &[(&str, Lines)]) -> Range<f64> {
    let lines = || stages.iter().flat_map(|(_, lines)| lines.values());
    let late = lines().flat_map(|line| {
        let last = line.keys().max().copied().unwrap_or(0);
        line.iter().filter(move |(epoch, _)| **epoch > last / 4).map(|(_, v)| *v)
    });
    let low = late.fold(100f64, f64::min);
    let high = lines().flat_map(|line| line.values().copied()).fold(0f64, f64::max);
    let (low, high) = ((low / 5.0).floor() * 5.0, (high / 5.0).ceil() * 5.0);
    if low < high { low..high } else { (high - 5.0).max(0.0)..(high + 5.0).min(100.0) }
}

fn panel(area: &Area, title: &str, stages: &[(&str, Lines)], last_epoch: usize, y: Axis, tasks: &[&str]) -> Result<()> {
    let lowest = y.range.start;
    let epochs = 1.0..last_epoch.max(2) as f64;
    let x = Axis { ticks: plain_ticks(&epochs), range: epochs, log: false };
    let axis = letters(12.0, &INK, HPos::Center, VPos::Center);
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .caption(title, letters(15.0, &INK, HPos::Center, VPos::Center))
        .x_label_area_size(44)
        .y_label_area_size(46)
        .build_cartesian_2d(x, y)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(axis.clone())
        .axis_desc_style(axis)
        .draw()
        .map_err(failed)?;
    for (stage, lines) in stages {
        let colour = stage_colour(stage, tasks);
        let mut draw = |points: Vec<(f64, f64)>, style: ShapeStyle| -> Result<()> {
            for piece in above(&points, lowest) {
                chart.draw_series(LineSeries::new(piece, style)).map_err(failed)?;
            }
            Ok(())
        };
        if lines.len() > 1 {
            for line in lines.values() {
                draw(line.iter().map(|(e, v)| (*e as f64, *v)).collect(), colour.mix(0.35).stroke_width(1))?;
            }
        }
        let mean = mean(lines);
        // The dot marks the end, and shows a stage of a single epoch, which has no line.
        let end = mean.last().filter(|end| end.1 >= lowest).map(|end| Circle::new(*end, 3, colour.filled()));
        draw(mean, colour.stroke_width(2))?;
        chart.draw_series(end).map_err(failed)?;
    }
    Ok(())
}

/// The parts of a line that are not below `lowest`, cut where it crosses.
fn above(points: &[(f64, f64)], lowest: f64) -> Vec<Vec<(f64, f64)>> {
    let mut pieces = vec![Vec::new()];
    for (i, &(x, y)) in points.iter().enumerate() {
        if let Some(&(x0, y0)) = i.checked_sub(1).and_then(|before| points.get(before))
            && (y0 < lowest) != (y < lowest)
        {
            let crossing = (x0 + (x - x0) * (lowest - y0) / (y - y0), lowest);
            if y >= lowest {
                pieces.push(Vec::new());
            }
            pieces.last_mut().into_iter().for_each(|p| p.push(crossing));
        }
        if y >= lowest {
            pieces.last_mut().into_iter().for_each(|p| p.push((x, y)));
        }
    }
    pieces
}

/// The mean over the seeds at each epoch that some seed has reached.
fn mean(lines: &Lines) -> Vec<(f64, f64)> {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (epoch, value) in lines.values().flatten() {
        let (sum, count) = sums.entry(*epoch).or_default();
        *sum += value;
        *count += 1.0;
    }
    sums.into_iter().map(|(epoch, (sum, count))| (epoch as f64, sum / count)).collect()
}

/// Where each stage's entry begins, in rows from left to right.
fn legend_places(stages: &[&str], width: i32) -> Vec<(i32, i32)> {
    let (mut x, mut y) = (MARGIN, MARGIN / 2);
    let mut places = Vec::new();
    for stage in stages {
        let entry = 34 + width_of(stage, LEGEND_TEXT) + 24;
        if x + entry > width && x > MARGIN {
            (x, y) = (MARGIN, y + LEGEND_ROW);
        }
        places.push((x, y));
        x += entry;
    }
    places
}

fn draw_legend(area: &Area, stages: &[&str], tasks: &[&str], places: &[(i32, i32)]) -> Result<()> {
    let style = letters(LEGEND_TEXT, &INK, HPos::Left, VPos::Center);
    for (stage, (x, y)) in stages.iter().zip(places) {
        let middle = y + LEGEND_ROW / 2;
        let line = vec![(*x, middle), (x + 26, middle)];
        area.draw(&PathElement::new(line, stage_colour(stage, tasks).stroke_width(3))).map_err(failed)?;
        area.draw_text(stage, &style, (x + 34, middle)).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Scores;
    use crate::plot::tests::check_svg;

    pub(crate) fn records(tasks: &[&str], seeds: u64, epochs: usize) -> Vec<EpochRecord> {
        let mut out = Vec::new();
        let single = tasks.iter().flat_map(|t| [format!("teacher/{t}"), format!("single/{t}")]);
        for (s, stage) in single.chain(["joint".into(), "distilled".into()]).enumerate() {
            for (seed, epoch) in (0..seeds).flat_map(|seed| (0..epochs).map(move |e| (seed, e))) {
                let rate = 0.25 + 0.05 * s as f64 + 0.03 * seed as f64;
                let left = (-rate * (epoch as f64 + 0.3)).exp();
                let accuracy = 0.97 - 0.01 * s as f64 - 0.8 * left;
                let metrics = Scores::new([("accuracy", accuracy)]);
                let own = stage.split_once('/').map(|(_, t)| t);
                let val = tasks
                    .iter()
                    .filter(|t| own.is_none_or(|o| o == **t))
                    .map(|t| (t.to_string(), metrics.clone()))
                    .collect();
                out.push(EpochRecord {
                    stage: stage.clone(),
                    seed,
                    epoch,
                    lr: 0.1,
                    train_loss: 2.3 * left + 0.02,
                    losses: BTreeMap::new(),
                    weights: BTreeMap::new(),
                    gradient_norms: None,
                    val_loss: None,
                    val,
                    ema_val: BTreeMap::new(),
                    best: true,
                    seconds: 1.0,
                    images_per_second: 1.0,
                });
            }
        }
        out
    }

    fn draw(records: &[EpochRecord]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.svg");
        curves_svg(records, &path).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        check_svg(&text);
        text
    }

    #[test]
    fn all_stages_and_panels_are_named() {
        let text = draw(&records(&["first", "second"], 3, 12));
        for word in [
            "teacher/first",
            "single/second",
            "joint",
            "distilled",
            "training loss",
            "validation accuracy, second (%)",
            "epoch",
        ] {
            assert!(text.contains(word), "{word}");
        }
        // 6 legend lines and 6 dots in the loss, 4 in each task's panel.
        assert_eq!(text.matches("<circle").count(), 6 + 4 + 4);
    }

    /// A short stage that ends low beside a long one.
    #[test]
    fn the_end_of_every_stage_lies_in_the_panel() {
        let line = |values: &[f64]| {
            let points: BTreeMap<usize, f64> = values.iter().enumerate().map(|(i, v)| (i + 1, *v)).collect();
            Lines::from([(0, points)])
        };
        let long: Vec<f64> = (0..40).map(|i| if i < 10 { 30.0 } else { 93.0 }).collect();
        let stages = [("teacher/a", line(&long)), ("joint", line(&[20.0, 30.0, 71.0, 82.0, 81.0, 83.0, 84.0, 84.0]))];
        assert_eq!(accuracy_range(&stages), 70.0..95.0);
        assert_eq!(accuracy_range(&stages[1..]), 70.0..85.0);
    }

    #[test]
    fn odd_records_can_be_drawn() {
        draw(&records(&["a"], 1, 1));
        draw(&records(&["a", "b", "c", "d"], 2, 200));
        let mut strange = records(&["a<&>"], 1, 3);
        strange[0].train_loss = f64::NAN;
        strange[1].train_loss = 0.0;
        strange[2].val.clear();
        draw(&strange);
        strange.iter_mut().for_each(|r| r.train_loss = f64::INFINITY);
        draw(&strange);
        assert!(curves_svg(&[], "nowhere.svg").is_err());
    }

    #[test]
    fn the_mean_is_over_the_seeds_that_got_there() {
        let lines = Lines::from([(0, BTreeMap::from([(1, 1.0), (2, 2.0)])), (1, BTreeMap::from([(1, 3.0)]))]);
        assert_eq!(mean(&lines), [(1.0, 2.0), (2.0, 2.0)]);
    }

    #[test]
    fn lines_are_cut_where_they_leave_the_panel() {
        let line = [(1.0, 0.0), (2.0, 10.0), (3.0, 0.0), (4.0, 20.0)];
        let pieces: Vec<_> = above(&line, 5.0).into_iter().filter(|p| !p.is_empty()).collect();
        assert_eq!(pieces, [vec![(1.5, 5.0), (2.0, 10.0), (2.5, 5.0)], vec![(3.25, 5.0), (4.0, 20.0)]]);
    }
}
