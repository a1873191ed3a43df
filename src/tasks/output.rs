//! What a network says of an image about one task.

use std::fmt;

#[cfg(feature = "train")]
use crate::data::letterbox::Letterbox;
use crate::geometry::Rect;

/// An answer, by the task's kind.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(untagged))]
pub enum TaskOutput {
    /// One of several classes.
    Class {
        /// The most probable class.
        label: String,
        /// Its probability.
        probability: f32,
        /// Every class with its probability, in the order of the classes.
        probabilities: Vec<(String, f32)>,
    },
    /// Several questions, yes or no each.
    Attributes {
        /// Every attribute with the probability that it holds.
        attributes: Vec<(String, f32)>,
    },
    /// A number, in the units of the labels; never below 0 where they count things.
    Number {
        /// The number.
        value: f32,
    },
    /// A class of every pixel.
    Mask {
        /// Height and width.
        size: [usize; 2],
        /// The names of the classes.
        names: Vec<String>,
        /// `[h, w]`, by number.
        classes: Vec<u8>,
    },
    /// A number for every pixel, in the units of the labels.
    Depth {
        /// Height and width.
        size: [usize; 2],
        /// `[h, w]`.
        values: Vec<f32>,
    },
    /// Objects, the surest first.
    Boxes {
        /// What was found.
        objects: Vec<DetectedObject>,
    },
}

/// An object that was found.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "train", derive(serde::Serialize))]
pub struct DetectedObject {
    /// Its class.
    pub label: String,
    /// How sure it is, 0 to 1.
    pub score: f32,
    /// Its box, in pixels of the image.
    #[cfg_attr(feature = "train", serde(rename = "box"))]
    pub rect: Rect,
}

impl TaskOutput {
    /// An answer about a canvas, as one about the image that lies on it.
    #[cfg(feature = "train")]
    pub(crate) fn back(self, place: &Letterbox) -> Self {
        match self {
            TaskOutput::Mask { names, classes, .. } => {
                TaskOutput::Mask { size: place.from, names, classes: place.mask_back(&classes) }
            }
            TaskOutput::Depth { values, .. } => {
                TaskOutput::Depth { size: place.from, values: place.mask_back(&values) }
            }
            TaskOutput::Boxes { objects } => {
                let moved = objects.into_iter().map(|o| DetectedObject { rect: place.back(&o.rect), ..o });
                // What was found beside the image is not in it.
                TaskOutput::Boxes { objects: moved.filter(|o| o.rect.is_proper()).collect() }
            }
            other => other,
        }
    }

    /// The part of the pixels that each class has, the largest first, without those that have none.
    fn shares(names: &[String], classes: &[u8]) -> Vec<(String, f32)> {
        let mut counts = [0usize; 256];
        classes.iter().for_each(|class| counts[usize::from(*class)] += 1);
        let share = |(name, count): (&String, usize)| (name.clone(), count as f32 / classes.len().max(1) as f32);
        let mut all: Vec<(String, f32)> = names.iter().zip(counts).map(share).filter(|(_, s)| *s > 0.0).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all
    }

    /// The answer in words: `3 (98.1 %)`, `red 97 %, blue 3 %`, `2.07`, `ground 81 %, disc 19 %`, `0.12 to 0.93`, or the objects whose score is
    /// at least `least`: `disc 91 %, cross 64 %`.
    pub fn in_words(&self, least: f32) -> String {
        let percent = |name: &str, p: f32| format!("{name} {:.0} %", 100.0 * p);
        let percents = |all: &[(String, f32)]| {
            let all: Vec<String> = all.iter().map(|(name, p)| percent(name, *p)).collect();
            all.join(", ")
        };
        match self {
            TaskOutput::Class { label, probability, .. } => format!("{label} ({:.1} %)", 100.0 * probability),
            TaskOutput::Attributes { attributes } => percents(attributes),
            TaskOutput::Number { value } => format!("{value:.2}"),
            TaskOutput::Mask { names, classes, .. } => percents(&Self::shares(names, classes)),
            TaskOutput::Depth { values, .. } => {
                let low = values.iter().copied().fold(f32::MAX, f32::min);
                let high = values.iter().copied().fold(f32::MIN, f32::max);
                format!("{low:.2} to {high:.2}")
            }
            TaskOutput::Boxes { objects } => {
                let sure = objects.iter().filter(|o| o.score >= least);
                let all: Vec<String> = sure.map(|o| percent(&o.label, o.score)).collect();
                if all.is_empty() { "nothing".into() } else { all.join(", ") }
            }
        }
    }
}

/// [`TaskOutput::in_words`], with the objects that are more likely there than not.
impl fmt::Display for TaskOutput {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.in_words(0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_file() {
        // Twice as large on its canvas as in its file, with two rows above and below.
        let place = Letterbox::new([2, 4], [8, 8]);
        let found = |rect| DetectedObject { label: "disc".into(), score: 0.9, rect };
        let on_canvas = [Rect::from_size(2.0, 4.0, 4.0, 2.0), Rect::from_size(0.0, 0.0, 8.0, 1.0)];
        let boxes = TaskOutput::Boxes { objects: on_canvas.map(found).to_vec() }.back(&place);
        assert_eq!(boxes, TaskOutput::Boxes { objects: vec![found(Rect::from_size(1.0, 1.0, 2.0, 1.0))] });
        let classes = (0..64).map(|p| if (2..6).contains(&(p / 8)) { 1 + p as u8 % 8 / 4 } else { 9 }).collect();
        let mask = TaskOutput::Mask { size: [8, 8], names: Vec::new(), classes }.back(&place);
        assert_eq!(mask, TaskOutput::Mask { size: [2, 4], names: Vec::new(), classes: vec![1, 1, 2, 2, 1, 1, 2, 2] });
    }

    #[test]
    fn in_words() {
        let named = |all: &[(&str, f32)]| all.iter().map(|(n, p)| (n.to_string(), *p)).collect::<Vec<_>>();
        let class = TaskOutput::Class { label: "3".into(), probability: 0.981, probabilities: named(&[("3", 0.981)]) };
        assert_eq!(class.to_string(), "3 (98.1 %)");
        let attributes = TaskOutput::Attributes { attributes: named(&[("red", 0.97), ("blue", 0.03)]) };
        assert_eq!(attributes.to_string(), "red 97 %, blue 3 %");
        assert_eq!(TaskOutput::Number { value: 2.066 }.to_string(), "2.07");
        let names = ["ground", "disc", "cross"].map(String::from).to_vec();
        let mask = TaskOutput::Mask { size: [2, 2], names, classes: vec![1, 1, 0, 1] };
        assert_eq!(mask.to_string(), "disc 75 %, ground 25 %");
        let depth = TaskOutput::Depth { size: [1, 2], values: vec![0.93, 0.12] };
        assert_eq!(depth.to_string(), "0.12 to 0.93");
        let found = |label: &str, score| DetectedObject { label: label.into(), score, rect: Rect::default() };
        let boxes = TaskOutput::Boxes { objects: vec![found("disc", 0.91), found("cross", 0.64), found("disc", 0.3)] };
        assert_eq!(boxes.to_string(), "disc 91 %, cross 64 %");
        assert_eq!(boxes.in_words(0.7), "disc 91 %");
        assert_eq!(boxes.in_words(0.3), "disc 91 %, cross 64 %, disc 30 %");
        assert_eq!(TaskOutput::Boxes { objects: vec![found("disc", 0.3)] }.to_string(), "nothing");
    }
}
