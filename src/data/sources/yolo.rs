//! `source = "yolo"`: images with objects, labelled in YOLO's form: one text file for each image, boxes or polygons.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::annotated::{self, ObjectOptions, complete, limited, listed, unused};
use super::keys::{self, BOXES, Names};
use super::{RunData, Source, SourceKind, SourceOptions};
use crate::data::formats::objects::TaskChoice;
use crate::data::formats::yolo::{self, Labelled};
use crate::data::formats::{folder, yolo_sets};
use crate::data::{Dataset, Skipped};
use crate::settings::{Files, KeyText, REQUIRED, Section};
use crate::{Error, Result};

pub(super) static KIND: SourceKind = SourceKind {
    name: "yolo",
    keys: &[
        &[
            KeyText::new(
                "images",
                "a folder below data.root",
                "as `names` says",
                "The folder of the images, or the folder that holds train/, val/ and test/.",
            ),
            KeyText::new(
                "labels",
                "a folder below data.root",
                "as `names` says",
                "The folder of the .txt files (boxes or polygons), or of folders named as those of the images.",
            ),
            KeyText::new(
                "names",
                keys::NAMES,
                REQUIRED,
                "The classes. Without `images` the file's train, val and test name the images, and labels/ lies beside images/.",
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
struct Yolo {
    /// The folder of the images, or of the splits' folders, relative to `data.root`; absent: the YAML file names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<PathBuf>,
    /// The folder of the labels, relative to `data.root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<PathBuf>,
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
    let names = keys::names(s)?;
    // A YAML file may name the images of the splits; then it is all that is needed.
    let alone = !s.has("images") && !s.has("labels") && matches!(names, Names::File(_));
    let [images, labels] = match alone {
        true => [None, None],
        false => {
            let labels = s.required("labels", "the folder of the .txt files below data.root")?;
            [Some(keys::images(s)?), Some(PathBuf::from(labels))]
        }
    };
    let yolo = Yolo { images, labels, names, val_fraction, test_fraction, shared };
    Source::new(&KIND, yolo)
}

impl SourceOptions for Yolo {
    fn shared(&self) -> Option<&ObjectOptions> {
        Some(&self.shared)
    }

    /// As folders or the YAML file have split it; what is not split is cut.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let (names, options) = (self.names.read(run)?, self.shared.options(run)?);
        let read = |pairs: &[(PathBuf, PathBuf)]| yolo::read_pairs(pairs, &names, self.shared.on_error);
        let found: [Option<Labelled>; 3] = match (&self.images, &self.labels) {
            (Some(images), Some(labels)) => {
                let [images, labels] = [images, labels].map(|folder| run.root.join(folder));
                let whole = |images: &Path, labels: &Path| yolo::read(images, labels, &names, self.shared.on_error);
                let flat = folder::files(&images).iter().any(|path| folder::is_image(path));
                match if flat { [None, None, None] } else { folder::splits(&images)? } {
                    // Images and labels each have a folder for each split.
                    own @ [Some(_), ..] => {
                        let part =
                            |images: PathBuf| whole(&images, &labels.join(images.file_name().unwrap_or_default()));
                        let [train, val, test] = own.map(|folder| folder.map(part).transpose());
                        [train?, val?, test?]
                    }
                    _ => [Some(whole(&images, &labels)?), None, None],
                }
            }
            _ => {
                let Names::File(file) = &self.names else {
                    return Err(Error::Invalid("data.images and data.labels are not set".into()));
                };
                let pair = |image: PathBuf| (image.clone(), yolo_sets::labels_of(&image));
                let pairs = |images: Vec<PathBuf>| read(&images.into_iter().map(pair).collect::<Vec<_>>());
                let [train, val, test] =
                    yolo_sets::read(&run.root.join(file))?.map(|images| images.map(pairs).transpose());
                [train?, val?, test?]
            }
        };
        let classes: Vec<String> = names.into_values().collect();
        let mut skipped = Vec::new();
        let parts = found.map(|part| {
            part.map(|part| {
                skipped.extend(part.skipped);
                part.images
            })
        });
        if let Some(images) = &self.images {
            let names = folder::SPLITS.concat();
            let folders = names.iter().map(|name| run.root.join(images).join(name)).filter(|path| path.is_dir());
            let used: BTreeSet<PathBuf> =
                parts.iter().flatten().flatten().filter_map(|a| a.path.parent().map(Path::to_path_buf)).collect();
            let told = |path| {
                Skipped::left_out(
                    path,
                    "a folder of a split is not read: there are images beside it, or none in train/",
                )
            };
            skipped.extend(folders.filter(|path| !used.contains(path)).map(told));
        }
        // Images are what the folders hold.
        skipped.extend(unused(None, parts.iter().flatten().flatten(), &skipped, &options));
        let parts = listed(run, parts, &options, &mut skipped)?;
        let parts = complete(parts, [self.val_fraction, self.test_fraction], run.split_seed)?;
        limited(run, (&classes, skipped), parts, &self.shared.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        if let Some(images) = &self.images {
            files.folder(&["images"], images)?;
        }
        if let Some(labels) = &self.labels {
            files.folder(&["labels"], labels)?;
        }
        self.names.look(&["names"], files)?;
        self.shared.look(files)
    }
}
