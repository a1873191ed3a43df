//! `source = "yolo"`: images with objects, labelled in YOLO's form: one text file for each image, boxes or polygons.

use std::path::PathBuf;

use serde::Serialize;

use super::annotated::{self, one_set, options, unused};
use super::keys::{self, BOXES, MasksOptions, Names};
use super::{RunData, Source, SourceKind, SourceOptions};
use crate::Result;
use crate::data::formats::coco::OnError;
use crate::data::formats::objects::TaskChoice;
use crate::data::formats::yolo;
use crate::data::{Dataset, Limits, TaskKind};
use crate::settings::{Files, Section};

pub(super) static KIND: SourceKind = SourceKind {
    name: "yolo",
    keys: &[
        "images",
        "labels",
        "names",
        "size",
        "channels",
        "val_fraction",
        "test_fraction",
        "tasks",
        "on_error",
        "masks",
        "limit",
        "evaluate_on",
    ],
    tables: &[("masks", keys::MASKS), ("limit", keys::COUNTS)],
    read,
};

#[derive(Debug, Serialize)]
struct Yolo {
    /// The folder of the images, relative to `data.root`.
    images: PathBuf,
    /// The folder of the labels, relative to `data.root`.
    labels: PathBuf,
    /// The classes: a YAML file, relative to `data.root`, or their names from 0 on.
    names: Names,
    /// Height and width of the canvas on which every image is put, its proportions kept.
    size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    channels: usize,
    /// Part of the images kept for validation.
    val_fraction: f64,
    /// Part of the images kept for the test.
    test_fraction: f64,
    /// What is asked of them; each is a task of its own.
    tasks: Vec<TaskChoice>,
    /// What is done with images and labels that cannot be used.
    on_error: OnError,
    /// Masks in files of their own; drawn from the objects' outlines where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    masks: Option<MasksOptions>,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limits::is_none")]
    limit: Limits,
}

fn read(s: &Section) -> Result<Source> {
    // There may be outlines, but most label boxes alone.
    let tasks = match s.has("masks") {
        true => keys::chosen_tasks(s, &TaskChoice::ALL, &TaskChoice::ALL.map(|(_, task)| task))?,
        false => keys::chosen_tasks(s, &TaskChoice::ALL, &BOXES.map(|(_, task)| task))?,
    };
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let yolo = Yolo {
        images: keys::images(s)?,
        labels: s.required("labels", "the folder of the .txt files below data.root")?.into(),
        names: keys::names(s)?,
        size: keys::canvas(s)?,
        channels: keys::channels(s)?,
        val_fraction,
        test_fraction,
        on_error: s.choice("on_error", OnError::Fail)?,
        masks: keys::masks(s, &tasks)?,
        limit: keys::limit(s)?,
        tasks,
    };
    Source::new(&KIND, yolo)
}

impl SourceOptions for Yolo {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        annotated::tasks(&self.tasks)
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some(self.size)
    }

    /// One folder of labels, cut into three.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let (images, labels) = (run.root.join(&self.images), run.root.join(&self.labels));
        let found = yolo::read(&images, &labels, &self.names.read(run)?, self.on_error)?;
        let canvas = (self.size, self.channels);
        let options = options(run, canvas, &self.tasks, self.masks.as_ref(), self.on_error)?;
        let mut skipped = found.skipped;
        // Images are what the folder holds.
        skipped.extend(unused(None, &found.images, &skipped, &options));
        let fractions = [self.val_fraction, self.test_fraction];
        one_set(run, (&found.classes, &found.images, skipped), fractions, &self.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.folder(&["images"], &self.images)?;
        files.folder(&["labels"], &self.labels)?;
        self.names.look(&["names"], files)?;
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
