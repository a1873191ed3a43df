//! `source = "folder"`: `folder/<class>/*.png`, or `folder/train/<class>/*.png` and the folders of validation and test beside `train`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{RunData, Source, SourceKind, SourceOptions, keys, members};
use crate::Result;
use crate::data::formats::folder;
use crate::data::{Dataset, Limits, TaskKind};
use crate::settings::{Files, KeyText, NOT_SET, REQUIRED, Section};

pub(super) static KIND: SourceKind = SourceKind {
    name: "folder",
    keys: &[&[
        KeyText::new(
            "folder",
            "a folder below data.root",
            REQUIRED,
            "Holds CLASS/, or train/CLASS/; val/ (or valid/, validation/, dev/) and test/ beside it are used where they exist.",
        ),
        keys::task_text("\"class\""),
        KeyText::new(
            "also",
            "a table: TASK = a folder",
            NOT_SET,
            "Further folders, each a task of its own: its images have no labels for the other tasks.",
        ),
        KeyText::new(
            "size",
            "[height, width], each from 1 to 1024",
            REQUIRED,
            "Height and width to which every image is resized.",
        ),
        keys::CHANNELS,
        keys::MAX_PIXELS_KEY,
        keys::VAL_FRACTION,
        keys::TEST_FRACTION,
        members::KEY,
        keys::LIMIT,
    ]],
    tables: &[&[members::TABLE, ("limit", keys::LIMITS)]],
    read,
};

#[derive(Debug, Serialize)]
struct Folder {
    /// The folder, relative to `data.root`.
    folder: PathBuf,
    /// The task's name.
    task: String,
    /// Further folders, each a task of its own: its images have no labels for the other tasks.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    also: BTreeMap<String, PathBuf>,
    /// Height and width to which every image is resized.
    size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    channels: usize,
    /// Pixels of the largest image that is decoded.
    #[serde(skip_serializing_if = "keys::is_usual")]
    max_pixels: usize,
    /// Part of the training images kept for validation where there is no `val`.
    val_fraction: f64,
    /// Part of the training images kept for the test where there is no `test`.
    test_fraction: f64,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limits::is_none")]
    limit: Limits,
}

fn read(s: &Section) -> Result<Source> {
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let folder = Folder {
        folder: s.required("folder", "a folder with <class>/ or train/<class>/ inside")?.into(),
        task: keys::task_name(s, "class")?,
        also: also(s)?,
        size: s.size("size", None, 1, 1024)?,
        channels: keys::channels(s)?,
        max_pixels: keys::max_pixels(s)?,
        val_fraction,
        test_fraction,
        limit: keys::limit(s)?,
    };
    Source::new(&KIND, folder)
}

/// `also`: folders by the names of their tasks.
fn also(s: &Section) -> Result<BTreeMap<String, PathBuf>> {
    let table = s.table("also")?;
    let own = keys::task_name(s, "class")?;
    let one = |task: &str| {
        if !keys::is_plain(task) || task == own {
            let message = format!("expected another task's name of letters, digits, `-` and `_`, found {task:?}");
            return Err(table.error(task, message));
        }
        Ok((task.to_string(), table.required(task, "a folder with <class>/ or train/<class>/ inside")?.into()))
    };
    table.keys().map(one).collect()
}

impl SourceOptions for Folder {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        let names = std::iter::once(&self.task).chain(self.also.keys());
        names.map(|name| (name.as_str(), TaskKind::Class)).collect()
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some(self.size)
    }

    fn load(&self, run: &RunData) -> Result<Dataset> {
        let options = |path: &Path, task: &str| folder::Options {
            root: run.root.join(path),
            size: self.size,
            channels: self.channels,
            max_pixels: self.max_pixels,
            task: task.to_string(),
            flip: run.flips(task),
            val_fraction: self.val_fraction,
            test_fraction: self.test_fraction,
            split_seed: run.split_seed,
            limits: self.limit,
        };
        let folders = std::iter::once((&self.task, &self.folder)).chain(&self.also);
        let folders: Vec<_> = folders.map(|(task, path)| options(path, task)).collect();
        folder::load_tasks(run.name, &folders, run.members.as_ref())
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.class_folders(&["folder"], &self.folder)?;
        self.also.iter().try_for_each(|(task, path)| files.class_folders(&["also", task], path))
    }

    fn limit(&self) -> Limits {
        self.limit
    }

    fn folders(&self) -> usize {
        1 + self.also.len()
    }
}
