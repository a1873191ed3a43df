//! Objects on a picture: frames in the colours of their classes, and what is written at them.

use image::{Rgb, RgbImage};

use super::PictureOptions;
use super::canvas::{Area, INK, edges, fill, free_place, some_place, write};
use super::colours::{Colour, of_classes};
use crate::geometry::Rect;
use crate::predict::TaskPrediction;
use crate::tasks::{DetectedObject, TaskOutput};

/// With more objects than this their lines are thin, and only so many, the surest, have anything written at them.
const CROWD: usize = 20;
/// Of a class called background, which masks leave as it is.
const GREY: Colour = [140, 140, 140];

/// The objects of a task that are drawn.
pub(super) struct Objects<'a> {
    /// The task.
    pub task: &'a str,
    /// The surest first, each with its class's colour.
    all: Vec<(&'a DetectedObject, Colour)>,
    /// Each class that is there: its colour, its name and how often.
    pub legend: Vec<(Colour, String)>,
}

impl<'a> Objects<'a> {
    /// Those of an answer that has any that is sure enough.
    pub(super) fn of(prediction: &'a TaskPrediction, options: &PictureOptions) -> Option<Self> {
        let TaskOutput::Boxes { objects } = &prediction.answer else { return None };
        let mut found: Vec<&str> = objects.iter().map(|o| o.label.as_str()).collect();
        found.sort_unstable();
        found.dedup();
        let known = options.classes.get(&prediction.task);
        let mut names: Vec<&str> = known.into_iter().flatten().map(String::as_str).collect();
        found.retain(|name| !names.contains(name));
        names.extend(found);
        let colours: Vec<Colour> = of_classes(&names).into_iter().map(|colour| colour.unwrap_or(GREY)).collect();
        let own = |object: &'a DetectedObject| {
            let class = names.iter().position(|name| *name == object.label)?;
            Some((object, *colours.get(class)?))
        };
        let all: Vec<_> = objects.iter().filter(|o| o.score >= options.least).filter_map(own).collect();
        let times = |name: &str| all.iter().filter(|(object, _)| object.label == name).count();
        let there = colours.iter().zip(&names).map(|(colour, name)| (*colour, *name, times(name)));
        let legend = there.filter(|(.., n)| *n > 0).map(|(colour, name, n)| (colour, format!("{name} {n} "))).collect();
        (!all.is_empty()).then(|| Objects { task: &prediction.task, all, legend })
    }

    /// Whether there are so many that a picture must be larger and its lines thinner.
    pub(super) fn crowded(&self) -> bool {
        self.all.len() > CROWD
    }

    /// Draws them on an image of `size`, height and width, that is enlarged `scale` times.
    pub(super) fn draw(&self, canvas: &mut RgbImage, scale: usize, size: [usize; 2], taken: &mut Vec<Area>) {
        let crowded = self.crowded();
        // The surest last, on top; what is written at them finds room first.
        for (found, colour) in self.all.iter().rev() {
            let place = on_canvas(&found.rect, scale);
            if crowded {
                edges(canvas, place, 1, Rgb(*colour));
            } else {
                let [x0, y0, x1, y1] = place;
                edges(canvas, [x0 - 1, y0 - 1, x1 + 1, y1 + 1], 4, INK);
                edges(canvas, place, 2, Rgb(*colour));
            }
        }
        for (found, colour) in self.all.iter().take(CROWD) {
            let place = on_canvas(&found.rect, scale);
            let percent = format!("{:.0}%", 100.0 * found.score);
            // In a crowd the colour alone tells the class, and nothing is written over something else.
            let (text, place) = if crowded {
                let place = free_place(&percent, place, size, taken);
                (percent, place)
            } else {
                let text = format!("{} {percent}", found.label);
                let place = some_place(&text, place, size, taken);
                (text, Some(place))
            };
            let Some(place) = place else { continue };
            fill(canvas, place, Rgb(*colour));
            write(canvas, &text, place[0] + 3, place[1] + 1, INK);
            taken.push(place);
        }
    }
}

/// A box's edges in pixels of the canvas.
fn on_canvas(rect: &Rect, scale: usize) -> Area {
    [rect.x0, rect.y0, rect.x1, rect.y1].map(|v| (f64::from(v) * scale as f64).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::super::colours::FIRST;
    use super::*;

    fn boxes(count: usize) -> TaskPrediction {
        let one = |i: usize| DetectedObject {
            label: ["disc", "cross", "ring"][i % 3].into(),
            score: 0.95 - i as f32 / 400.0,
            rect: Rect::from_size((i % 10 * 10) as f32, (i / 10 * 10) as f32, 8.0, 8.0),
        };
        TaskPrediction { task: "boxes".into(), answer: TaskOutput::Boxes { objects: (0..count).map(one).collect() } }
    }

    #[test]
    fn a_hundred_objects_have_thin_lines_and_a_legend() {
        let (options, scale) = (PictureOptions::default(), 9);
        let prediction = boxes(100);
        let objects = Objects::of(&prediction, &options).unwrap();
        assert!(objects.crowded());
        // By name; 0.95 - i / 400 is at least 0.4 for all.
        let legend: Vec<&str> = objects.legend.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(legend, ["cross 33 ", "disc 34 ", "ring 33 "]);
        let mut canvas = RgbImage::from_pixel(900, 900, Rgb([255; 3]));
        let mut taken = Vec::new();
        objects.draw(&mut canvas, scale, [900, 900], &mut taken);
        assert!(taken.len() <= CROWD && taken.len() >= CROWD / 2, "{}", taken.len());
        let apart = |a: &Area, b: &Area| a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
        assert!((1..taken.len()).all(|i| taken[..i].iter().all(|other| apart(&taken[i], other))));
        // The last one's frame: one pixel wide, white within.
        assert_eq!(canvas.get_pixel(90 * 9, 90 * 9 + 30).0, FIRST[1]);
        assert_eq!(canvas.get_pixel(90 * 9 + 1, 90 * 9 + 30).0, [255; 3]);
    }

    #[test]
    fn a_class_has_the_same_colour_in_every_picture() {
        let mut options = PictureOptions { least: 0.9, ..PictureOptions::default() };
        options.classes.insert("boxes".into(), ["ring", "disc", "star"].map(String::from).into());
        let prediction = boxes(2);
        let objects = Objects::of(&prediction, &options).unwrap();
        // `cross` is not among the classes, which is no reason to leave it out.
        assert_eq!(objects.legend, [(FIRST[1], "disc 1 ".to_string()), (FIRST[3], "cross 1 ".to_string())]);
        assert!(!objects.crowded());
        options.least = 0.96;
        assert!(Objects::of(&prediction, &options).is_none());
    }
}
