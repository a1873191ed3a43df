//! `source = "panoptic"`: images every pixel of which is annotated in COCO's panoptic form.

use std::path::PathBuf;

use serde::Serialize;

use super::annotated::{self, ObjectOptions, one_set, unused};
use super::{RunData, Source, SourceKind, SourceOptions, keys};
use crate::Result;
use crate::data::Dataset;
use crate::data::formats::find::ImageFinder;
use crate::data::formats::objects::{self, TaskChoice};
use crate::data::formats::panoptic;
use crate::settings::{Files, KeyText, REQUIRED, Section};

pub(super) static KIND: SourceKind = SourceKind {
    name: "panoptic",
    keys: &[
        &[
            keys::IMAGES,
            KeyText::new(
                "annotations",
                "a JSON file below data.root",
                REQUIRED,
                "The annotations in COCO's panoptic form.",
            ),
            KeyText::new(
                "segments",
                "a folder below data.root",
                REQUIRED,
                "The folder of the PNG files whose colours number segments.",
            ),
            keys::VAL_FRACTION,
            keys::TEST_FRACTION,
        ],
        annotated::KEYS,
    ],
    tables: &[annotated::TABLES],
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
    /// Part of the images kept for validation.
    val_fraction: f64,
    /// Part of the images kept for the test.
    test_fraction: f64,
    #[serde(flatten)]
    shared: ObjectOptions,
}

fn read(s: &Section) -> Result<Source> {
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let panoptic = Panoptic {
        images: keys::images(s)?,
        annotations: s.required("annotations", "a file of panoptic annotations below data.root")?.into(),
        segments: s.required("segments", "the folder of the segments' .png files below data.root")?.into(),
        val_fraction,
        test_fraction,
        shared: ObjectOptions::read(s, &TaskChoice::ALL, &TaskChoice::ALL)?,
    };
    Source::new(&KIND, panoptic)
}

impl SourceOptions for Panoptic {
    fn shared(&self) -> Option<&ObjectOptions> {
        Some(&self.shared)
    }

    /// One file of segments, cut into three.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let [file, images, segments] =
            [&self.annotations, &self.images, &self.segments].map(|path| run.root.join(path));
        let others =
            [segments.clone()].into_iter().chain(self.shared.beside_images(run)).filter(|other| *other != images);
        let finder = ImageFinder::new(&images).excluding(others.collect());
        let found = panoptic::read(&file, &finder, &segments, self.shared.on_error)?;
        let masks = objects::Masks::Segments(found.classes);
        let options = objects::Options { masks, ..self.shared.options(run)? };
        let mut skipped = found.skipped;
        skipped.extend(unused(Some(&images), &found.images, &skipped, &options));
        let fractions = [self.val_fraction, self.test_fraction];
        one_set(run, (&found.things, found.images, skipped), fractions, &self.shared.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.file(&["annotations"], &self.annotations)?;
        files.folder(&["images"], &self.images)?;
        files.folder(&["segments"], &self.segments)?;
        self.shared.look(files)
    }
}
