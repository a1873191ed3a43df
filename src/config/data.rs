//! `[data]`: the keys of every source, and the source.

use super::{DataConfig, EvaluateOn};
use crate::Result;
use crate::data::sources::Source;
use crate::settings::{Choice, Section};

/// The keys that every source has.
pub(super) const KEYS: &[&str] =
    &["source", "root", "split_seed", "flip_invariant", "crop_invariant", "labelled", "disjoint"];

impl Choice for EvaluateOn {
    const WORDS: &'static [(&'static str, Self)] = &[("image", Self::Image), ("canvas", Self::Canvas)];
}

pub(super) fn section(s: &Section) -> Result<DataConfig> {
    let source = Source::read(s)?;
    let labelled = s.table("labelled")?;
    let names = |key| s.list(key, "a list of task names in quotes", |v| v.as_str().map(str::to_string));
    Ok(DataConfig {
        root: s.text("root", "a folder")?.unwrap_or_else(|| ".".into()).into(),
        split_seed: s.integer("split_seed", 0, 0, i64::MAX as usize)? as u64,
        flip_invariant: names("flip_invariant")?.unwrap_or_default(),
        crop_invariant: names("crop_invariant")?.unwrap_or_default(),
        disjoint: s.flag("disjoint", false)?,
        evaluate_on: s.choice("evaluate_on", EvaluateOn::Image)?,
        labelled: labelled
            .keys()
            .map(|task| {
                let part = |x: f64| x > 0.0 && x <= 1.0;
                Ok((task.to_string(), labelled.number(task, 1.0, "a part of the labels above 0 and at most 1", part)?))
            })
            .collect::<Result<_>>()?,
        source,
    })
}
