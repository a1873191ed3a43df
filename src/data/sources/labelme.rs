//! `source = "labelme"`: images with objects, annotated with labelme: one JSON file for each image, rectangles and polygons.

use std::path::PathBuf;

use serde::Serialize;

use super::annotated::{self, one_set, options, unused};
use super::keys::{self, BOXES, MasksOptions};
use super::{RunData, Source, SourceKind, SourceOptions};
use crate::data::formats::coco::OnError;
use crate::data::formats::labelme;
use crate::data::formats::objects::TaskChoice;
use crate::data::{Dataset, Limits, TaskKind};
use crate::settings::{Files, Section};
use crate::{Error, Result};

pub(super) static KIND: SourceKind = SourceKind {
    name: "labelme",
    keys: &[
        "annotations",
        "images",
        "classes",
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
struct Labelme {
    /// The folder of the .json files, relative to `data.root`.
    annotations: PathBuf,
    /// The folder of the images that are not where their files say; beside the files where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<PathBuf>,
    /// Names of the classes; every label that occurs, sorted, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
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
    /// Masks in files of their own; drawn from the polygons where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    masks: Option<MasksOptions>,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limits::is_none")]
    limit: Limits,
}

fn read(s: &Section) -> Result<Source> {
    // There may be polygons, but rectangles say nothing of pixels.
    let tasks = match s.has("masks") {
        true => keys::chosen_tasks(s, &TaskChoice::ALL, &TaskChoice::ALL.map(|(_, task)| task))?,
        false => keys::chosen_tasks(s, &TaskChoice::ALL, &BOXES.map(|(_, task)| task))?,
    };
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let labelme = Labelme {
        annotations: s.required("annotations", "the folder of the .json files below data.root")?.into(),
        images: s.text("images", "the folder of the images below data.root")?.map(PathBuf::from),
        classes: s.list("classes", "a list of class names in quotes", |v| v.as_str().map(str::to_string))?,
        size: keys::canvas(s)?,
        channels: keys::channels(s)?,
        val_fraction,
        test_fraction,
        on_error: s.choice("on_error", OnError::Fail)?,
        masks: keys::masks(s, &tasks)?,
        limit: keys::limit(s)?,
        tasks,
    };
    Source::new(&KIND, labelme)
}

impl SourceOptions for Labelme {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        annotated::tasks(&self.tasks)
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some(self.size)
    }

    /// One folder of annotations, cut into three.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let (folder, images) = (run.root.join(&self.annotations), self.images.as_ref().map(|path| run.root.join(path)));
        let found = labelme::read(&folder, images.as_deref(), self.classes.as_deref(), self.on_error)?;
        if found.classes.is_empty() {
            return Err(Error::data(&folder, "", "no file has a shape; is it the right folder?"));
        }
        let canvas = (self.size, self.channels);
        let options = options(run, canvas, &self.tasks, self.masks.as_ref(), self.on_error)?;
        let mut skipped = found.skipped;
        skipped.extend(unused(Some(images.as_deref().unwrap_or(&folder)), &found.images, &skipped, &options));
        let fractions = [self.val_fraction, self.test_fraction];
        one_set(run, (&found.classes, &found.images, skipped), fractions, &self.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.folder(&["annotations"], &self.annotations)?;
        if let Some(images) = &self.images {
            files.folder(&["images"], images)?;
        }
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
