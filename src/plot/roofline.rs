//! The roofline of a machine and what kernels reach under it (Williams, Waterman & Patterson 2009).

use super::axis::{Axis, log_ticks};
use super::draw::{self, Area, GRID, INK, failed, letters, width_of};
use crate::{Error, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::ops::Range;
use std::path::Path;

const SIZE: (u32, u32) = (900, 560);
const MARGIN: i32 = 16;
const LEGEND_ROW: i32 = 24;
const LEGEND_TEXT: f64 = 13.0;
/// Told apart with any of the common colour blindnesses (Wong 2011).
const COLOURS: [RGBColor; 7] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

/// A machine's limits: FLOP/s, and B/s from its fastest level of memory and from the slowest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceilings {
    /// Peak of arithmetic.
    pub peak: f64,
    /// Best bandwidth at any size.
    pub fastest: f64,
    /// Bandwidth over the largest arrays.
    pub memory: f64,
}

/// A kernel's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// What is drawn in one colour.
    pub series: String,
    /// FLOP a byte that must move.
    pub intensity: f64,
    /// FLOP/s reached.
    pub rate: f64,
}

/// Draws the roof and the marks under it.
///
/// # Errors
/// [`Error::Invalid`] where a limit or a mark is no positive number, [`Error::Io`].
pub fn roofline_svg(title: &str, ceilings: &Ceilings, marks: &[Mark], path: impl AsRef<Path>) -> Result<()> {
    let positive = |v: f64| (1e-12..=1e24).contains(&v);
    let Ceilings { peak, fastest, memory } = *ceilings;
    // Far outside of what machines reach the picture would have no ticks.
    if ![peak, fastest, memory].into_iter().chain(marks.iter().flat_map(|m| [m.intensity, m.rate])).all(positive) {
        return Err(Error::Invalid("a roofline needs positive numbers; the results are damaged".into()));
    }
    let mut series: Vec<&str> = marks.iter().map(|m| m.series.as_str()).collect();
    series.sort_unstable();
    series.dedup();
    let places = legend_places(&series);
    let legend_height = places.last().map_or(0, |p| p.1) + LEGEND_ROW + MARGIN / 2;
    draw::svg(path.as_ref(), (SIZE.0, SIZE.1 + legend_height as u32), |area| {
        let (chart, legend) = area.split_vertically(SIZE.1);
        roof(&chart, title, ceilings, marks, &series)?;
        let style = letters(LEGEND_TEXT, &INK, HPos::Left, VPos::Center);
        for (i, (name, (x, y))) in series.iter().zip(&places).enumerate() {
            legend.draw(&Circle::new((x + 6, y + LEGEND_ROW / 2), 4, colour(i).filled())).map_err(failed)?;
            legend.draw_text(name, &style, (x + 18, y + LEGEND_ROW / 2)).map_err(failed)?;
        }
        Ok(())
    })
}

fn colour(series: usize) -> RGBColor {
    COLOURS[series % COLOURS.len()]
}

fn legend_places(series: &[&str]) -> Vec<(i32, i32)> {
    let (mut x, mut y) = (MARGIN * 4, 0);
    let mut places = Vec::new();
    for name in series {
        let entry = 18 + width_of(name, LEGEND_TEXT) + 20;
        if x + entry > SIZE.0 as i32 && x > MARGIN * 4 {
            (x, y) = (MARGIN * 4, y + LEGEND_ROW);
        }
        places.push((x, y));
        x += entry;
    }
    places
}

/// From a half of the least to twice the most.
fn around(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), v| (low.min(v), high.max(v)));
    0.5 * low..2.0 * high
}

fn roof(area: &Area, title: &str, ceilings: &Ceilings, marks: &[Mark], series: &[&str]) -> Result<()> {
    // GFLOP/s over FLOP/byte; the ridges, where a roof turns flat, are always seen.
    let (peak, slopes) = (ceilings.peak / 1e9, [ceilings.fastest / 1e9, ceilings.memory / 1e9]);
    let x = around(marks.iter().map(|m| m.intensity).chain(slopes.map(|s| peak / s)));
    let y = around(marks.iter().map(|m| m.rate / 1e9).chain([peak]));
    let lowest = y.start;
    let axis = letters(12.0, &INK, HPos::Center, VPos::Center);
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .caption(title, letters(15.0, &INK, HPos::Center, VPos::Center))
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            Axis { ticks: log_ticks(&x), range: x.clone(), log: true },
            Axis { ticks: log_ticks(&y), range: y, log: true },
        )
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("FLOP per byte that must move")
        .y_desc("GFLOP/s")
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(axis.clone())
        .axis_desc_style(axis)
        .draw()
        .map_err(failed)?;
    for (slope, strength) in slopes.into_iter().zip([0.45, 1.0]) {
        let ridge = peak / slope;
        // Below the picture's edge a line would be drawn over the axis.
        let first = x.start.max(lowest / slope).min(ridge);
        let line = vec![(first, slope * first), (ridge, peak), (x.end, peak)];
        chart.draw_series(LineSeries::new(line, INK.mix(strength).stroke_width(2))).map_err(failed)?;
    }
    let label = |text: String, h| Text::new(text, (0, 0), letters(12.0, &INK, h, VPos::Bottom));
    let peak_label = EmptyElement::at((x.end, peak)) + label(format!("{} of arithmetic ", rate(peak)), HPos::Right);
    chart.draw_series([peak_label]).map_err(failed)?;
    for mark in marks {
        let at = series.iter().position(|s| *s == mark.series).unwrap_or(0);
        let place = (mark.intensity, mark.rate / 1e9);
        chart.draw_series([Circle::new(place, 4, colour(at).mix(0.75).filled())]).map_err(failed)?;
    }
    Ok(())
}

fn rate(gflops: f64) -> String {
    if gflops >= 1000.0 { format!("{:.1} TFLOP/s", gflops / 1000.0) } else { format!("{gflops:.0} GFLOP/s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::tests::check_svg;

    #[test]
    fn roof_and_marks_are_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roofline.svg");
        let mark = |series: &str, intensity, rate| Mark { series: series.into(), intensity, rate };
        let marks = [mark("conv2d forward", 80.0, 20e9), mark("a<&>", 0.3, 0.5e9), mark("conv2d forward", 10.0, 9e9)];
        let ceilings = Ceilings { peak: 100e9, fastest: 20e9, memory: 4e9 };
        roofline_svg("a <GPU>", &ceilings, &marks, &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        check_svg(&text);
        // Three marks and two dots of the legend; two roofs among the lines.
        assert_eq!(text.matches("<circle").count(), 5);
        for word in ["conv2d forward", "GFLOP/s", "FLOP per byte", "100 GFLOP/s of arithmetic"] {
            assert!(text.contains(word), "{word}");
        }
        assert!(roofline_svg("x", &Ceilings { memory: f64::NAN, ..ceilings }, &marks, &path).is_err());
        assert!(roofline_svg("x", &ceilings, &[mark("x", 0.0, 1.0)], &path).is_err());
    }
}
