//! What all pictures share: the canvas, the colours, the letters.

use crate::files::write_atomic;
use crate::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

/// A drawing area that becomes an SVG.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Text and axes; black would shout.
pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
/// Lines behind the data.
pub(super) const GRID: RGBColor = RGBColor(226, 226, 226);

/// Draws on a white canvas and writes the SVG, whole or not at all.
pub(super) fn svg(path: &Path, size: (u32, u32), draw: impl FnOnce(&Area) -> Result<()>) -> Result<()> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    write_atomic(path, text.as_bytes())
}

/// A drawing error: the SVG is made in memory, so there is none that a user could cause.
pub(super) fn failed(error: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("the picture could not be drawn: {error}"))
}

/// Letters of a height in pixels, placed by `h` and `v`.
pub(super) fn letters(size: f64, colour: &RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    // Plotters draws a font 1.24 times smaller than it is told.
    let style = TextStyle::from(("sans-serif", size * 1.24).into_font()).pos(Pos::new(h, v));
    TextStyle { color: colour.to_backend_color(), ..style }
}

/// How wide a text will be, about, at a height in pixels: sans-serif letters are half as wide as high, a little more for safety.
pub(super) fn width_of(text: &str, size: f64) -> i32 {
    (text.chars().count() as f64 * size * 0.58).ceil() as i32
}

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
}
