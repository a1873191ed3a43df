//! What a run tells while it goes on. Nothing below the command line prints: the loop sends [`Event`]s, and whoever started it
//! shows them, or not.

use crate::metrics::Scores;
use crate::train::gradient_stats::GradientStats;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// One piece of news from a run, in the order in which things happen.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The run begins.
    Run {
        /// Its name.
        name: &'a str,
        /// The adapter that computes it.
        adapter: &'a str,
        /// Its seeds.
        seeds: &'a [u64],
        /// All stages of all seeds.
        stages: usize,
        /// What the user should know first: the data's overview ([`crate::experiment::Overview::lines`]).
        notes: &'a [String],
    },
    /// A row of a comparison begins.
    Row {
        /// Its name.
        name: &'a str,
    },
    /// A stage begins, or goes on after an interruption.
    Stage {
        /// Its number among all stages, from 0.
        index: usize,
        /// `seed 0 · teacher/digit`.
        label: &'a str,
        /// Epochs to train.
        epochs: usize,
        /// Steps in an epoch.
        steps: usize,
        /// Trained parameters of the network.
        params: usize,
        /// Parameters trained beside it, which are no part of it.
        beside: usize,
        /// Multiply-accumulates of one image's forward pass.
        macs: u64,
        /// Epoch and step at which it goes on.
        resumed: Option<(usize, usize)>,
    },
    /// Something worth knowing.
    Note {
        /// In words.
        text: &'a str,
    },
    /// A stage was found finished and is not run again.
    Cached {
        /// As in [`Event::Stage`].
        label: &'a str,
    },
    /// Steps were made; sent every few steps.
    Step {
        /// The epoch, from 0.
        epoch: usize,
        /// Steps done in it.
        step: usize,
        /// The total loss, averaged over the steps since the last such event.
        loss: f32,
        /// Images since the last such event.
        images: usize,
    },
    /// An epoch is over and was validated.
    Epoch(&'a EpochRecord),
    /// A stage is over and was tested.
    StageDone {
        /// As in [`Event::Stage`].
        label: &'a str,
        /// Each task's metrics on the test split, of the weights that were best on validation.
        test: &'a [(String, Scores)],
        /// Wall-clock time.
        seconds: f64,
    },
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// `teacher/<task>`, `single/<task>`, `joint` or `distilled`.
    pub stage: String,
    /// The run's seed.
    pub seed: u64,
    /// From 0.
    pub epoch: usize,
    /// The learning rate of the epoch's last step.
    pub lr: f32,
    /// The total loss, mean over the epoch's steps.
    pub train_loss: f64,
    /// Each term of the loss before weighting, such as `digit/ce` and `digit/kd`.
    pub losses: BTreeMap<String, f64>,
    /// The balancing method's weights of tasks or terms, mean over the epoch's steps; empty where weights are constants.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
    /// Each term's gradient and the tasks' agreement at the epoch's first step, where it was asked for.
    #[serde(default, alias = "pulls", skip_serializing_if = "Option::is_none")]
    pub gradient_norms: Option<GradientStats>,
    /// The loss on the labels of the validation split, with the tasks' weights; `None` where it is no finite number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Metrics by task on the validation split.
    pub val: BTreeMap<String, Scores>,
    /// The same of the moving average of the weights; empty where none is kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ema_val: BTreeMap<String, Scores>,
    /// Whether these weights are the best so far.
    pub best: bool,
    /// Wall-clock time of the epoch with its validation.
    pub seconds: f64,
    /// Training speed.
    pub images_per_second: f64,
}

impl EpochRecord {
    /// The line of `metrics.jsonl`, without its newline.
    pub fn to_line(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| Error::Invalid(format!("an epoch's record cannot be written as JSON: {e}")))
    }
}

/// As many as a run's file may ask for.
const MOST_EPOCHS: usize = 1_000_000;

/// Reads `metrics.jsonl`, each epoch of each stage once, in the order of the file.
///
/// A run that was killed may leave half a line at the end, which is passed over, or an epoch that was run again after resuming,
/// of which the later record counts.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::Data`] with the line where another than the last is no record.
pub fn read_records(path: &Path) -> Result<Vec<EpochRecord>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    // A torn line may end inside a character.
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let mut records: Vec<EpochRecord> = Vec::new();
    let mut places: BTreeMap<(String, u64, usize), usize> = BTreeMap::new();
    for (i, line) in lines.iter().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let record: EpochRecord = match serde_json::from_str(line) {
            Ok(EpochRecord { epoch, .. }) if epoch > MOST_EPOCHS => {
                let message =
                    format!("epoch {epoch} is beyond every run; remove the line, or choose a fresh folder with --out");
                return Err(Error::data(path, format!("line {}", i + 1), message));
            }
            Ok(record) => record,
            Err(_) if i + 1 == lines.len() => break,
            Err(e) => {
                let message = format!(
                    "this is no record of an epoch ({e}); remove the line, or choose a fresh folder with --out"
                );
                return Err(Error::data(path, format!("line {}", i + 1), message));
            }
        };
        match places.entry((record.stage.clone(), record.seed, record.epoch)) {
            std::collections::btree_map::Entry::Occupied(place) => records[*place.get()] = record,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(records.len());
                records.push(record);
            }
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: usize, loss: f64) -> EpochRecord {
        let metrics = Scores::new([("accuracy", 0.5), ("f1", 0.125)]);
        EpochRecord {
            stage: "teacher/digit".into(),
            seed: 1,
            epoch,
            lr: 0.5,
            train_loss: loss,
            losses: BTreeMap::from([("digit/ce".into(), loss)]),
            weights: BTreeMap::new(),
            gradient_norms: None,
            val_loss: Some(0.25),
            val: BTreeMap::from([("digit".into(), metrics)]),
            ema_val: BTreeMap::new(),
            best: true,
            seconds: 2.0,
            images_per_second: 100.0,
        }
    }

    #[test]
    fn a_line_is_flat_json() {
        let line = record(3, 0.75).to_line().unwrap();
        assert_eq!(
            line,
            r#"{"stage":"teacher/digit","seed":1,"epoch":3,"lr":0.5,"train_loss":0.75,"losses":{"digit/ce":0.75},"val_loss":0.25,"val":{"digit":{"accuracy":0.5,"f1":0.125}},"best":true,"seconds":2.0,"images_per_second":100.0}"#
        );
    }

    #[test]
    fn reads_back_with_a_repeated_epoch_and_a_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let lines: Vec<String> =
            [record(0, 1.0), record(1, 0.5), record(1, 0.25)].iter().map(|r| r.to_line().unwrap()).collect();
        std::fs::write(&path, format!("{}\n{{\"stage\":\"teach", lines.join("\n"))).unwrap();
        assert_eq!(read_records(&path).unwrap(), [record(0, 1.0), record(1, 0.25)]);
    }

    #[test]
    fn a_broken_line_in_the_middle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(
            &path,
            format!("{}\nnonsense\n{}\n", record(0, 1.0).to_line().unwrap(), record(1, 1.0).to_line().unwrap()),
        )
        .unwrap();
        let error = read_records(&path).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl, line 2"), "{error}");
        std::fs::write(&path, record(usize::MAX, 1.0).to_line().unwrap()).unwrap();
        let error = read_records(&path).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("beyond every run"), "{error}");
    }
}
