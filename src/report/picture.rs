//! What a network says of an image, drawn upon it: masks as colour, boxes with their names, depth beside it, the rest in words below.

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};

use crate::files::write_atomic;
use crate::geometry::Rect;
use crate::predict::TaskPrediction;
use crate::tasks::{DetectedObject, TaskOutput};
use crate::{Error, Result};
use std::path::Path;

type Colour = [u8; 3];
/// Of each class; `None` where it stays as it is.
type Colours = Vec<Option<Colour>>;

/// Okabe and Ito's colours, which the colour-blind can tell apart too, from the ninth class on again.
const COLOURS: [Colour; 8] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [213, 94, 0],
    [0, 114, 178],
    [204, 121, 167],
    [140, 140, 140],
];
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([20, 20, 20]);
/// The longer side of a drawn image is at least this.
const SIDE: usize = 448;
/// How much of a mask's colour covers the image.
const COVER: f32 = 0.5;
/// Boxes that are less sure are left out.
const SURE: f32 = 0.4;
const MARGIN: i64 = 8;
const LINE: i64 = 20;
const LETTER: i64 = 16;
/// Room for a colour before its name.
const SWATCH: i64 = 24;

/// A picture of `predictions` about an image of `[height, width, channels]` bytes, in whose pixels they are; enlarged by whole pixels
/// where it is small; as a PNG file.
///
/// # Errors
/// [`Error::Shape`] where the bytes are not that image's; [`Error::Io`] where the file cannot be written.
pub fn prediction_png(
    pixels: &[u8],
    image: [usize; 3],
    predictions: &[TaskPrediction],
    path: impl AsRef<Path>,
) -> Result<()> {
    let picture = draw(pixels, image, predictions)?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::Invalid(format!("{} cannot be drawn: {e}", path.as_ref().display())))?;
    write_atomic(path.as_ref(), bytes.get_ref())
}

fn draw(pixels: &[u8], [h, w, c]: [usize; 3], predictions: &[TaskPrediction]) -> Result<RgbImage> {
    if pixels.len() != h * w * c || !matches!(c, 1 | 3) || h * w == 0 {
        return Err(Error::Shape(format!("{} bytes for a picture of {h}x{w}x{c}", pixels.len())));
    }
    let scale = SIDE.div_ceil(h.max(w)).max(1);
    let depths: Vec<Vec<u8>> = predictions.iter().filter_map(depth_of).map(|depth| shades(depth)).collect();
    let masks: Vec<(&Vec<u8>, Colours)> = predictions.iter().filter_map(mask_of).collect();
    let panels = 1 + depths.len();
    let width = panels * w * scale + (panels - 1) * MARGIN as usize;
    let words = broken(words(predictions), width as i64);
    let below = if words.is_empty() { 0 } else { words.len() * LINE as usize + 2 * MARGIN as usize };
    let mut canvas = RgbImage::from_pixel(width as u32, (h * scale + below) as u32, PAPER);
    for y in 0..h * scale {
        for x in 0..w * scale {
            let at = (y / scale) * w + x / scale;
            let own = |k: usize| pixels[at * c + if c == 3 { k } else { 0 }];
            let mut colour = [own(0), own(1), own(2)];
            for (classes, colours) in &masks {
                if let Some(over) = classes.get(at).and_then(|class| *colours.get(usize::from(*class))?) {
                    let mix = |a: u8, b: u8| (f32::from(a) * (1.0 - COVER) + f32::from(b) * COVER) as u8;
                    colour = [0, 1, 2].map(|k| mix(colour[k], over[k]));
                }
            }
            canvas.put_pixel(x as u32, y as u32, Rgb(colour));
            for (i, depth) in depths.iter().enumerate() {
                let left = (i + 1) * (w * scale + MARGIN as usize);
                let grey = depth.get(at).copied().unwrap_or(0);
                canvas.put_pixel((left + x) as u32, y as u32, Rgb([grey; 3]));
            }
        }
    }
    let mut taken = Vec::new();
    for prediction in predictions {
        if let TaskOutput::Boxes { objects } = &prediction.answer {
            let mut names: Vec<&str> = objects.iter().map(|o| o.label.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            let sure = || objects.iter().filter(|o| o.score >= SURE);
            let colour = |found: &DetectedObject| {
                let number = names.iter().position(|n| *n == found.label).unwrap_or(0);
                Rgb(COLOURS[number % COLOURS.len()])
            };
            // The surest last, on top; their names find room first.
            sure().rev().for_each(|found| frame(&mut canvas, &found.rect, scale, colour(found)));
            for found in sure() {
                let text = format!("{} {:.0}%", found.label, 100.0 * found.score);
                let place = tag_place(&text, edges(&found.rect, scale), [h * scale, w * scale], &taken);
                fill(&mut canvas, place, colour(found));
                write(&mut canvas, &text, place[0] + 3, place[1] + 1, INK);
                taken.push(place);
            }
        }
    }
    for (i, (start, line)) in words.iter().enumerate() {
        let y = (h * scale) as i64 + MARGIN + i as i64 * LINE;
        let mut x = *start;
        for (colour, name) in line {
            if let Some(colour) = colour {
                fill(&mut canvas, [x + 8, y + 3, x + 20, y + 15], Rgb(*colour));
                x += SWATCH;
            }
            x = write(&mut canvas, name, x, y, INK);
        }
    }
    Ok(canvas)
}

/// A mask's class at each pixel, and the colours of the classes.
fn mask_of(prediction: &TaskPrediction) -> Option<(&Vec<u8>, Colours)> {
    match &prediction.answer {
        TaskOutput::Mask { classes, names, .. } => Some((classes, mask_colours(names))),
        _ => None,
    }
}

fn depth_of(prediction: &TaskPrediction) -> Option<&Vec<f32>> {
    match &prediction.answer {
        TaskOutput::Depth { values, .. } => Some(values),
        _ => None,
    }
}

/// Near is bright.
fn shades(depth: &[f32]) -> Vec<u8> {
    let low = depth.iter().copied().fold(f32::MAX, f32::min);
    let high = depth.iter().copied().fold(f32::MIN, f32::max);
    let shade = |v: &f32| (255.0 * (1.0 - (v - low) / (high - low).max(1e-6)).clamp(0.0, 1.0)) as u8;
    depth.iter().map(shade).collect()
}

/// The colours of the classes by number; what is called background or ground stays as it is.
fn mask_colours(names: &[String]) -> Colours {
    let plain = |name: &str| ["background", "ground"].iter().any(|word| name.eq_ignore_ascii_case(word));
    let mut colours = COLOURS.iter().cycle();
    names.iter().map(|name| if plain(name) { None } else { colours.next().copied() }).collect()
}

/// A word, or a colour and what it stands for.
type Piece = (Option<Colour>, String);

/// The lines below the image: answers in words, and what the mask's colours mean.
fn words(predictions: &[TaskPrediction]) -> Vec<Vec<Piece>> {
    let plain = |text: &str| -> Vec<Piece> { text.split_inclusive(' ').map(|word| (None, word.to_string())).collect() };
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    for prediction in predictions {
        let text = format!("{}: {}", prediction.task, prediction.answer);
        match &prediction.answer {
            TaskOutput::Mask { names, classes, .. } => {
                let mut there = [false; 256];
                classes.iter().for_each(|class| there[usize::from(*class)] = true);
                let all = mask_colours(names).into_iter().zip(names).zip(there);
                let swatch = |((colour, name), there): ((Option<Colour>, &String), bool)| {
                    there.then_some((Some(colour?), name.clone()))
                };
                lines.push(plain(&format!("{}:", prediction.task)).into_iter().chain(all.filter_map(swatch)).collect());
            }
            TaskOutput::Boxes { .. } => {}
            _ => lines.push(plain(&text)),
        }
    }
    lines
}

/// The lines, each with the place where it begins, broken between pieces where they would be wider than `width`; what is broken off is
/// set in.
fn broken(lines: Vec<Vec<Piece>>, width: i64) -> Vec<(i64, Vec<Piece>)> {
    let mut rows = Vec::new();
    for line in lines {
        let (mut start, mut row) = (MARGIN, Vec::new());
        let mut x = start;
        for (colour, name) in line {
            let before = if colour.is_some() { SWATCH } else { 0 };
            if !row.is_empty() && x + before + width_of(name.trim_end()) > width - MARGIN {
                rows.push((start, std::mem::take(&mut row)));
                start = 3 * MARGIN;
                x = start;
            }
            x += before + width_of(&name);
            row.push((colour, name));
        }
        rows.push((start, row));
    }
    rows
}

fn fill(canvas: &mut RgbImage, [x0, y0, x1, y1]: [i64; 4], colour: Rgb<u8>) {
    for y in y0.max(0)..y1.min(canvas.height().into()) {
        for x in x0.max(0)..x1.min(canvas.width().into()) {
            canvas.put_pixel(x as u32, y as u32, colour);
        }
    }
}

/// A box's edges in canvas pixels.
fn edges(rect: &Rect, scale: usize) -> [i64; 4] {
    [rect.x0, rect.y0, rect.x1, rect.y1].map(|v| (f64::from(v) * scale as f64).round() as i64)
}

fn frame(canvas: &mut RgbImage, rect: &Rect, scale: usize, colour: Rgb<u8>) {
    let [x0, y0, x1, y1] = edges(rect, scale);
    for (grow, colour) in [(1, INK), (0, colour)] {
        let thick = 2 + 2 * grow;
        let [x0, y0, x1, y1] = [x0 - grow, y0 - grow, x1 + grow, y1 + grow];
        fill(canvas, [x0, y0, x1, y0 + thick], colour);
        fill(canvas, [x0, y1 - thick, x1, y1], colour);
        fill(canvas, [x0, y0, x0 + thick, y1], colour);
        fill(canvas, [x1 - thick, y0, x1, y1], colour);
    }
}

/// Where a name stands: above its box, below it, or within it above or below, the first of these where no other name is; within the
/// image, if it fits there.
fn tag_place(text: &str, [x0, y0, _, y1]: [i64; 4], [h, w]: [usize; 2], taken: &[[i64; 4]]) -> [i64; 4] {
    let (width, height) = (width_of(text) + 6, LETTER + 2);
    let x = x0.min(w as i64 - width).max(0);
    let at = |y: i64| [x, y, x + width, y + height];
    let apart = |[a0, b0, a1, b1]: [i64; 4]| taken.iter().all(|t| a1 <= t[0] || t[2] <= a0 || b1 <= t[1] || t[3] <= b0);
    let inside = |y: &i64| *y >= 0 && *y + height <= h as i64;
    let places = || [y0 - height, y1, y0, y1 - height].into_iter().filter(inside);
    let y = places().find(|y| apart(at(*y))).or_else(|| places().next());
    at(y.unwrap_or(y0.max(0)))
}

fn width_of(text: &str) -> i64 {
    let one = noto_sans_mono_bitmap::get_raster_width(FontWeight::Regular, RasterHeight::Size16) as i64;
    one * text.chars().count() as i64
}

/// Writes a line whose left upper corner is at (x, y) and gives the place behind it. Letters beyond plain Latin become `?`.
fn write(canvas: &mut RgbImage, text: &str, x: i64, y: i64, colour: Rgb<u8>) -> i64 {
    let mut x = x;
    for letter in text.chars() {
        let raster = |c: char| get_raster(c, FontWeight::Regular, RasterHeight::Size16);
        let Some(raster) = raster(letter).or_else(|| raster('?')) else { continue };
        for (row, line) in raster.rows().enumerate() {
            for (column, strength) in line.iter().enumerate().filter(|(_, s)| **s > 0) {
                let (px, py) = (x + column as i64, y + row as i64);
                if (0..i64::from(canvas.width())).contains(&px) && (0..i64::from(canvas.height())).contains(&py) {
                    let below = canvas.get_pixel(px as u32, py as u32).0;
                    let part = f32::from(*strength) / 255.0;
                    let mix = |k: usize| (f32::from(below[k]) * (1.0 - part) + f32::from(colour.0[k]) * part) as u8;
                    canvas.put_pixel(px as u32, py as u32, Rgb([mix(0), mix(1), mix(2)]));
                }
            }
        }
        x += raster.width() as i64;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions() -> Vec<TaskPrediction> {
        let named = |label: &str, score, rect| DetectedObject { label: label.into(), score, rect };
        let answers = [
            (
                "class",
                TaskOutput::Class { label: "disc".into(), probability: 0.9, probabilities: vec![("disc".into(), 0.9)] },
            ),
            (
                "boxes",
                TaskOutput::Boxes {
                    objects: vec![
                        named("disc", 0.9, Rect::from_size(2.0, 3.0, 4.0, 4.0)),
                        named("cross", 0.1, Rect::from_size(0.0, 0.0, 10.0, 8.0)),
                    ],
                },
            ),
            (
                "mask",
                TaskOutput::Mask {
                    size: [8, 10],
                    names: ["ground", "disc"].map(String::from).to_vec(),
                    classes: (0..80).map(|i| u8::from(i == 79)).collect(),
                },
            ),
            ("depth", TaskOutput::Depth { size: [8, 10], values: (0..80).map(|i| i as f32).collect() }),
            ("count – how many", TaskOutput::Number { value: 2.5 }),
        ];
        answers.map(|(task, answer)| TaskPrediction { task: task.into(), answer }).into()
    }

    #[test]
    fn everything_has_its_place() {
        let picture = draw(&[100; 8 * 10 * 3], [8, 10, 3], &predictions()).unwrap();
        let scale = SIDE.div_ceil(10) as u32;
        let (w, h) = (10 * scale, 8 * scale);
        // Two panels, and lines for class, mask, depth and count.
        assert_eq!(
            (picture.width(), picture.height()),
            (2 * w + MARGIN as u32, h + 4 * LINE as u32 + 2 * MARGIN as u32)
        );
        let at = |x: f32, y: f32| picture.get_pixel((x * scale as f32) as u32, (y * scale as f32) as u32).0;
        assert_eq!(at(8.5, 1.5), [100; 3]);
        // The frame's left edge, and the unsure box nowhere.
        assert_eq!(at(2.02, 5.0), COLOURS[1]);
        assert_eq!(at(0.02, 4.0), [100; 3]);
        // The one pixel of the mask, half covered; the nearest and the farthest of depth.
        assert_eq!(at(9.5, 7.5), [165, 129, 50]);
        assert_eq!(picture.get_pixel(w + MARGIN as u32, 0).0, [255; 3]);
        assert_eq!(picture.get_pixel(2 * w + MARGIN as u32 - 1, h - 1).0, [0; 3]);
        assert!(draw(&[0; 5], [8, 10, 3], &[]).is_err());
    }

    #[test]
    fn every_class_but_the_ground_has_a_colour() {
        let names = ["person", "Background", "sky"].map(String::from);
        assert_eq!(mask_colours(&names), [Some(COLOURS[0]), None, Some(COLOURS[1])]);
        let mask = |names: &[String]| {
            let answer = TaskOutput::Mask { size: [2, 2], names: names.to_vec(), classes: vec![0, 0, 1, 1] };
            [TaskPrediction { task: "mask".into(), answer }]
        };
        let picture = draw(&[100; 2 * 2], [2, 2, 1], &mask(&names)).unwrap();
        assert_eq!((picture.get_pixel(1, 1).0, picture.get_pixel(1, 447).0), ([165, 129, 50], [100; 3]));
        assert_eq!(words(&mask(&names))[0], [(None, "mask:".to_string()), (Some(COLOURS[0]), "person".to_string())]);
    }

    #[test]
    fn names_stand_apart() {
        let (size, width) = ([100, 300], width_of("disc 90%") + 6);
        let place = |edges, taken: &[[i64; 4]]| tag_place("disc 90%", edges, size, taken);
        let above = place([20, 40, 60, 70], &[]);
        assert_eq!(above, [20, 22, 20 + width, 40]);
        // The same place again: below, then within; at the top edge within; at the right edge moved to the left.
        let below = place([20, 40, 60, 70], &[above]);
        assert_eq!(below[1], 70);
        assert_eq!(place([20, 40, 60, 70], &[above, below])[1], 40);
        assert_eq!(place([20, 5, 60, 95], &[])[1], 5);
        assert_eq!(place([290, 40, 299, 70], &[])[2], 300);
    }

    #[test]
    fn a_picture_is_a_png_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.png");
        prediction_png(&[7; 8 * 10], [8, 10, 1], &predictions(), &path).unwrap();
        let back = image::open(&path).unwrap();
        assert!(back.width() > 448);
    }

    #[test]
    fn long_lines_are_broken_and_set_in() {
        let piece = |colour: Option<Colour>, name: &str| (colour, name.to_string());
        let letter = width_of("a");
        // "one two " fits, "three" does not; a colour needs room too; what is too long alone is not broken.
        let line = vec![piece(None, "one "), piece(None, "two "), piece(None, "three"), piece(Some([1; 3]), "four")];
        let width = 2 * MARGIN + 11 * letter;
        let starts = |rows: &[(i64, Vec<Piece>)]| rows.iter().map(|(x, row)| (*x, row.len())).collect::<Vec<_>>();
        assert_eq!(starts(&broken(vec![line.clone()], width)), [(MARGIN, 2), (3 * MARGIN, 1), (3 * MARGIN, 1)]);
        assert_eq!(starts(&broken(vec![line.clone(), line.clone()], 2000)), [(MARGIN, 4), (MARGIN, 4)]);
        assert_eq!(broken(vec![line], 1).len(), 4);
    }
}
