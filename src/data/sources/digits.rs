//! `source = "digits"`: the embedded 8x8 digits, two overlapped on one canvas. Needs no files.

use serde::Serialize;

use super::{RunData, Source, SourceKind, SourceOptions, keys};
use crate::Result;
use crate::data::compose::{Pairing, Samples};
use crate::data::{Dataset, TaskKind, digits, seed};
use crate::settings::{KeyText, Section};

pub(super) static KIND: SourceKind = SourceKind {
    name: "digits",
    keys: &[&[
        KeyText::new(
            "canvas",
            "[height, width], each from 8 to 256",
            "[12, 12]",
            "The canvas on which two digits of 8x8 pixels overlap.",
        ),
        keys::SAMPLES,
    ]],
    tables: &[&[(
        "samples",
        &[
            KeyText::new("train", "a whole number of at least 1", "4000", "Training images."),
            KeyText::new("val", "a whole number of at least 1", "800", "Validation images."),
            KeyText::new("test", "a whole number of at least 1", "1500", "Test images."),
        ],
    )]],
    read,
};

#[derive(Debug, Serialize)]
struct Digits {
    /// Height and width of the canvas in pixels.
    canvas: [usize; 2],
    /// How many images are composed for each split.
    samples: Samples,
}

fn read(s: &Section) -> Result<Source> {
    let canvas = s.size("canvas", Some([12, 12]), 8, 256)?;
    Source::new(&KIND, Digits { canvas, samples: keys::samples(s, [4000, 800, 1500])? })
}

impl SourceOptions for Digits {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        digits::TASKS.map(|name| (name, TaskKind::Class)).to_vec()
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some(self.canvas)
    }

    fn load(&self, run: &RunData) -> Result<Dataset> {
        digits::load(&pairing(self.canvas, self.samples, run), run.split_seed)
    }
}

/// How two images are put on one canvas.
pub(super) fn pairing(canvas: [usize; 2], samples: Samples, run: &RunData) -> Pairing {
    Pairing { canvas, samples, seed: seed::derive(run.split_seed, "compose") }
}
