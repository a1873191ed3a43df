//! What a finished stage measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metrics::TaskResult;

/// What one finished stage of one seed measured on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageResult {
    /// `teacher/<task>`, `single/<task>`, `joint` or `distilled`.
    pub stage: String,
    /// The run's seed.
    pub seed: u64,
    /// Trained parameters.
    pub params: usize,
    /// Multiply-accumulates of one image's forward pass.
    pub macs: u64,
    /// Wall-clock time, interruptions not counted.
    pub seconds: f64,
    /// Parameters trained beside the network, which are no part of it.
    #[serde(default)]
    pub beside: usize,
    /// The best validation score: mean over the tasks of [`Scores::selection`](crate::metrics::Scores::selection); `None` where it is undefined for all.
    #[serde(default)]
    pub val: Option<f64>,
    /// Milliseconds of a training step: the median over the epochs of an epoch's mean.
    #[serde(default)]
    pub step_ms: f64,
    /// The cosine between the tasks' gradients at the trunk's output, mean over the epochs' first steps; empty where it was not
    /// measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreement: Vec<Vec<f64>>,
    /// By task, of the weights that were best on validation.
    pub best: BTreeMap<String, TaskResult>,
    /// By task, of the last epoch's weights.
    pub last: BTreeMap<String, TaskResult>,
    /// By task, of the moving average of the weights after the last epoch; empty where none was kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ema: BTreeMap<String, TaskResult>,
}
