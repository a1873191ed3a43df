//! `source = "coco"`: images with objects, annotated in COCO's form: boxes, and outlines as polygons or run lengths.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::annotated::{self, ObjectOptions, limited, unused};
use super::{RunData, Source, SourceKind, SourceOptions, keys};
use crate::data::formats::coco;
use crate::data::formats::find::{ImageFinder, identity};
use crate::data::formats::objects::{self, TaskChoice};
use crate::data::{Dataset, Skipped};
use crate::settings::{Files, KeyText, REQUIRED, Section};
use crate::{Error, Result};

pub(super) static KIND: SourceKind = SourceKind {
    name: "coco",
    keys: &[
        &[
            keys::IMAGES,
            KeyText::new("train", "a file of COCO instances below data.root", REQUIRED, "The training images."),
            KeyText::new("val", "a file of COCO instances below data.root", REQUIRED, "The validation images."),
            KeyText::new("test", "a file of COCO instances below data.root", REQUIRED, "The test images."),
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
    /// The file of the validation images.
    val: PathBuf,
    /// The file of the test images.
    test: PathBuf,
    #[serde(flatten)]
    shared: ObjectOptions,
}

fn read(s: &Section) -> Result<Source> {
    let file = |key| s.required(key, "a file of COCO instances below data.root").map(PathBuf::from);
    let shared = ObjectOptions::read(s, &TaskChoice::ALL, &TaskChoice::ALL)?;
    let coco = Coco { images: keys::images(s)?, train: file("train")?, val: file("val")?, test: file("test")?, shared };
    Source::new(&KIND, coco)
}

impl SourceOptions for Coco {
    fn shared(&self) -> Option<&ObjectOptions> {
        Some(&self.shared)
    }

    /// Three files of instances, of the categories of the first.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let files = [&self.train, &self.val, &self.test].map(|file| run.root.join(file));
        let folder = run.root.join(&self.images);
        let read = |file: &PathBuf| {
            // Masks may lie among the images; what lies in a folder of their own is none.
            let others = self.shared.beside_images(run).into_iter().filter(|other| *other != folder).collect();
            let finder = ImageFinder::new(&folder).beside(file).excluding(others);
            coco::read(file, &finder, self.shared.on_error)
        };
        let mut read = [read(&files[0])?, read(&files[1])?, read(&files[2])?];
        let classes = read[0].classes.clone();
        for (file, found) in files.iter().zip(&mut read) {
            found.number_by(file, &classes, &files[0], self.shared.on_error)?;
        }
        let parts = [0, 1, 2].map(|i| objects::of_instances(&read[i]));
        let learnt: BTreeSet<PathBuf> = parts[0].iter().map(|a| identity(&a.path)).collect();
        for (file, part) in files.iter().zip(&parts).skip(1) {
            if let Some(twice) = part.iter().find(|a| learnt.contains(&identity(&a.path))) {
                let message =
                    format!("{} is a training image too; what is tested must not be learnt", twice.path.display());
                return Err(Error::data(file, "images", message));
            }
        }
        let options = self.shared.options(run)?;
        let mut skipped: Vec<Skipped> = read.into_iter().flat_map(|r| r.skipped).collect();
        skipped.extend(unused(Some(&folder), parts.iter().flatten(), &skipped, &options));
        limited(run, (&classes, skipped), parts, &self.shared.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        for (key, path) in [("train", &self.train), ("val", &self.val), ("test", &self.test)] {
            files.file(&[key], path)?;
        }
        files.folder(&["images"], &self.images)?;
        self.shared.look(files)
    }
}
