//! What a comparison found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::RowPlan;
use super::search::Trial;
use crate::experiment::summary::{delta_against, delta_m_definition, scores};
use crate::metrics::{MeanStd, Scores};
use crate::train::result::StageResult;
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

/// Stages that belong together, each with its network's size: the single-task networks of one configuration, or its teachers.
pub(crate) type Group = BTreeMap<String, usize>;

/// Two tasks, trained together and alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// The task that is measured.
    pub task: String,
    /// The one that was trained with it.
    pub with: String,
    /// The gain over the task's own network in its main metric, in per cent of it; positive is good. `None` where that network
    /// is near zero with some seed, as in [`Measure::gain`](crate::metrics::Measure::gain).
    pub gain: Option<MeanStd>,
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
    /// Δm in per cent against the single-task networks of the same seed; `None` for those themselves, and where it cannot be told.
    pub delta_m: Option<MeanStd>,
    /// Why it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_delta_m: Option<String>,
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
    /// The best validation score; `None` where it is undefined.
    pub val: Option<MeanStd>,
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
    pub(crate) fn both(tasks: [&str; 2], cells: &[(StageResult, Vec<StageResult>)]) -> Result<Vec<Transfer>> {
        let gain = |task: &str, (pair, singles): &(StageResult, Vec<StageResult>)| {
            let none = || Error::Invalid(format!("{task} was not measured alone"));
            let own = singles.iter().find(|s| s.stage == format!("single/{task}")).and_then(|s| s.best.get(task));
            let own = &own.ok_or_else(none)?.scores;
            let with = &pair.best.get(task).ok_or_else(none)?.scores;
            // The main metric comes first; a baseline near zero gives no gain, as in Δm.
            let pair = with.measures().into_iter().zip(own.measures()).next();
            Ok::<_, Error>(pair.and_then(|(with, alone)| Some(100.0 * with.gain(&alone).ok()?)))
        };
        let one = |task: &str, with: &str| {
            let gains = cells.iter().map(|cell| gain(task, cell)).collect::<Result<Option<Vec<f64>>>>()?;
            let cosines: Vec<f64> = cells.iter().filter_map(|(p, _)| p.agreement.first()?.get(1).copied()).collect();
            Ok(Transfer {
                task: task.into(),
                with: with.into(),
                gain: gains.and_then(|g| MeanStd::of(&g)),
                agreement: MeanStd::of(&cosines),
            })
        };
        Ok(vec![one(tasks[0], tasks[1])?, one(tasks[1], tasks[0])?])
    }
}

impl Row {
    /// From each seed's result and its single-task networks.
    pub(crate) fn new(plan: &RowPlan, cells: &[(&StageResult, &[StageResult])]) -> Result<Self> {
        let results: Vec<&StageResult> = cells.iter().map(|(r, _)| *r).collect();
        let delta = |(result, singles): &(&StageResult, &[StageResult])| {
            delta_against(result, |task| singles.iter().find(|s| s.stage == format!("single/{task}")))
        };
        let row = Self::of(&plan.name, &results)?;
        let (delta_m, without_delta_m) = match cells.iter().map(delta).collect::<Result<Vec<f64>>>() {
            Ok(all) => (MeanStd::of(&all), None),
            Err(why) => (None, Some(why.to_string())),
        };
        Ok(Row { sets: plan.sets.clone(), delta_m, without_delta_m, ..row })
    }

    fn of(name: &str, results: &[&StageResult]) -> Result<Self> {
        let Some(first) = results.first() else { return Err(Error::Invalid(format!("{name} has no results"))) };
        Ok(Row {
            name: name.into(),
            sets: Vec::new(),
            metrics: scores(results, |r| &r.best),
            delta_m: None,
            without_delta_m: None,
            params: first.params,
            beside: first.beside,
            macs: first.macs,
            step_ms: mean(results.iter().map(|r| r.step_ms))?,
            seconds: mean(results.iter().map(|r| r.seconds))?,
            val: results.iter().map(|r| r.val).collect::<Option<Vec<f64>>>().and_then(|all| MeanStd::of(&all)),
            agreement: agreement(results),
        })
    }
}

impl Outcome {
    pub(crate) fn new(name: &str, adapter: &str, seeds: &[u64]) -> Self {
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
    pub(crate) fn define<'a>(&mut self, results: impl Iterator<Item = &'a StageResult>) {
        self.delta_m_definition = delta_m_definition(results);
    }

    /// Adds the rows of single-task networks and teachers: one for each group, the tasks of one configuration. What is part of a
    /// larger group has no row of its own.
    pub(crate) fn references(&mut self, groups: &BTreeSet<Group>, results: &[&StageResult]) -> Result<()> {
        let part = |a: &Group, b: &Group| a != b && a.iter().all(|(stage, params)| b.get(stage) == Some(params));
        let mut whole: Vec<&Group> = groups.iter().filter(|a| !groups.iter().any(|b| part(a, b))).collect();
        let teaches = |group: &Group| group.keys().any(|stage| stage.starts_with("teacher/"));
        whole.sort_by_key(|group| (teaches(group), group.values().sum::<usize>()));
        self.references.clear();
        for group in whole {
            let name = if teaches(group) { "teachers" } else { "single-task networks" };
            let of = |(stage, params): (&String, &usize)| {
                let own = results.iter().filter(|r| r.stage == *stage && r.params == *params);
                Row::of(name, &own.copied().collect::<Vec<_>>())
            };
            let rows = group.iter().map(of).collect::<Result<Vec<Row>>>()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn result(stage: &str, seed: u64, params: usize) -> StageResult {
        StageResult {
            stage: stage.into(),
            seed,
            params,
            macs: 10,
            seconds: 1.0,
            beside: 0,
            val: Some(0.5),
            step_ms: 1.0,
            agreement: Vec::new(),
            best: BTreeMap::new(),
            last: BTreeMap::new(),
            ema: BTreeMap::new(),
        }
    }

    fn scored(stage: &str, task: &str, ap: f64) -> StageResult {
        let tally = crate::metrics::DetectionTally::new(1);
        let scores = Scores::new([("ap", ap)]);
        let own = crate::metrics::TaskResult { scores, ..crate::metrics::TaskResult::of_boxes(&tally, &[]) };
        StageResult { best: BTreeMap::from([(task.into(), own)]), ..result(stage, 0, 1) }
    }

    /// Heads of two kinds have two sizes; two widths of the student are two rows; one teacher of two is no row of its own.
    #[test]
    fn what_belongs_together_is_one_row() {
        let group = |stages: &[(&str, usize)]| -> Group { stages.iter().map(|(s, p)| (s.to_string(), *p)).collect() };
        let groups = [
            group(&[("single/class", 100), ("single/mask", 130)]),
            group(&[("single/class", 30), ("single/mask", 40)]),
            group(&[("teacher/class", 200)]),
            group(&[("teacher/class", 200), ("teacher/mask", 230)]),
        ];
        let stages: BTreeSet<(String, usize)> = groups.iter().flatten().map(|(s, p)| (s.clone(), *p)).collect();
        let results: Vec<StageResult> =
            stages.iter().flat_map(|(s, p)| [0, 1].map(|seed| result(s, seed, *p))).collect();
        let mut outcome = Outcome::new("test", "a GPU", &[0, 1]);
        outcome.references(&groups.into_iter().collect(), &results.iter().collect::<Vec<_>>()).unwrap();
        let rows: Vec<(&str, usize, u64)> =
            outcome.references.iter().map(|r| (r.name.as_str(), r.params, r.macs)).collect();
        let single = "single-task networks";
        assert_eq!(rows, [(single, 70, 20), (single, 230, 20), ("teachers", 430, 20)]);
    }

    #[test]
    fn a_network_that_reaches_nothing_gives_no_gain() {
        let pair = |a: f64, b: f64| {
            let mut both = scored("pair/a+b", "a", a);
            both.best.extend(scored("", "b", b).best);
            both
        };
        let singles = |a: f64, b: f64| vec![scored("single/a", "a", a), scored("single/b", "b", b)];
        let cells = [(pair(0.5, 0.5), singles(0.4, 0.4)), (pair(0.5, 0.5), singles(0.4, 0.0))];
        let [a, b] = Transfer::both(["a", "b"], &cells).unwrap().try_into().unwrap();
        assert!((a.gain.unwrap().mean - 25.0).abs() < 1e-9 && b.gain.is_none());
        assert!(Transfer::both(["a", "c"], &cells).unwrap_err().to_string().contains("c was not measured alone"));
    }
}
