//! `source = "idx"`: images and labels in IDX files, as MNIST and its kin are published.

use std::path::PathBuf;

use serde::Serialize;

use super::{RunData, Source, SourceKind, SourceOptions, keys};
use crate::Result;
use crate::data::formats::idx;
use crate::data::{Dataset, Limits, TaskKind};
use crate::settings::{Files, KeyText, REQUIRED, Section};

pub(super) static KIND: SourceKind = SourceKind {
    name: "idx",
    keys: &[&[
        KeyText::new("files", "a table", REQUIRED, "The four files: [data.files]."),
        keys::VAL_FRACTION,
        keys::LIMIT,
    ]],
    tables: &[&[("files", FILES), ("limit", keys::LIMITS)]],
    read,
};

/// Keys of a table of files.
pub(super) const FILES: &[KeyText] = &[
    keys::task_text("\"label\"; of a pair \"first\" and \"second\""),
    KeyText::new("train_images", IDX, REQUIRED, "Images to learn from and to validate on."),
    KeyText::new("train_labels", IDX, REQUIRED, "Their labels."),
    KeyText::new("test_images", IDX, REQUIRED, "Images to test on."),
    KeyText::new("test_labels", IDX, REQUIRED, "Their labels."),
    keys::CLASSES,
];

const IDX: &str = "an IDX file, plain or .gz, below data.root";

#[derive(Debug, Serialize)]
struct Idx {
    /// Part of the training images that is kept for validation.
    val_fraction: f64,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limits::is_none")]
    limit: Limits,
    /// The four files.
    files: IdxFiles,
}

/// The four IDX files of a source, plain or gzip-compressed; relative to `data.root`.
#[derive(Debug, Serialize)]
pub(super) struct IdxFiles {
    /// The task's name.
    pub task: String,
    /// Images to learn from (and to validate on).
    train_images: PathBuf,
    /// Their labels.
    train_labels: PathBuf,
    /// Images to test on.
    test_images: PathBuf,
    /// Their labels.
    test_labels: PathBuf,
    /// Names of the classes; numbered where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
}

fn read(s: &Section) -> Result<Source> {
    let (val_fraction, limit) = (keys::val_fraction(s)?, keys::limit(s)?);
    Source::new(&KIND, Idx { val_fraction, limit, files: IdxFiles::read(&s.table("files")?, "label")? })
}

impl IdxFiles {
    pub(super) fn read(s: &Section, default_task: &str) -> Result<Self> {
        let file = |key| s.required(key, "an IDX file (plain or .gz) below data.root").map(PathBuf::from);
        let classes = s.list("classes", "a list of class names in quotes", |v| v.as_str().map(str::to_string))?;
        if classes.as_ref().is_some_and(|c| c.len() < 2) {
            let message = "expected at least two class names; leave the key out to number the classes";
            return Err(s.error("classes", message));
        }
        Ok(IdxFiles {
            task: keys::task_name(s, default_task)?,
            train_images: file("train_images")?,
            train_labels: file("train_labels")?,
            test_images: file("test_images")?,
            test_labels: file("test_labels")?,
            classes,
        })
    }

    pub(super) fn load(&self, name: &str, val_fraction: f64, run: &RunData) -> Result<Dataset> {
        let files = idx::Files {
            train_images: run.root.join(&self.train_images),
            train_labels: run.root.join(&self.train_labels),
            test_images: run.root.join(&self.test_images),
            test_labels: run.root.join(&self.test_labels),
            task: self.task.clone(),
            classes: self.classes.clone(),
            flip: run.flips(&self.task),
        };
        idx::load(name, &files, val_fraction, run.split_seed)
    }

    pub(super) fn look(&self, table: &str, files: &Files) -> Result<()> {
        files.file(&[table, "train_images"], &self.train_images)?;
        files.file(&[table, "train_labels"], &self.train_labels)?;
        files.file(&[table, "test_images"], &self.test_images)?;
        files.file(&[table, "test_labels"], &self.test_labels)
    }
}

impl SourceOptions for Idx {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        vec![(&self.files.task, TaskKind::Class)]
    }

    fn size(&self) -> Option<[usize; 2]> {
        None
    }

    fn load(&self, run: &RunData) -> Result<Dataset> {
        self.files.load(run.name, self.val_fraction, run)?.limited(&self.limit, run.split_seed)
    }

    fn look(&self, files: &Files) -> Result<()> {
        self.files.look("files", files)
    }

    fn limit(&self) -> Limits {
        self.limit
    }
}
