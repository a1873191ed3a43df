//! `source = "yolo"`: images with objects, labelled in YOLO's form: one text file for each image, boxes or polygons.

use std::path::PathBuf;

use serde::Serialize;

use super::annotated::{self, ObjectOptions, one_set, unused};
use super::keys::{self, BOXES, Names};
use super::{RunData, Source, SourceKind, SourceOptions};
use crate::Result;
use crate::data::Dataset;
use crate::data::formats::objects::TaskChoice;
use crate::data::formats::yolo;
use crate::settings::{Files, KeyText, REQUIRED, Section};

pub(super) static KIND: SourceKind = SourceKind {
    name: "yolo",
    keys: &[
        &[
            keys::IMAGES,
            KeyText::new(
                "labels",
                "a folder below data.root",
                REQUIRED,
                "The folder of the .txt files: boxes or polygons.",
            ),
            KeyText::new("names", "a YAML file with `names:`, or a list of names", REQUIRED, "The classes."),
            keys::VAL_FRACTION,
            keys::TEST_FRACTION,
        ],
        annotated::KEYS,
        annotated::MASKS,
    ],
    tables: &[annotated::TABLES, annotated::MASK_TABLES],
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
    /// Part of the images kept for validation.
    val_fraction: f64,
    /// Part of the images kept for the test.
    test_fraction: f64,
    #[serde(flatten)]
    shared: ObjectOptions,
}

fn read(s: &Section) -> Result<Source> {
    // There may be outlines, but most label boxes alone.
    let usual: &[_] = if s.has("masks") { &TaskChoice::ALL } else { &BOXES };
    let shared = ObjectOptions::read(s, &TaskChoice::ALL, usual)?;
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let yolo = Yolo {
        images: keys::images(s)?,
        labels: s.required("labels", "the folder of the .txt files below data.root")?.into(),
        names: keys::names(s)?,
        val_fraction,
        test_fraction,
        shared,
    };
    Source::new(&KIND, yolo)
}

impl SourceOptions for Yolo {
    fn shared(&self) -> Option<&ObjectOptions> {
        Some(&self.shared)
    }

    /// One folder of labels, cut into three.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let (images, labels) = (run.root.join(&self.images), run.root.join(&self.labels));
        let found = yolo::read(&images, &labels, &self.names.read(run)?, self.shared.on_error)?;
        let options = self.shared.options(run)?;
        let mut skipped = found.skipped;
        // Images are what the folder holds.
        skipped.extend(unused(None, &found.images, &skipped, &options));
        let fractions = [self.val_fraction, self.test_fraction];
        one_set(run, (&found.classes, &found.images, skipped), fractions, &self.shared.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.folder(&["images"], &self.images)?;
        files.folder(&["labels"], &self.labels)?;
        self.names.look(&["names"], files)?;
        self.shared.look(files)
    }
}
