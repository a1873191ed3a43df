//! Which classes are taken for which: heat maps of the student's confusion matrices.

use crate::experiment::Summary;
use crate::plot::draw::{self, Area, INK, failed, letters};
use crate::{Error, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::path::Path;

/// The matrix itself, in pixels; classes share it.
const SIDE: i32 = 380;
const LEFT: i32 = 70;
const TOP: i32 = 52;
const PANEL: (u32, u32) = ((LEFT + SIDE + 24) as u32, (TOP + SIDE + 60) as u32);
/// More classes than this leave no room for a number in each cell.
const NUMBERED: usize = 14;

/// Draws the confusion matrix of every task of the distilled student (of the joint one where none was distilled), summed over
/// the seeds: rows are labels, columns predictions; a cell's colour is its part of the row. Of objects the last row and column, `none`, are
/// what was found where nothing is, and what was not found.
///
/// # Errors
/// [`Error::Invalid`] where the run has no student, [`Error::Io`] where the file cannot be written.
pub fn confusion_svg(summary: &Summary, path: impl AsRef<Path>) -> Result<()> {
    let found = ["distilled", "joint"].into_iter().find_map(|name| Some((name, summary.models.get(name)?)));
    let Some((name, model)) = found.filter(|(_, m)| !m.confusion.is_empty()) else {
        return Err(Error::Invalid("the run has no student whose confusion matrix could be drawn".into()));
    };
    let columns = model.confusion.len().min(3) as u32;
    let rows = (model.confusion.len() as u32).div_ceil(columns);
    draw::svg(path.as_ref(), (columns * PANEL.0, rows * PANEL.1), |area| {
        let panels = area.split_evenly((rows as usize, columns as usize));
        model.confusion.iter().zip(&panels).try_for_each(|((task, matrix), area)| {
            let objects = model.metrics.get(task).is_some_and(|scores| scores.get("ap50").is_some());
            panel(area, &format!("{name}, {task}"), matrix, objects)
        })
    })
}

fn panel(area: &Area, title: &str, matrix: &[Vec<u64>], objects: bool) -> Result<()> {
    let classes = matrix.len().max(1);
    let total: u64 = matrix.iter().flatten().sum();
    let right: u64 = matrix.iter().enumerate().filter_map(|(i, row)| row.get(i)).sum();
    let title = format!("{title}: {:.1} % of {total} right", 100.0 * right as f64 / total.max(1) as f64);
    let text = |text: &str, size: f64, colour: &RGBColor, h, at: (i32, i32)| {
        area.draw_text(text, &letters(size, colour, h, VPos::Center), at).map_err(failed)
    };
    let edge = |i: usize| (i as i32 * SIDE) / classes as i32;
    text(&title, 15.0, &INK, HPos::Center, (LEFT + SIDE / 2, TOP / 2))?;

    for (r, row) in matrix.iter().enumerate() {
        let sum: u64 = row.iter().sum();
        for (c, &count) in row.iter().enumerate() {
            let part = count as f64 / sum.max(1) as f64;
            let corners = [(LEFT + edge(c), TOP + edge(r)), (LEFT + edge(c + 1), TOP + edge(r + 1))];
            area.draw(&Rectangle::new(corners, shade(part).filled())).map_err(failed)?;
            if classes <= NUMBERED && count > 0 {
                let middle = ((corners[0].0 + corners[1].0) / 2, (corners[0].1 + corners[1].1) / 2);
                let ink = if part > 0.5 { WHITE } else { INK };
                let digits = count.to_string();
                // Never wider than the cell, whatever the count.
                let size = (0.85 * (SIDE / classes as i32) as f64 / (0.6 * digits.len() as f64)).min(13.0);
                text(&digits, size, &ink, HPos::Center, middle)?;
            }
        }
    }
    let frame = [(LEFT, TOP), (LEFT + SIDE, TOP + SIDE)];
    area.draw(&Rectangle::new(frame, INK.stroke_width(1))).map_err(failed)?;

    let every = classes.div_ceil(20);
    // Nothing is named, however many classes there are.
    let last = (objects && classes > 0 && !(classes - 1).is_multiple_of(every)).then_some(classes - 1);
    for i in (0..classes).step_by(every).chain(last) {
        let middle = (edge(i) + edge(i + 1)) / 2;
        let name = if objects && i + 1 == classes { "none".into() } else { i.to_string() };
        text(&name, 12.0, &INK, HPos::Right, (LEFT - 8, TOP + middle))?;
        text(&name, 12.0, &INK, HPos::Center, (LEFT + middle, TOP + SIDE + 14))?;
    }
    text("predicted class", 13.0, &INK, HPos::Center, (LEFT + SIDE / 2, TOP + SIDE + 38))?;
    let sideways = letters(13.0, &INK, HPos::Center, VPos::Center).transform(FontTransform::Rotate270);
    area.draw_text("true class", &sideways, (22, TOP + SIDE / 2)).map_err(failed)
}

/// White to dark blue. The square root lets a handful of mistakes show beside hundreds of hits.
fn shade(part: f64) -> RGBColor {
    let t = part.clamp(0.0, 1.0).sqrt();
    let mix = |from: f64, to: f64| (from + (to - from) * t).round() as u8;
    RGBColor(mix(255.0, 0.0), mix(255.0, 84.0), mix(255.0, 148.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;
    use crate::metrics::{Confusion, Detection, DetectionTally, TaskResult, Truth};
    use crate::plot::tests::check_svg;
    use crate::report::tests::summary;
    use crate::train::StageResult;
    use std::collections::BTreeMap;

    fn draw(summary: &Summary) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("confusion.svg");
        confusion_svg(summary, &path).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        check_svg(&text);
        text
    }

    fn of_classes(classes: usize) -> Summary {
        let counts = (0..classes * classes).map(|i| (i % 7) as u64 * 1_000_000).collect();
        of(TaskResult::of_classes(Confusion::from_counts(counts, classes).unwrap(), &[]))
    }

    fn of(result: TaskResult) -> Summary {
        let by_task = BTreeMap::from([("a".to_string(), result)]);
        let result = StageResult {
            stage: "joint".into(),
            seed: 0,
            params: 1,
            macs: 1,
            seconds: 1.0,
            beside: 0,
            val: Some(0.5),
            step_ms: 1.0,
            agreement: Vec::new(),
            best: by_task.clone(),
            last: by_task,
            ema: BTreeMap::new(),
        };
        Summary::from_results("x", "x", &[0], vec![result], 1.0).unwrap()
    }

    #[test]
    fn every_task_of_the_distilled_student() {
        let text = draw(&summary());
        assert!(text.contains("distilled, first:") && text.contains("distilled, second:"));
        // Background, 10 x 10 cells and a frame for each task.
        assert_eq!(text.matches("<rect").count(), 1 + 2 * (100 + 1));
    }

    #[test]
    fn of_objects_the_last_class_is_none() {
        let mut tally = DetectionTally::new(2);
        let rect = Rect::from_size(0.0, 0.0, 8.0, 8.0);
        tally.add(vec![Truth::new(rect, 1)], vec![Detection { rect, class: 1, score: 0.9 }]).unwrap();
        let text = draw(&of(TaskResult::of_boxes(&tally, &["a", "b"].map(String::from))));
        let named = |text: &str| text.lines().filter(|line| line.trim() == "none" || line.contains(">none<")).count();
        assert_eq!(named(&text), 2, "{text}");
        assert_eq!(named(&draw(&of_classes(3))), 0);
    }

    #[test]
    fn one_class_a_hundred_classes_and_none() {
        assert!(draw(&of_classes(1)).contains("joint, a:"));
        assert!(!draw(&of_classes(100)).contains("1000000"));
        assert!(draw(&of_classes(2)).contains("1000000"));
        let mut none = summary();
        none.models.clear();
        assert!(confusion_svg(&none, "nowhere.svg").is_err());
    }
}
