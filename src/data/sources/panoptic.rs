//! `source = "panoptic"`: images every pixel of which is annotated in COCO's panoptic form.

use std::path::PathBuf;

use serde::Serialize;

use super::annotated::{self, one_set, options, unused};
use super::{RunData, Source, SourceKind, SourceOptions, keys};
use crate::Result;
use crate::data::formats::coco::OnError;
use crate::data::formats::objects::{self, TaskChoice};
use crate::data::formats::panoptic;
use crate::data::{Dataset, Limits, TaskKind};
use crate::settings::{Files, Section};

pub(super) static KIND: SourceKind = SourceKind {
    name: "panoptic",
    keys: &[
        "images",
        "annotations",
        "segments",
        "size",
        "channels",
        "val_fraction",
        "test_fraction",
        "tasks",
        "on_error",
        "limit",
        "evaluate_on",
    ],
    tables: &[("limit", keys::COUNTS)],
    read,
};

#[derive(Debug, Serialize)]
struct Panoptic {
    /// The folder of the images, relative to `data.root`.
    images: PathBuf,
    /// The JSON file, relative to `data.root`.
    annotations: PathBuf,
    /// The folder of the PNG files whose colours number segments, relative to `data.root`.
    segments: PathBuf,
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
    /// What is done with images and annotations that cannot be used.
    on_error: OnError,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limits::is_none")]
    limit: Limits,
}

fn read(s: &Section) -> Result<Source> {
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let panoptic = Panoptic {
        images: keys::images(s)?,
        annotations: s.required("annotations", "a file of panoptic annotations below data.root")?.into(),
        segments: s.required("segments", "the folder of the segments' .png files below data.root")?.into(),
        size: keys::canvas(s)?,
        channels: keys::channels(s)?,
        val_fraction,
        test_fraction,
        tasks: keys::chosen_tasks(s, &TaskChoice::ALL, &TaskChoice::ALL.map(|(_, task)| task))?,
        on_error: s.choice("on_error", OnError::Fail)?,
        limit: keys::limit(s)?,
    };
    Source::new(&KIND, panoptic)
}

impl SourceOptions for Panoptic {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        annotated::tasks(&self.tasks)
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some(self.size)
    }

    /// One file of segments, cut into three.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let [file, images, segments] =
            [&self.annotations, &self.images, &self.segments].map(|path| run.root.join(path));
        let found = panoptic::read(&file, &images, &segments, self.on_error)?;
        let options = options(run, (self.size, self.channels), &self.tasks, None, self.on_error)?;
        let options = objects::Options { masks: objects::Masks::Segments(found.classes), ..options };
        let mut skipped = found.skipped;
        skipped.extend(unused(Some(&images), &found.images, &skipped, &options));
        let all = objects::present(found.images, &mut skipped)?;
        let fractions = [self.val_fraction, self.test_fraction];
        one_set(run, (&found.things, &all, skipped), fractions, &self.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.file(&["annotations"], &self.annotations)?;
        files.folder(&["images"], &self.images)?;
        files.folder(&["segments"], &self.segments)
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
