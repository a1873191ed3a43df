//! `source = "scenes"`: drawn scenes ([`crate::data::scenes`]), any size, any number, every kind of task. Needs no files.

use serde::Serialize;

use super::{RunData, Source, SourceKind, SourceOptions, keys};
use crate::Result;
use crate::data::compose::Samples;
use crate::data::scenes::{self, SceneTask};
use crate::data::{Dataset, TaskKind, seed};
use crate::settings::{KeyText, Section};

pub(super) static KIND: SourceKind = SourceKind {
    name: "scenes",
    keys: &[&[
        KeyText::new("size", "[height, width], each from 16 to 4096", "[64, 64]", "Height and width of a drawn scene."),
        keys::SAMPLES,
        KeyText::new("objects", "a whole number from 1 to 100", "4", "Objects in a scene at most."),
        KeyText::new(
            "tasks",
            "a list of the scene's tasks",
            "[\"class\", \"mask\", \"count\"]",
            "What is asked of the scenes; each is a task of its own: class, colours, boxes, mask, count, depth.",
        ),
    ]],
    tables: &[&[(
        "samples",
        &[
            KeyText::new("train", "a whole number of at least 1", "1600", "Training images."),
            KeyText::new("val", "a whole number of at least 1", "200", "Validation images."),
            KeyText::new("test", "a whole number of at least 1", "400", "Test images."),
        ],
    )]],
    read,
};

#[derive(Debug, Serialize)]
struct Scenes {
    /// Height and width in pixels.
    size: [usize; 2],
    /// How many are drawn for each split.
    samples: Samples,
    /// Objects in a scene at most.
    objects: usize,
    /// What is asked of them; each is a task of its own.
    tasks: Vec<SceneTask>,
}

fn read(s: &Section) -> Result<Source> {
    let scenes = Scenes {
        size: s.size("size", Some([64, 64]), 16, 4096)?,
        samples: keys::samples(s, [1600, 200, 400])?,
        objects: s.integer("objects", 4, 1, 100)?,
        tasks: keys::chosen_tasks(s, &SceneTask::ALL, &[SceneTask::Class, SceneTask::Mask, SceneTask::Count])?,
    };
    Source::new(&KIND, scenes)
}

impl SourceOptions for Scenes {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        self.tasks.iter().map(|task| (task.name(), task.kind())).collect()
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some(self.size)
    }

    fn load(&self, run: &RunData) -> Result<Dataset> {
        scenes::load(&scenes::Scenes {
            size: self.size,
            samples: self.samples,
            objects: self.objects,
            questions: self.tasks.clone(),
            seed: seed::derive(run.split_seed, "scenes"),
        })
    }

    fn moves(&self) -> bool {
        true
    }
}
