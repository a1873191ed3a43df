//! `source = "coco"`: images with objects, annotated in COCO's form: boxes, and outlines as polygons or run lengths.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::annotated::{self, ObjectOptions, complete, limited, listed, unused};
use super::{RunData, Source, SourceKind, SourceOptions, keys};
use crate::data::Dataset;
use crate::data::formats::coco::{self, Instances};
use crate::data::formats::find::{ImageFinder, identity};
use crate::data::formats::objects::{self, TaskChoice};
use crate::settings::{Files, KeyText, NOT_SET, REQUIRED, Section};
use crate::{Error, Result};

pub(super) static KIND: SourceKind = SourceKind {
    name: "coco",
    keys: &[
        &[
            keys::IMAGES,
            KeyText::new("train", "a file of COCO instances below data.root", REQUIRED, "The training images."),
            KeyText::new(
                "val",
                "a file of COCO instances below data.root",
                NOT_SET,
                "The validation images; cut from the training images where absent.",
            ),
            KeyText::new(
                "test",
                "a file of COCO instances below data.root",
                NOT_SET,
                "The test images; cut from the training images where absent.",
            ),
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
struct Coco {
    /// The folder of the images, relative to `data.root`.
    images: PathBuf,
    /// The file of the training images, relative to `data.root`.
    train: PathBuf,
    /// The file of the validation images; cut from the training images where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    val: Option<PathBuf>,
    /// The file of the test images; cut from the training images where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<PathBuf>,
    /// Part of the images kept for validation, where it is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    val_fraction: Option<f64>,
    /// Part of the images kept for the test, where it is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    test_fraction: Option<f64>,
    #[serde(flatten)]
    shared: ObjectOptions,
}

const FILE: &str = "a file of COCO instances below data.root";

fn read(s: &Section) -> Result<Source> {
    let shared = ObjectOptions::read(s, &TaskChoice::ALL, &TaskChoice::ALL)?;
    let images = keys::images(s)?;
    let train = s.required("train", FILE)?.into();
    let [val, test] = ["val", "test"].map(|key| Ok::<_, Error>(s.text(key, FILE)?.map(PathBuf::from)));
    let (val, test) = (val?, test?);
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let (val_fraction, test_fraction) =
        (val.is_none().then_some(val_fraction), test.is_none().then_some(test_fraction));
    Source::new(&KIND, Coco { images, train, val, test, val_fraction, test_fraction, shared })
}

impl SourceOptions for Coco {
    fn shared(&self) -> Option<&ObjectOptions> {
        Some(&self.shared)
    }

    /// Files of instances, of the categories of the first; what has no file is cut from it.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let folder = run.root.join(&self.images);
        let read = |file: &Path| {
            // Masks may lie among the images; what lies in a folder of their own is none.
            let others = self.shared.beside_images(run).into_iter().filter(|other| *other != folder).collect();
            let finder = ImageFinder::new(&folder).beside(file).excluding(others);
            coco::read(file, &finder, self.shared.on_error)
        };
        let first = run.root.join(&self.train);
        let found = read(&first)?;
        let train = objects::of_instances(&found);
        let Instances { classes, mut skipped, .. } = found;
        let learnt: BTreeSet<PathBuf> = train.iter().map(|a| identity(&a.path)).collect();
        let mut held = |file: &PathBuf| {
            let file = run.root.join(file);
            let mut found = read(&file)?;
            found.number_by(&file, &classes, &first, self.shared.on_error)?;
            let part = objects::of_instances(&found);
            if let Some(twice) = part.iter().find(|a| learnt.contains(&identity(&a.path))) {
                let message =
                    format!("{} is a training image too; what is tested must not be learnt", twice.path.display());
                return Err(Error::data(file, "images", message));
            }
            skipped.extend(found.skipped);
            Ok(part)
        };
        let [val, test] = [&self.val, &self.test].map(|file| file.as_ref().map(&mut held).transpose());
        let options = self.shared.options(run)?;
        let parts = match listed(run, [Some(train), val?, test?], &options, &mut skipped)? {
            // Those of validation and test may be the same images.
            [Some(train), Some(val), Some(test)] => [train, val, test],
            parts => {
                let fractions = [self.val_fraction, self.test_fraction].map(Option::unwrap_or_default);
                complete(parts, fractions, run.split_seed)?
            }
        };
        skipped.extend(unused(Some(&folder), parts.iter().flatten(), &skipped, &options));
        limited(run, (&classes, skipped), parts, &self.shared.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.file(&["train"], &self.train)?;
        for (key, path) in [("val", &self.val), ("test", &self.test)] {
            path.as_ref().map_or(Ok(()), |path| files.file(&[key], path))?;
        }
        files.folder(&["images"], &self.images)?;
        self.shared.look(files)
    }
}
