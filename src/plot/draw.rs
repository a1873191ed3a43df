//! What all pictures share: the canvas, the colours, the letters.

use crate::files::write_atomic;
use crate::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

/// A drawing area that becomes an SVG.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Text and axes; black would shout.
pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);
/// Lines behind the data.
pub(crate) const GRID: RGBColor = RGBColor(226, 226, 226);

/// Draws on a white canvas and writes the SVG, whole or not at all.
pub(crate) fn svg(path: &Path, size: (u32, u32), draw: impl FnOnce(&Area) -> Result<()>) -> Result<()> {
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
pub(crate) fn failed(error: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("the picture could not be drawn: {error}"))
}

/// Letters of a height in pixels, placed by `h` and `v`.
pub(crate) fn letters(size: f64, colour: &RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    // Plotters draws a font 1.24 times smaller than it is told.
    let style = TextStyle::from(("sans-serif", size * 1.24).into_font()).pos(Pos::new(h, v));
    TextStyle { color: colour.to_backend_color(), ..style }
}

/// How wide a text will be, about, at a height in pixels: sans-serif letters are half as wide as high, a little more for safety.
pub(crate) fn width_of(text: &str, size: f64) -> i32 {
    (text.chars().count() as f64 * size * 0.58).ceil() as i32
}
