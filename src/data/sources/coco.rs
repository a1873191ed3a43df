//! `source = "coco"`: images with objects, annotated in COCO's form: boxes, and outlines as polygons or run lengths.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::annotated::{self, limited, options, unused};
use super::keys::{self, MasksOptions};
use super::{RunData, Source, SourceKind, SourceOptions};
use crate::data::formats::coco::{self, OnError};
use crate::data::formats::objects::{self, TaskChoice};
use crate::data::{Dataset, Limits, Skipped, TaskKind};
use crate::settings::{Files, Section};
use crate::{Error, Result};

pub(super) static KIND: SourceKind = SourceKind {
    name: "coco",
    keys: &["images", "train", "val", "test", "size", "channels", "tasks", "on_error", "masks", "limit", "evaluate_on"],
    tables: &[("masks", keys::MASKS), ("limit", keys::COUNTS)],
    read,
};

#[derive(Debug, Serialize)]
struct Coco {
    /// The folder of the images, relative to `data.root`.
    images: PathBuf,
    /// The file of the training images, relative to `data.root`.
    train: PathBuf,
    /// The file of the validation images.
    val: PathBuf,
    /// The file of the test images.
    test: PathBuf,
    /// Height and width of the canvas on which every image is put, its proportions kept.
    size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    channels: usize,
    /// What is asked of them; each is a task of its own.
    tasks: Vec<TaskChoice>,
    /// What is done with images and annotations that cannot be used.
    on_error: OnError,
    /// Masks in files of their own; drawn from the objects' outlines where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    masks: Option<MasksOptions>,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limits::is_none")]
    limit: Limits,
}

fn read(s: &Section) -> Result<Source> {
    let file = |key| s.required(key, "a file of COCO instances below data.root").map(PathBuf::from);
    let tasks = keys::chosen_tasks(s, &TaskChoice::ALL, &TaskChoice::ALL.map(|(_, task)| task))?;
    let coco = Coco {
        images: keys::images(s)?,
        train: file("train")?,
        val: file("val")?,
        test: file("test")?,
        size: keys::canvas(s)?,
        channels: keys::channels(s)?,
        on_error: s.choice("on_error", OnError::Fail)?,
        masks: keys::masks(s, &tasks)?,
        limit: keys::limit(s)?,
        tasks,
    };
    Source::new(&KIND, coco)
}

impl SourceOptions for Coco {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        annotated::tasks(&self.tasks)
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some(self.size)
    }

    /// Three files of instances, of the same categories.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let files = [&self.train, &self.val, &self.test].map(|file| run.root.join(file));
        let [train, val, test] = &files;
        let read = |file| coco::read(file, self.on_error);
        let read = [read(train)?, read(val)?, read(test)?];
        for (path, other) in files.iter().zip(&read) {
            if other.classes != read[0].classes {
                let (own, first) = (other.classes.len(), read[0].classes.len());
                let message = format!("has other categories ({own}) than {} ({first})", train.display());
                return Err(Error::data(path, "categories", message));
            }
        }
        let folder = run.root.join(&self.images);
        let parts = [0, 1, 2].map(|i| objects::of_instances(&read[i], &folder));
        let learnt: BTreeSet<&PathBuf> = parts[0].iter().map(|a| &a.path).collect();
        for (file, part) in files.iter().zip(&parts).skip(1) {
            if let Some(twice) = part.iter().find(|a| learnt.contains(&a.path)) {
                let message =
                    format!("{} is a training image too; what is tested must not be learnt", twice.path.display());
                return Err(Error::data(file, "images", message));
            }
        }
        let canvas = (self.size, self.channels);
        let options = options(run, canvas, &self.tasks, self.masks.as_ref(), self.on_error)?;
        let classes = read[0].classes.clone();
        let mut skipped: Vec<Skipped> = read.into_iter().flat_map(|r| r.skipped).collect();
        skipped.extend(unused(Some(&folder), parts.iter().flatten(), &skipped, &options));
        let [train, val, test] = parts.map(|part| objects::present(part, &mut skipped));
        limited(run, (&classes, skipped), [train?, val?, test?], &self.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        for (key, path) in [("train", &self.train), ("val", &self.val), ("test", &self.test)] {
            files.file(&[key], path)?;
        }
        files.folder(&["images"], &self.images)?;
        self.masks.as_ref().map_or(Ok(()), |masks| masks.look(files))
    }

    fn limit(&self) -> Limits {
        self.limit
    }

    fn moves(&self) -> bool {
        true
    }

    fn letterboxed(&self) -> bool {
        true
    }
}
