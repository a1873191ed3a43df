//! Colours of stages, and ticks of axes that count.

use std::ops::Range;

use plotters::prelude::RGBColor;

/// A colour made darker so many times.
fn darker(RGBColor(r, g, b): RGBColor, times: u32) -> RGBColor {
    let part = 0.7f64.powi(times as i32);
    let [r, g, b] = [r, g, b].map(|v| (f64::from(v) * part) as u8);
    RGBColor(r, g, b)
}

/// The colour of a stage: a hue for its kind, a shade for its task. Told apart with any of the common colour blindnesses.
pub(super) fn stage_colour(stage: &str, tasks: &[&str]) -> RGBColor {
    const TEACHER: [RGBColor; 4] =
        [RGBColor(0, 84, 148), RGBColor(86, 170, 226), RGBColor(0, 130, 190), RGBColor(150, 200, 235)];
    const SINGLE: [RGBColor; 4] =
        [RGBColor(0, 120, 88), RGBColor(96, 190, 150), RGBColor(0, 158, 115), RGBColor(160, 215, 190)];
    let (kind, task) = stage.split_once('/').unwrap_or((stage, ""));
    let place = |name: &str| tasks.iter().position(|t| *t == name);
    // The second teacher of a task is called `task-2`, and so on.
    let several = task.rsplit_once('-').filter(|_| place(task).is_none());
    let number = several.and_then(|(_, number)| number.parse::<u32>().ok()).unwrap_or(1);
    let shade = place(several.map_or(task, |(task, _)| task)).unwrap_or(0) % TEACHER.len();
    match kind {
        "teacher" => darker(TEACHER[shade], number - number.min(1)),
        "single" => SINGLE[shade],
        "joint" => RGBColor(90, 90, 90),
        "distilled" => RGBColor(213, 94, 0),
        _ => RGBColor(204, 121, 167),
    }
}

/// The ticks of a linear axis: multiples of one, two or five (of ten, a hundred, …), at most ten of them.
pub(super) fn plain_ticks(range: &Range<f64>) -> Vec<f64> {
    let length = range.end - range.start;
    let steps = (0..9).flat_map(|d| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(d)));
    let step = steps.into_iter().find(|s| length / s <= 10.0).unwrap_or(length);
    let first = (range.start / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|t| *t <= range.end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_teacher_has_a_colour_of_its_own() {
        let tasks = ["first", "second", "a-2"];
        let stages = ["first", "first-2", "first-3", "second", "second-2", "a-2", "a-2-2"];
        let mut colours: Vec<_> = stages.map(|s| stage_colour(&format!("teacher/{s}"), &tasks)).into();
        assert_eq!(colours[0], RGBColor(0, 84, 148));
        colours.sort_by_key(|c| (c.0, c.1, c.2));
        colours.dedup();
        assert_eq!(colours.len(), stages.len());
    }

    #[test]
    fn ticks_are_few_but_enough() {
        assert_eq!(plain_ticks(&(1.0..2.0)), [1.0, 2.0]);
        assert_eq!(plain_ticks(&(1.0..12.0)), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
        assert_eq!(plain_ticks(&(85.0..100.0)).len(), 8);
        assert_eq!(plain_ticks(&(1.0..240.0)), [50.0, 100.0, 150.0, 200.0]);
    }
}
