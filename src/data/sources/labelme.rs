//! `source = "labelme"`: images with objects, annotated with labelme: one JSON file for each image, rectangles and polygons.

use std::path::PathBuf;

use serde::Serialize;

use super::annotated::{self, ObjectOptions, one_set, unused};
use super::keys::{self, BOXES};
use super::{RunData, Source, SourceKind, SourceOptions};
use crate::data::Dataset;
use crate::data::formats::find::ImageFinder;
use crate::data::formats::labelme;
use crate::data::formats::objects::TaskChoice;
use crate::settings::{Files, KeyText, NOT_SET, REQUIRED, Section};
use crate::{Error, Result};

pub(super) static KIND: SourceKind = SourceKind {
    name: "labelme",
    keys: &[
        &[
            KeyText::new("annotations", "a folder below data.root", REQUIRED, "The folder of the .json files."),
            KeyText::new(
                "images",
                "a folder below data.root",
                NOT_SET,
                "The folder of images that are not where their files say; beside the files where absent.",
            ),
            keys::CLASSES,
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
struct Labelme {
    /// The folder of the .json files, relative to `data.root`.
    annotations: PathBuf,
    /// The folder of the images that are not where their files say; beside the files where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<PathBuf>,
    /// Names of the classes; every label that occurs, sorted, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
    /// Part of the images kept for validation.
    val_fraction: f64,
    /// Part of the images kept for the test.
    test_fraction: f64,
    #[serde(flatten)]
    shared: ObjectOptions,
}

fn read(s: &Section) -> Result<Source> {
    // There may be polygons, but rectangles say nothing of pixels.
    let usual: &[_] = if s.has("masks") { &TaskChoice::ALL } else { &BOXES };
    let shared = ObjectOptions::read(s, &TaskChoice::ALL, usual)?;
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let labelme = Labelme {
        annotations: s.required("annotations", "the folder of the .json files below data.root")?.into(),
        images: s.text("images", "the folder of the images below data.root")?.map(PathBuf::from),
        classes: s.list("classes", "a list of class names in quotes", |v| v.as_str().map(str::to_string))?,
        val_fraction,
        test_fraction,
        shared,
    };
    Source::new(&KIND, labelme)
}

impl SourceOptions for Labelme {
    fn shared(&self) -> Option<&ObjectOptions> {
        Some(&self.shared)
    }

    /// One folder of annotations, cut into three.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let folder = run.root.join(&self.annotations);
        let images = self.images.as_ref().map_or_else(|| folder.clone(), |path| run.root.join(path));
        // Masks may lie among the images; what lies in a folder of their own is none.
        let others = self.shared.beside_images(run).into_iter().filter(|other| *other != images).collect();
        let finder = ImageFinder::new(&images).excluding(others);
        let found = labelme::read(&folder, &finder, self.classes.as_deref(), self.shared.on_error)?;
        if found.classes.is_empty() {
            return Err(Error::data(&folder, "", "no file has a shape; is it the right folder?"));
        }
        let options = self.shared.options(run)?;
        let mut skipped = found.skipped;
        skipped.extend(unused(Some(&images), &found.images, &skipped, &options));
        let fractions = [self.val_fraction, self.test_fraction];
        one_set(run, (&found.classes, found.images, skipped), fractions, &self.shared.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.folder(&["annotations"], &self.annotations)?;
        if let Some(images) = &self.images {
            files.folder(&["images"], images)?;
        }
        self.shared.look(files)
    }
}
