//! `source = "pair"`: two IDX sources composed into images with two labels.

use serde::Serialize;

use super::digits::pairing;
use super::idx::{self, IdxFiles};
use super::{RunData, Source, SourceKind, SourceOptions, keys};
use crate::Result;
use crate::data::compose::{self, Samples};
use crate::data::{Dataset, TaskKind};
use crate::settings::{Files, KeyText, REQUIRED, Section};

pub(super) static KIND: SourceKind = SourceKind {
    name: "pair",
    keys: &[&[
        KeyText::new(
            "canvas",
            "[height, width], each from 1 to 1024",
            "[36, 36]",
            "The canvas on which an image of each source overlaps one of the other.",
        ),
        keys::SAMPLES,
        keys::VAL_FRACTION,
        KeyText::new("first", "a table", REQUIRED, "The source at the top left: [data.first]."),
        KeyText::new("second", "a table", REQUIRED, "The source at the bottom right: [data.second]."),
    ]],
    tables: &[&[
        (
            "samples",
            &[
                KeyText::new("train", "a whole number of at least 1", "54000", "Training images."),
                KeyText::new("val", "a whole number of at least 1", "6000", "Validation images."),
                KeyText::new("test", "a whole number of at least 1", "10000", "Test images."),
            ],
        ),
        ("first", idx::FILES),
        ("second", idx::FILES),
    ]],
    read,
};

#[derive(Debug, Serialize)]
struct Pair {
    /// Height and width of the canvas in pixels.
    canvas: [usize; 2],
    /// How many images are composed for each split.
    samples: Samples,
    /// Part of each source's training images that is kept for validation.
    val_fraction: f64,
    /// The source at the top left.
    first: IdxFiles,
    /// The source at the bottom right.
    second: IdxFiles,
}

fn read(s: &Section) -> Result<Source> {
    let pair = Pair {
        canvas: s.size("canvas", Some([36, 36]), 1, 1024)?,
        samples: keys::samples(s, [54_000, 6_000, 10_000])?,
        val_fraction: keys::val_fraction(s)?,
        first: IdxFiles::read(&s.table("first")?, "first")?,
        second: IdxFiles::read(&s.table("second")?, "second")?,
    };
    Source::new(&KIND, pair)
}

impl SourceOptions for Pair {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        [&self.first, &self.second].map(|files| (files.task.as_str(), TaskKind::Class)).to_vec()
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some(self.canvas)
    }

    fn load(&self, run: &RunData) -> Result<Dataset> {
        let first = self.first.load(&self.first.task, self.val_fraction, run)?;
        let second = self.second.load(&self.second.task, self.val_fraction, run)?;
        compose::compose(run.name, &first, &second, &pairing(self.canvas, self.samples, run))
    }

    fn look(&self, files: &Files) -> Result<()> {
        self.first.look("first", files)?;
        self.second.look("second", files)
    }
}
