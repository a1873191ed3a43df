//! `[tasks]`: how much each task counts, and what its loss is.

use serde::Serialize;

use super::read::{Choice, Section};
use crate::Result;
use crate::data::TaskKind;

/// One task in a run's file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskConfig {
    /// Weight of its losses.
    pub weight: f64,
    /// How errors are judged, of tasks that ask for a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<NumberLoss>,
    /// Where Huber's parabola ends, in standard deviations of the training labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
}

impl TaskConfig {
    /// A task of this weight with its kind's usual loss.
    pub fn of_weight(weight: f64) -> Self {
        TaskConfig { weight, loss: None, delta: None }
    }
}

/// Losses of numbers; labels are standardised on the training split first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberLoss {
    /// Squared error.
    L2,
    /// Absolute error.
    L1,
    /// Squared up to `delta`, absolute beyond (Huber 1964).
    Huber,
}

impl Choice for NumberLoss {
    const WORDS: &'static [(&'static str, Self)] = &[("l2", Self::L2), ("l1", Self::L1), ("huber", Self::Huber)];
}

/// Keys of `[tasks.<name>]`.
pub(super) const KEYS: &[&str] = &["weight", "loss", "delta"];

/// `name = 0.5`, or a table; as if `1.0` were written where there is nothing.
pub(super) fn task(s: &Section, name: &str, kind: TaskKind) -> Result<TaskConfig> {
    let weight = |s: &Section, key: &str| s.number(key, 1.0, "a weight of at least 0", |x| x >= 0.0);
    if !s.is_table(name) {
        return Ok(TaskConfig {
            loss: kind.is_numeric().then_some(NumberLoss::L2),
            ..TaskConfig::of_weight(weight(s, name)?)
        });
    }
    let s = s.table(name)?;
    for key in ["loss", "delta"] {
        if s.has(key) && !kind.is_numeric() {
            return Err(
                s.error(key, format!("belongs to tasks that ask for a number; {name} is of kind {}", kind.name()))
            );
        }
    }
    let loss = if kind.is_numeric() { Some(s.choice("loss", NumberLoss::L2)?) } else { None };
    if s.has("delta") && loss != Some(NumberLoss::Huber) {
        return Err(s.error("delta", "belongs to loss = \"huber\"; set that, or leave delta out"));
    }
    let delta = (loss == Some(NumberLoss::Huber)).then(|| s.number("delta", 1.0, "a number above 0", |x| x > 0.0));
    Ok(TaskConfig { weight: weight(&s, "weight")?, loss, delta: delta.transpose()? })
}
