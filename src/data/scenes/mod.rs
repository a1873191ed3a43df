//! Drawn scenes: coloured, textured shapes over textured ground, of any size, as many as are asked for. The default for tasks that
//! are asked of places in the image, for which no real data can be embedded; and a source of answers that are exactly right.
//!
//! Every answer is read off the finished picture: the class is that of the shape of which most is to be seen, a box surrounds the
//! pixels of its object that are to be seen, the mask names the shape at each pixel, the count is that of the boxes.
//!
//! ```
//! use limbeck::data::{compose::Samples, scenes::{self, SceneTask, Scenes}};
//!
//! let samples = Samples { train: 8, val: 2, test: 2 };
//! let questions = vec![SceneTask::Class, SceneTask::Boxes, SceneTask::Mask, SceneTask::Count];
//! let data = scenes::load(&Scenes { size: [48, 64], samples, objects: 4, questions, seed: 0 })?;
//! assert_eq!(data.train.images.image_len(), 48 * 64 * 3);
//! assert_eq!(data.tasks[2].classes[0], "ground");
//! # Ok::<(), limbeck::Error>(())
//! ```

mod paint;
mod shape;
#[cfg(test)]
mod tests;

use super::compose::Samples;
use super::{Dataset, Images, Labels, Object, Split, Task, TaskKind, seed};
use crate::geometry::Rect;
use crate::{Error, Result};
use paint::{COLOURS, Picture};
use shape::SHAPES;

/// What may be asked of a scene, each a task of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum SceneTask {
    /// The shape of which most is to be seen.
    Class,
    /// Which colours are to be seen, of objects.
    Colours,
    /// The objects: box and shape.
    Boxes,
    /// The shape at each pixel, or ground.
    Mask,
    /// How many objects there are.
    Count,
    /// How far away each pixel is: the ground rises towards the horizon, objects stand on it.
    Depth,
}

impl SceneTask {
    /// All of them with the names of their tasks.
    pub const ALL: [(&'static str, SceneTask); 6] = [
        ("class", SceneTask::Class),
        ("colours", SceneTask::Colours),
        ("boxes", SceneTask::Boxes),
        ("mask", SceneTask::Mask),
        ("count", SceneTask::Count),
        ("depth", SceneTask::Depth),
    ];

    /// The task's name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, q)| *q == self).map_or("", |(name, _)| name)
    }

    /// What kind of answer it asks for.
    pub fn kind(self) -> TaskKind {
        match self {
            SceneTask::Class => TaskKind::Class,
            SceneTask::Colours => TaskKind::Attributes,
            SceneTask::Boxes => TaskKind::Boxes,
            SceneTask::Mask => TaskKind::Mask,
            SceneTask::Count => TaskKind::Number,
            SceneTask::Depth => TaskKind::Depth,
        }
    }

    fn task(self) -> Task {
        let with_ground: Vec<&str> = ["ground"].into_iter().chain(SHAPES).collect();
        let classes: &[&str] = match self {
            SceneTask::Class | SceneTask::Boxes => &SHAPES,
            SceneTask::Colours => &COLOURS.map(|(name, _)| name),
            SceneTask::Mask => &with_ground,
            SceneTask::Count | SceneTask::Depth => &[],
        };
        Task { counts: self == SceneTask::Count, ..Task::new(self.name(), self.kind(), classes) }
    }
}

/// Which scenes are drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenes {
    /// Height and width of a picture, at least 16 each.
    pub size: [usize; 2],
    /// How many there are in each split.
    pub samples: Samples,
    /// Objects in a scene at most; there is at least one.
    pub objects: usize,
    /// What is asked of them.
    pub questions: Vec<SceneTask>,
    /// Decides everything. A scene depends on its split and its number alone, so that more of them begin with the same ones.
    pub seed: u64,
}

/// Draws the scenes.
///
/// # Errors
/// [`Error::Invalid`] for pictures that are too small or too large, no object, or a question that is asked twice or not at all.
pub fn load(scenes: &Scenes) -> Result<Dataset> {
    let [h, w] = scenes.size;
    if !(16..=4096).contains(&h) || !(16..=4096).contains(&w) || !(1..=100).contains(&scenes.objects) {
        let n = scenes.objects;
        return Err(Error::Invalid(format!(
            "scenes of {h}x{w} with up to {n} objects: sides are from 16 to 4096 pixels, objects from 1 to 100"
        )));
    }
    if let Some(twice) = (1..scenes.questions.len()).find(|i| scenes.questions[..*i].contains(&scenes.questions[*i])) {
        return Err(Error::Invalid(format!("{:?} is asked twice", scenes.questions[twice].name())));
    }
    let Samples { train, val, test } = scenes.samples;
    let data = Dataset {
        name: "scenes".into(),
        tasks: scenes.questions.iter().map(|q| q.task()).collect(),
        train: split(scenes, "train", train)?,
        val: split(scenes, "val", val)?,
        test: split(scenes, "test", test)?,
        skipped: Vec::new(),
    };
    data.check()?;
    Ok(data)
}

fn split(scenes: &Scenes, name: &str, count: usize) -> Result<Split> {
    let mut images = Images::black(count, scenes.size, 3)?;
    let branch = seed::derive(scenes.seed, name);
    let mut answers: Vec<Labels> = scenes.questions.iter().map(|q| none(*q)).collect();
    let len = images.image_len().max(1);
    for (i, pixels) in images.pixels.chunks_exact_mut(len).enumerate() {
        let picture = Picture::draw(scenes.size, scenes.objects, seed::derive_n(branch, i as u64));
        pixels.copy_from_slice(&picture.pixels);
        for (question, labels) in scenes.questions.iter().zip(&mut answers) {
            labels.extend(answer(*question, &picture))?;
        }
    }
    Ok(Split { images, labels: answers, files: Vec::new(), originals: None })
}

/// No answer yet.
fn none(question: SceneTask) -> Labels {
    match question {
        SceneTask::Class => Labels::Class(Vec::new()),
        SceneTask::Colours => Labels::Attributes { count: COLOURS.len(), answers: Vec::new() },
        SceneTask::Boxes => Labels::Boxes(Vec::new()),
        SceneTask::Mask => Labels::Mask(Vec::new()),
        SceneTask::Count => Labels::Number(Vec::new()),
        SceneTask::Depth => Labels::Depth(Vec::new()),
    }
}

/// The answer to one question about one picture.
fn answer(question: SceneTask, picture: &Picture) -> Labels {
    match question {
        SceneTask::Class => {
            let areas: Vec<usize> = (0..picture.things.len()).map(|i| picture.area(i)).collect();
            // The first of equals.
            let most = (0..areas.len()).fold(0, |best, i| if areas[i] > areas[best] { i } else { best });
            Labels::Class(picture.things.get(most).map(|t| t.shape as u32).into_iter().collect())
        }
        SceneTask::Colours => {
            let seen = |c: usize| f32::from(u8::from(picture.things.iter().any(|t| t.colour == c)));
            Labels::Attributes { count: COLOURS.len(), answers: (0..COLOURS.len()).map(seen).collect() }
        }
        SceneTask::Boxes => {
            let object = |i: usize| {
                let shape = picture.things[i].shape as u32;
                Some(Object { area: picture.area(i) as f32, ..Object::new(picture.bounds(i)?, shape) })
            };
            Labels::Boxes(vec![Some((0..picture.things.len()).filter_map(object).collect())])
        }
        SceneTask::Mask => {
            let class = |owner: &u8| match owner.checked_sub(1) {
                Some(i) => picture.things[usize::from(i)].shape as u8 + 1,
                None => 0,
            };
            Labels::Mask(picture.owner.iter().map(class).collect())
        }
        SceneTask::Count => Labels::Number(vec![picture.things.len() as f32]),
        SceneTask::Depth => Labels::Depth(picture.depth.clone()),
    }
}

impl Picture {
    /// Pixels of object `i` that are to be seen.
    fn area(&self, i: usize) -> usize {
        self.owner.iter().filter(|o| usize::from(**o) == i + 1).count()
    }

    /// The box around them; `None` without any.
    fn bounds(&self, i: usize) -> Option<Rect> {
        let own = self.owner.iter().enumerate().filter(|(_, o)| usize::from(**o) == i + 1);
        let corners = own.flat_map(|(p, _)| {
            let (x, y) = ((p % self.size[1]) as f32, (p / self.size[1]) as f32);
            [[x, y], [x + 1.0, y + 1.0]]
        });
        Rect::around(corners)
    }
}
