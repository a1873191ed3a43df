//! `source = "csv"`: images with a table of their labels, its first line the names of the columns.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::{RunData, Source, SourceKind, SourceOptions, keys, members};
use crate::data::formats::coco::OnError;
use crate::data::formats::table::{self, Column};
use crate::data::{Dataset, TaskKind};
use crate::settings::{Choice, Files, KeyText, NOT_SET, REQUIRED, Section};
use crate::{Error, Result};

pub(super) static KIND: SourceKind = SourceKind {
    name: "csv",
    keys: &[&[
        KeyText::new("file", "a CSV file below data.root", REQUIRED, "The table; its first line names the columns."),
        keys::IMAGES,
        KeyText::new("image", "a column", "\"image\"", "The column of the images' names, with or without the ending."),
        KeyText::new("group", "a column", NOT_SET, "A column whose equal values stay in one split."),
        KeyText::new(
            "unknown",
            "a list of values",
            "[]",
            "Values that mean that nothing is known, beside the empty one.",
        ),
        KeyText::new(
            "yes",
            "a list of values",
            "[]",
            "Values of attributes that mean yes, beside yes, true, 1 and their like.",
        ),
        KeyText::new(
            "no",
            "a list of values",
            "[]",
            "Values of attributes that mean no, beside no, false, 0 and their like; \"-1\" in CelebA.",
        ),
        keys::SIZE,
        keys::CHANNELS,
        keys::MAX_PIXELS_KEY,
        keys::VAL_FRACTION,
        keys::TEST_FRACTION,
        members::KEY,
        keys::ON_ERROR,
        KeyText::new(
            "columns",
            "a table: COLUMN = \"class\", \"attribute\" or \"number\"",
            REQUIRED,
            "The columns to be learnt, and what each holds.",
        ),
    ]],
    tables: &[&[members::TABLE]],
    read,
};

#[derive(Debug, Serialize)]
struct Csv {
    /// The CSV file, relative to `data.root`.
    file: PathBuf,
    /// The folder of the images, relative to `data.root`.
    images: PathBuf,
    /// The column of their names, with or without the ending.
    image: String,
    /// A column whose equal values stay in one split.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Values that mean that nothing is known, beside the empty one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
    /// Values of attributes that mean yes, beside the usual ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    yes: Vec<String>,
    /// Values of attributes that mean no.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    no: Vec<String>,
    /// Height and width of the canvas on which every image is put, its proportions kept.
    size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    channels: usize,
    /// Pixels of the largest image that is decoded.
    #[serde(skip_serializing_if = "keys::is_usual")]
    max_pixels: usize,
    /// Part of the images kept for validation.
    val_fraction: f64,
    /// Part of the images kept for the test.
    test_fraction: f64,
    /// What is done with rows and images that cannot be used.
    on_error: OnError,
    /// The columns to be learnt, and what each holds.
    columns: BTreeMap<String, Column>,
}

fn read(s: &Section) -> Result<Source> {
    let values = |key| {
        let list = s.list(key, "a list of values in quotes", |v| v.as_str().map(str::to_string))?;
        Ok::<_, Error>(list.unwrap_or_default())
    };
    let [unknown, yes, no] = [values("unknown")?, values("yes")?, values("no")?];
    for (key, list, others) in [("no", &no, [&yes, &unknown]), ("yes", &yes, [&unknown, &unknown])] {
        if let Some(value) = list.iter().find(|value| others.iter().any(|other| other.contains(value))) {
            return Err(s.error(key, format!("{value:?} is listed under another meaning too; remove one")));
        }
    }
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let csv = Csv {
        file: s.required("file", "a CSV file below data.root")?.into(),
        images: keys::images(s)?,
        image: s.text("image", "the column of the images' names")?.unwrap_or_else(|| "image".into()),
        group: s.text("group", "a column")?,
        unknown,
        yes,
        no,
        size: keys::canvas(s)?,
        channels: keys::channels(s)?,
        max_pixels: keys::max_pixels(s)?,
        val_fraction,
        test_fraction,
        on_error: s.choice("on_error", OnError::Fail)?,
        columns: columns(&s.table("columns")?)?,
    };
    Source::new(&KIND, csv)
}

impl Choice for Column {
    const WORDS: &'static [(&'static str, Self)] =
        &[("class", Self::Class), ("attribute", Self::Attribute), ("number", Self::Number)];
}

/// `columns`: what each column to be learnt holds. Columns of classes and numbers lend their names to tasks.
fn columns(s: &Section) -> Result<BTreeMap<String, Column>> {
    let mut columns = BTreeMap::new();
    for name in s.keys() {
        let column = s.choice(name, Column::Class)?;
        if column != Column::Attribute && (!keys::is_plain(name) || name == table::ATTRIBUTES) {
            let message = format!("a task cannot be named {name:?}; rename the column to letters, digits, `-` and `_`");
            return Err(s.error(name, message));
        }
        columns.insert(name.to_string(), column);
    }
    if columns.is_empty() {
        let message =
            "is missing: expected a table that says what each column to be learnt holds, such as `kind = \"class\"`";
        return Err(s.own_error(message));
    }
    Ok(columns)
}

impl SourceOptions for Csv {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        table::tasks(&self.columns)
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some(self.size)
    }

    fn load(&self, run: &RunData) -> Result<Dataset> {
        let options = table::Options {
            file: run.root.join(&self.file),
            images: run.root.join(&self.images),
            image: self.image.clone(),
            columns: self.columns.clone(),
            unknown: self.unknown.clone(),
            yes: self.yes.clone(),
            no: self.no.clone(),
            group: self.group.clone(),
            size: self.size,
            channels: self.channels,
            max_pixels: self.max_pixels,
            val_fraction: self.val_fraction,
            test_fraction: self.test_fraction,
            split_seed: run.split_seed,
            on_error: self.on_error,
        };
        table::load_members(run.name, &options, run.members.as_ref())
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.file(&["file"], &self.file)?;
        files.folder(&["images"], &self.images)
    }

    fn letterboxed(&self) -> bool {
        true
    }
}
