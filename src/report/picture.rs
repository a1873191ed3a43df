//! What a network says of an image, drawn upon it: masks as colour, boxes with their names, depth beside it, the rest in words below.

mod boxes;
mod canvas;
mod colours;

use image::{Rgb, RgbImage};

use crate::checkpoint::ModelCard;
use crate::files::write_atomic;
use crate::predict::TaskPrediction;
use crate::tasks::TaskOutput;
use crate::{Error, Result};
use boxes::Objects;
use canvas::{INK, fill, width_of, write};
use colours::{Colour, Colours, of_classes};
use std::collections::BTreeMap;
use std::path::Path;

const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
/// The longer side of a drawn image is at least this, and twice this where there are many objects.
const SIDE: usize = 448;
/// How much of a mask's colour covers the image.
const COVER: f32 = 0.5;
const MARGIN: i64 = 8;
const LINE: i64 = 20;
/// Room for a colour before its name.
const SWATCH: i64 = 24;

/// How answers are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureOptions {
    /// Objects whose score is lower are left out; 0.4 by default.
    pub least: f32,
    /// The names of all classes of a task, by the task's name, so that a class has the same colour in every picture. Without them the
    /// colours of boxes go by the names that are in the picture.
    pub classes: BTreeMap<String, Vec<String>>,
}

impl Default for PictureOptions {
    fn default() -> Self {
        PictureOptions { least: 0.4, classes: BTreeMap::new() }
    }
}

impl PictureOptions {
    /// For the answers of the network with this card.
    pub fn of(card: &ModelCard) -> Self {
        let classes = card.tasks.iter().map(|task| (task.name.clone(), task.classes.clone()));
        PictureOptions { classes: classes.collect(), ..PictureOptions::default() }
    }
}

/// [`prediction_png_with`], as it is by default.
///
/// # Errors
/// As [`prediction_png_with`].
pub fn prediction_png(
    pixels: &[u8],
    image: [usize; 3],
    predictions: &[TaskPrediction],
    path: impl AsRef<Path>,
) -> Result<()> {
    prediction_png_with(pixels, image, predictions, &PictureOptions::default(), path)
}

/// A picture of `predictions` about an image of `[height, width, channels]` bytes, in whose pixels they are; enlarged by whole pixels
/// where it is small; as a PNG file. Masks cover it half; more than twenty boxes have thin lines, and the twenty surest their scores where
/// there is room. Below it stand the classes that are there, each with its colour.
///
/// # Errors
/// [`Error::Shape`] where the bytes are not that image's; [`Error::Io`] where the file cannot be written.
pub fn prediction_png_with(
    pixels: &[u8],
    image: [usize; 3],
    predictions: &[TaskPrediction],
    options: &PictureOptions,
    path: impl AsRef<Path>,
) -> Result<()> {
    let picture = draw(pixels, image, predictions, options)?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::Invalid(format!("{} cannot be drawn: {e}", path.as_ref().display())))?;
    write_atomic(path.as_ref(), bytes.get_ref())
}

fn draw(
    pixels: &[u8],
    [h, w, c]: [usize; 3],
    predictions: &[TaskPrediction],
    options: &PictureOptions,
) -> Result<RgbImage> {
    if pixels.len() != h * w * c || !matches!(c, 1 | 3) || h * w == 0 {
        return Err(Error::Shape(format!("{} bytes for a picture of {h}x{w}x{c}", pixels.len())));
    }
    let objects: Vec<Objects> = predictions.iter().filter_map(|p| Objects::of(p, options)).collect();
    let side = if objects.iter().any(Objects::crowded) { 2 * SIDE } else { SIDE };
    let scale = side.div_ceil(h.max(w)).max(1);
    let depths: Vec<Vec<u8>> = predictions.iter().filter_map(depth_of).map(|depth| shades(depth)).collect();
    let masks: Vec<(&Vec<u8>, Colours)> = predictions.iter().filter_map(mask_of).collect();
    let panels = 1 + depths.len();
    let width = panels * w * scale + (panels - 1) * MARGIN as usize;
    let words = broken(words(predictions, &objects), width as i64);
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
    objects.iter().for_each(|objects| objects.draw(&mut canvas, scale, [h * scale, w * scale], &mut taken));
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
        TaskOutput::Mask { classes, names, .. } => Some((classes, of_classes(names))),
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

/// A word, or a colour and what it stands for.
type Piece = (Option<Colour>, String);

/// The lines below the image: answers in words, and what the colours of masks and boxes mean.
fn words(predictions: &[TaskPrediction], objects: &[Objects]) -> Vec<Vec<Piece>> {
    let plain = |text: &str| -> Vec<Piece> { text.split_inclusive(' ').map(|word| (None, word.to_string())).collect() };
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    for prediction in predictions {
        let text = format!("{}: {}", prediction.task, prediction.answer);
        match &prediction.answer {
            TaskOutput::Mask { names, classes, .. } => {
                let mut there = [false; 256];
                classes.iter().for_each(|class| there[usize::from(*class)] = true);
                let all = of_classes(names).into_iter().zip(names).zip(there);
                let swatch = |((colour, name), there): ((Option<Colour>, &String), bool)| {
                    there.then_some((Some(colour?), name.clone()))
                };
                lines.push(plain(&format!("{}:", prediction.task)).into_iter().chain(all.filter_map(swatch)).collect());
            }
            TaskOutput::Boxes { .. } => {
                if let Some(own) = objects.iter().find(|own| own.task == prediction.task) {
                    let legend = own.legend.iter().map(|(colour, text)| (Some(*colour), text.clone()));
                    lines.push(plain(&format!("{}:", prediction.task)).into_iter().chain(legend).collect());
                }
            }
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

#[cfg(test)]
mod tests {
    use super::colours::FIRST;
    use super::*;
    use crate::geometry::Rect;
    use crate::tasks::DetectedObject;

    fn drawn(pixels: &[u8], image: [usize; 3], predictions: &[TaskPrediction]) -> Result<RgbImage> {
        draw(pixels, image, predictions, &PictureOptions::default())
    }

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
        let picture = drawn(&[100; 8 * 10 * 3], [8, 10, 3], &predictions()).unwrap();
        let scale = SIDE.div_ceil(10) as u32;
        let (w, h) = (10 * scale, 8 * scale);
        // Two panels, and lines for class, boxes, mask, depth and count.
        assert_eq!(
            (picture.width(), picture.height()),
            (2 * w + MARGIN as u32, h + 5 * LINE as u32 + 2 * MARGIN as u32)
        );
        let at = |x: f32, y: f32| picture.get_pixel((x * scale as f32) as u32, (y * scale as f32) as u32).0;
        assert_eq!(at(8.5, 1.5), [100; 3]);
        // The frame's left edge, and the unsure box nowhere.
        assert_eq!(at(2.02, 5.0), FIRST[1]);
        assert_eq!(at(0.02, 4.0), [100; 3]);
        // The one pixel of the mask, half covered; the nearest and the farthest of depth.
        assert_eq!(at(9.5, 7.5), [165, 129, 50]);
        assert_eq!(picture.get_pixel(w + MARGIN as u32, 0).0, [255; 3]);
        assert_eq!(picture.get_pixel(2 * w + MARGIN as u32 - 1, h - 1).0, [0; 3]);
        assert!(drawn(&[0; 5], [8, 10, 3], &[]).is_err());
    }

    #[test]
    fn masks_cover_half_and_leave_the_ground() {
        let names = ["person", "Background", "sky"].map(String::from);
        let mask = |names: &[String]| {
            let answer = TaskOutput::Mask { size: [2, 2], names: names.to_vec(), classes: vec![0, 0, 1, 1] };
            [TaskPrediction { task: "mask".into(), answer }]
        };
        let picture = drawn(&[100; 2 * 2], [2, 2, 1], &mask(&names)).unwrap();
        assert_eq!((picture.get_pixel(1, 1).0, picture.get_pixel(1, 447).0), ([165, 129, 50], [100; 3]));
        let line = [(None, "mask:".to_string()), (Some(FIRST[0]), "person".to_string())];
        assert_eq!(words(&mask(&names), &[])[0], line);
    }

    #[test]
    fn a_crowd_is_drawn_larger() {
        let one = |i: usize| DetectedObject {
            label: format!("class {}", i % 30),
            score: 0.9,
            rect: Rect::from_size((i % 10) as f32, (i / 10) as f32, 1.0, 1.0),
        };
        let answer = TaskOutput::Boxes { objects: (0..60).map(one).collect() };
        let crowd = [TaskPrediction { task: "boxes".into(), answer }];
        let picture = drawn(&[0; 8 * 10], [8, 10, 1], &crowd).unwrap();
        assert!(picture.width() >= 2 * SIDE as u32, "{}", picture.width());
        // Thirty classes, thirty colours.
        let objects = [Objects::of(&crowd[0], &PictureOptions::default()).unwrap()];
        let line = &words(&crowd, &objects)[0];
        let colours: std::collections::BTreeSet<Colour> = line.iter().filter_map(|(colour, _)| *colour).collect();
        assert_eq!((colours.len(), line.len()), (30, 31));
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
