//! What a comparison found.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file::RowPlan;
use super::search::Trial;
use crate::metrics::{MeanStd, Scores};
use crate::train::summary::{StageResult, delta_against, delta_m_definition, scores};
use crate::{Error, Result};

/// The table of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Version of this form: 1.
    pub schema: u32,
    /// Its name.
    pub name: String,
    /// The adapter that computed it.
    pub adapter: String,
    /// The seeds of every row.
    pub seeds: Vec<u64>,
    /// What Δm means here.
    pub delta_m_definition: String,
    /// The single-task networks and teachers that rows were measured against and taught by.
    pub references: Vec<Row>,
    /// The rows, in the order of the file.
    pub rows: Vec<Row>,
    /// What every task gains from being trained with each other one, where that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfer: Vec<Transfer>,
    /// Every trial of every search.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub searches: BTreeMap<String, Vec<Trial>>,
}

/// Two tasks, trained together and alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// The task that is measured.
    pub task: String,
    /// The one that was trained with it.
    pub with: String,
    /// The gain over the task's own network in its main metric, in per cent of it; positive is good.
    pub gain: MeanStd,
    /// The cosine between the two tasks' gradients at the trunk's output, mean over the training.
    pub agreement: Option<MeanStd>,
}

/// One row: a configuration over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What was set.
    pub sets: Vec<String>,
    /// By task, on the test split, of the weights that were best on validation.
    pub metrics: BTreeMap<String, Scores<MeanStd>>,
    /// Δm in per cent against the single-task networks of the same seed; `None` for those themselves.
    pub delta_m: Option<MeanStd>,
    /// Trained parameters, of all networks of the row.
    pub params: usize,
    /// Parameters trained beside the network, which are no part of it.
    pub beside: usize,
    /// Multiply-accumulates of one image's forward pass.
    pub macs: u64,
    /// Milliseconds of a training step.
    pub step_ms: MeanStd,
    /// Wall-clock seconds of one seed's training.
    pub seconds: MeanStd,
    /// The best validation score.
    pub val: MeanStd,
    /// The cosines between the tasks' gradients at the trunk's output, mean over training and seeds, tasks in the order of the
    /// data; empty where they were not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreement: Vec<Vec<f64>>,
}

fn mean(values: impl Iterator<Item = f64>) -> Result<MeanStd> {
    MeanStd::of(&values.collect::<Vec<f64>>()).ok_or_else(|| Error::Invalid("a row without results".into()))
}

fn agreement(results: &[&StageResult]) -> Vec<Vec<f64>> {
    let size = results.first().map_or(0, |r| r.agreement.len());
    let over = |i: usize, j: usize| {
        let sum: f64 = results.iter().filter_map(|r| r.agreement.get(i)?.get(j)).sum();
        sum / results.len() as f64
    };
    (0..size).map(|i| (0..size).map(|j| over(i, j)).collect()).collect()
}

impl Transfer {
    /// Both directions of a pair from each seed's result and its single-task networks.
    pub(super) fn both(tasks: [&str; 2], cells: &[(StageResult, Vec<StageResult>)]) -> Result<Vec<Transfer>> {
        let gain = |task: &str, (pair, singles): &(StageResult, Vec<StageResult>)| {
            let alone = &singles.iter().find(|s| s.stage == format!("single/{task}"))?.best.get(task)?.scores;
            let (metric, alone) = alone.main()?;
            let with = pair.best.get(task)?.scores.get(metric.name)?;
            let sign = if metric.higher_is_better { 1.0 } else { -1.0 };
            Some(sign * 100.0 * (with - alone) / alone)
        };
        let one = |task: &str, with: &str| {
            let gains: Option<Vec<f64>> = cells.iter().map(|cell| gain(task, cell)).collect();
            let none = || Error::Invalid(format!("{task} was not measured alone"));
            let cosines: Vec<f64> = cells.iter().filter_map(|(p, _)| p.agreement.first()?.get(1).copied()).collect();
            Ok(Transfer {
                task: task.into(),
                with: with.into(),
                gain: gains.and_then(|g| MeanStd::of(&g)).ok_or_else(none)?,
                agreement: MeanStd::of(&cosines),
            })
        };
        Ok(vec![one(tasks[0], tasks[1])?, one(tasks[1], tasks[0])?])
    }
}

impl Row {
    /// From each seed's result and its single-task networks.
    pub(super) fn new(plan: &RowPlan, cells: &[(&StageResult, &[StageResult])]) -> Result<Self> {
        let results: Vec<&StageResult> = cells.iter().map(|(r, _)| *r).collect();
        let delta = |(result, singles): &(&StageResult, &[StageResult])| {
            delta_against(result, |task| singles.iter().find(|s| s.stage == format!("single/{task}")))
        };
        let deltas: Option<Vec<f64>> = cells.iter().map(delta).collect();
        let row = Self::of(&plan.name, &results)?;
        Ok(Row { sets: plan.sets.clone(), delta_m: deltas.and_then(|d| MeanStd::of(&d)), ..row })
    }

    fn of(name: &str, results: &[&StageResult]) -> Result<Self> {
        let Some(first) = results.first() else { return Err(Error::Invalid(format!("{name} has no results"))) };
        Ok(Row {
            name: name.into(),
            sets: Vec::new(),
            metrics: scores(results, |r| &r.best),
            delta_m: None,
            params: first.params,
            beside: first.beside,
            macs: first.macs,
            step_ms: mean(results.iter().map(|r| r.step_ms))?,
            seconds: mean(results.iter().map(|r| r.seconds))?,
            val: mean(results.iter().map(|r| r.val))?,
            agreement: agreement(results),
        })
    }
}

impl Outcome {
    pub(super) fn new(name: &str, adapter: &str, seeds: &[u64]) -> Self {
        Outcome {
            schema: 1,
            name: name.into(),
            adapter: adapter.into(),
            seeds: seeds.to_vec(),
            delta_m_definition: String::new(),
            references: Vec::new(),
            rows: Vec::new(),
            transfer: Vec::new(),
            searches: BTreeMap::new(),
        }
    }

    /// Says what Δm means for these results.
    pub(super) fn define<'a>(&mut self, results: impl Iterator<Item = &'a StageResult>) {
        self.delta_m_definition = delta_m_definition(results);
    }

    /// Adds the rows of teachers and single-task networks: those of one size together, all tasks in one row.
    pub(super) fn references<'a>(&mut self, results: impl Iterator<Item = &'a StageResult>) -> Result<()> {
        let mut kinds: BTreeMap<(String, usize), BTreeMap<String, Vec<&StageResult>>> = BTreeMap::new();
        for result in results.filter(|r| r.stage.starts_with("single/") || r.stage.starts_with("teacher/")) {
            let kind = result.stage.split('/').next().unwrap_or_default().to_string();
            kinds.entry((kind, result.params)).or_default().entry(result.stage.clone()).or_default().push(result);
        }
        self.references.clear();
        for ((kind, _), stages) in kinds {
            let name = if kind == "teacher" { "teachers" } else { "single-task networks" };
            let rows = stages.values().map(|r| Row::of(name, r)).collect::<Result<Vec<Row>>>()?;
            let mut rows = rows.into_iter();
            let Some(mut all) = rows.next() else { continue };
            for row in rows {
                all.metrics.extend(row.metrics);
                all.params += row.params;
                all.macs += row.macs;
                all.seconds.mean += row.seconds.mean;
                all.step_ms.mean += row.step_ms.mean;
            }
            self.references.push(all);
        }
        Ok(())
    }

    /// The tasks, sorted by name.
    pub fn tasks(&self) -> Vec<&str> {
        self.rows.first().map_or(Vec::new(), |r| r.metrics.keys().map(String::as_str).collect())
    }

    /// The text of `ablation.json`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it holds what JSON cannot.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::Invalid(format!("the comparison cannot be written as JSON: {e}")))?;
        Ok(text + "\n")
    }

    /// Reads an `ablation.json`.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`].
    pub fn load(path: &Path) -> Result<Outcome> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", e))?;
        serde_json::from_str(&text).map_err(|e| {
            Error::data(path, format!("line {}", e.line()), format!("this is no comparison ({e}); run it again"))
        })
    }
}
