//! What a run found out: `summary.json`.

use crate::config::EvaluateOn;
use crate::metrics::{Confusion, DELTA_M_DEFINITION, METRICS, MeanStd, Scores, TaskResult, delta_m};
use crate::train::result::StageResult;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The run's outcome over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Version of this form: 1.
    pub schema: u32,
    /// The run's name.
    pub name: String,
    /// The adapter that computed it.
    pub adapter: String,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// In which pixels boxes and masks were measured.
    #[serde(default, skip_serializing_if = "EvaluateOn::is_image")]
    pub evaluate_on: EvaluateOn,
    /// By stage.
    pub models: BTreeMap<String, Model>,
    /// Δm in per cent of `joint` and `distilled`; `None` unless one of them has it.
    pub delta_m: Option<BTreeMap<String, MeanStd>>,
    /// Why the others have none: a baseline that was not trained, is near zero, or is undefined.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub without_delta_m: BTreeMap<String, String>,
    /// What Δm means here.
    pub delta_m_definition: String,
    /// Wall-clock time of the whole run.
    pub seconds: f64,
}

/// One stage's networks over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Trained parameters of one network.
    pub params: usize,
    /// Multiply-accumulates of one image's forward pass.
    pub macs: u64,
    /// By task, on the test split, of the weights that were best on validation.
    pub metrics: BTreeMap<String, Scores<MeanStd>>,
    /// The same of the last epoch's weights.
    pub last: BTreeMap<String, Scores<MeanStd>>,
    /// The same of the moving average of the weights; empty where none was kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ema: BTreeMap<String, Scores<MeanStd>>,
    /// By task that names classes, summed over the seeds: rows are the labels, columns the predictions (best weights). Of objects the last
    /// row and column are those of nothing ([`DetectionTally::confusion`](crate::metrics::DetectionTally::confusion)).
    pub confusion: BTreeMap<String, Vec<Vec<u64>>>,
}

impl Summary {
    /// Gathers the stages' results. Where a stage of a seed is given twice, the later one counts.
    ///
    /// # Errors
    /// [`Error::Invalid`] where results of one stage do not belong together (another size, another number of classes).
    pub fn from_results(
        name: &str,
        adapter: &str,
        seeds: &[u64],
        results: Vec<StageResult>,
        seconds: f64,
    ) -> Result<Summary> {
        let mut stages: BTreeMap<String, BTreeMap<u64, StageResult>> = BTreeMap::new();
        for result in results {
            stages.entry(result.stage.clone()).or_default().insert(result.seed, result);
        }
        let models =
            stages.iter().map(|(stage, by_seed)| Ok((stage.clone(), model(stage, by_seed)?))).collect::<Result<_>>()?;
        let (mut delta_m, mut without_delta_m) = (BTreeMap::new(), BTreeMap::new());
        for stage in ["joint", "distilled"] {
            let Some(by_seed) = stages.get(stage) else { continue };
            match by_seed.values().map(|result| delta(result, &stages)).collect::<Result<Vec<f64>>>() {
                Ok(all) => delta_m.extend(MeanStd::of(&all).map(|delta| (stage.to_string(), delta))),
                Err(why) => drop(without_delta_m.insert(stage.to_string(), why.to_string())),
            }
        }
        Ok(Summary {
            schema: 1,
            name: name.into(),
            adapter: adapter.into(),
            seeds: seeds.to_vec(),
            evaluate_on: EvaluateOn::default(),
            models,
            delta_m: (!delta_m.is_empty()).then_some(delta_m),
            without_delta_m,
            delta_m_definition: delta_m_definition(stages.values().flat_map(BTreeMap::values)),
            seconds,
        })
    }

    /// The models in the order of the stages: teachers, single-task, joint, distilled.
    pub fn in_order(&self) -> Vec<(&str, &Model)> {
        let mut models: Vec<(&str, &Model)> = self.models.iter().map(|(n, m)| (n.as_str(), m)).collect();
        models.sort_by_key(|(name, _)| stage_rank(name));
        models
    }

    /// Every task that some model was tested on, sorted by name.
    pub fn tasks(&self) -> Vec<&str> {
        let tasks: BTreeSet<&str> = self.models.values().flat_map(|m| m.metrics.keys().map(String::as_str)).collect();
        tasks.into_iter().collect()
    }

    /// The text of `summary.json`.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::Invalid(format!("the summary cannot be written as JSON: {e}")))?;
        Ok(text + "\n")
    }

    /// Reads a `summary.json`.
    pub fn load(path: &Path) -> Result<Summary> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", e))?;
        let summary: Summary = serde_json::from_str(&text).map_err(|e| {
            Error::data(
                path,
                format!("line {}", e.line()),
                format!("this is no summary of a run ({e}); run it again to write a new one"),
            )
        })?;
        match summary.schema {
            1 => Ok(summary),
            other => Err(Error::data(
                path,
                "schema",
                format!("expected 1, found {other}: another version of limbeck wrote it"),
            )),
        }
    }
}

/// The place of a stage in tables and legends.
pub(crate) fn stage_rank(stage: &str) -> usize {
    let kind = stage.split('/').next().unwrap_or_default();
    ["teacher", "single", "joint", "distilled"].iter().position(|k| *k == kind).unwrap_or(4)
}

fn model(stage: &str, by_seed: &BTreeMap<u64, StageResult>) -> Result<Model> {
    let results: Vec<&StageResult> = by_seed.values().collect();
    let Some(first) = results.first() else { return Err(Error::Invalid(format!("{stage} has no results"))) };
    let same = |r: &&&StageResult| (r.params, r.macs) == (first.params, first.macs);
    if let Some(other) = results.iter().find(|r| !same(r)) {
        return Err(Error::Invalid(format!(
            "{stage} has {} parameters with seed {} but {} with seed {}; these are results of different runs, choose a fresh folder",
            first.params, first.seed, other.params, other.seed
        )));
    }
    let mut confusion = BTreeMap::new();
    for task in first.best.keys() {
        let all = results.iter().filter_map(|r| r.best.get(task)?.confusion.as_ref());
        confusion.extend(sum(stage, task, all)?.map(|rows| (task.clone(), rows)));
    }
    Ok(Model {
        params: first.params,
        macs: first.macs,
        metrics: scores(&results, |r| &r.best),
        last: scores(&results, |r| &r.last),
        ema: scores(&results, |r| &r.ema),
        confusion,
    })
}

/// Means and deviations over the seeds, by task.
pub(crate) fn scores(
    results: &[&StageResult],
    pick: impl Fn(&StageResult) -> &BTreeMap<String, TaskResult>,
) -> BTreeMap<String, Scores<MeanStd>> {
    let mut by_task: BTreeMap<String, Vec<&Scores>> = BTreeMap::new();
    for (task, result) in results.iter().flat_map(|r| pick(r)) {
        by_task.entry(task.clone()).or_default().push(&result.scores);
    }
    // A mean over the seeds that define a metric would be one over fewer seeds than it says.
    let over = |all: &[&Scores]| {
        let values = |name: &str| all.iter().map(|s| s.get(name).copied()).collect::<Option<Vec<f64>>>();
        let first = all.first()?;
        Some(Scores::of(first.iter().map(|(m, _)| (m.name, values(m.name).and_then(|v| MeanStd::of(&v))))))
    };
    by_task.into_iter().filter_map(|(task, all)| Some((task, over(&all)?))).collect()
}

/// What Δm means for these results, whose metrics it names.
pub(crate) fn delta_m_definition<'a>(results: impl Iterator<Item = &'a StageResult>) -> String {
    let used: BTreeSet<String> =
        results.flat_map(|r| r.best.values()).flat_map(|r| r.scores.measures()).map(|m| m.name).collect();
    let words: Vec<&str> = METRICS.iter().filter(|m| used.contains(m.name)).map(|m| m.what).collect();
    format!(
        "{DELTA_M_DEFINITION}, trained with the same seed; metrics: {} on the test split; then mean and sample standard deviation \
         over seeds",
        words.join(", ")
    )
}

fn sum<'a>(stage: &str, task: &str, all: impl Iterator<Item = &'a Confusion>) -> Result<Option<Vec<Vec<u64>>>> {
    let mut total: Option<Confusion> = None;
    for confusion in all {
        match &mut total {
            None => total = Some(confusion.clone()),
            Some(total) => total.merge(confusion).map_err(|e| {
                Error::Invalid(format!(
                    "{stage}, task {task}: {e}; these are results of different data, choose a fresh folder"
                ))
            })?,
        }
    }
    Ok(total.map(|t| t.rows()))
}

fn delta(result: &StageResult, stages: &BTreeMap<String, BTreeMap<u64, StageResult>>) -> Result<f64> {
    delta_against(result, |task| stages.get(&format!("single/{task}"))?.get(&result.seed))
}

/// Δm of one seed against that seed's own single-task networks.
///
/// # Errors
/// [`Error::Invalid`] where one of these was not trained, or [`delta_m`] has none: with the reason.
pub(crate) fn delta_against<'a>(result: &StageResult, single: impl Fn(&str) -> Option<&'a StageResult>) -> Result<f64> {
    let mut gains = Vec::new();
    for (task, own) in &result.best {
        let because = |why: &dyn std::fmt::Display| Error::Invalid(format!("{task}, seed {}: {why}", result.seed));
        let baseline = single(task).and_then(|single| single.best.get(task));
        let baseline = baseline.ok_or_else(|| because(&"there is no single-task network to compare with"))?;
        let (model, baseline) = ([own.scores.measures()], [baseline.scores.measures()]);
        gains.push(delta_m(&model, &baseline).map_err(|why| because(&why))?);
    }
    // The mean over tasks of Δm of each.
    MeanStd::of(&gains).map(|gain| gain.mean).ok_or_else(|| Error::Invalid("there is no task".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `right` of 8 images of two classes are right, the rest is taken for the other class; balanced, so that all four metrics
    /// are simple fractions.
    fn confusion(right: u64) -> Confusion {
        let wrong = 8 - right;
        Confusion::from_counts(vec![right / 2, wrong / 2, wrong / 2, right / 2], 2).unwrap()
    }

    fn result(stage: &str, seed: u64, tasks: &[(&str, u64, u64)]) -> StageResult {
        let of = |pick: fn(&(&str, u64, u64)) -> u64| {
            tasks.iter().map(|t| (t.0.to_string(), TaskResult::of_classes(confusion(pick(t)), &[]))).collect()
        };
        StageResult {
            stage: stage.into(),
            seed,
            params: 10,
            macs: 20,
            seconds: 0.5,
            beside: 0,
            val: Some(0.5),
            step_ms: 1.0,
            agreement: Vec::new(),
            best: of(|t| t.1),
            last: of(|t| t.2),
            ema: BTreeMap::new(),
        }
    }

    #[test]
    fn the_json_has_the_promised_form() {
        let results = vec![
            result("single/a", 0, &[("a", 4, 4)]),
            result("joint", 0, &[("a", 2, 2)]),
            result("distilled", 0, &[("a", 6, 4)]),
        ];
        let mut summary = Summary::from_results("demo", "a GPU", &[0], results, 1.5).unwrap();
        summary.delta_m_definition = "…".into();
        let scores = |v: &str| {
            ["accuracy", "precision", "recall", "f1"].map(|m| format!(r#""{m}":{{"mean":{v},"std":0.0}}"#)).join(",")
        };
        let model = |best: &str, last: &str, confusion: &str| {
            let (best, last) = (scores(best), scores(last));
            format!(
                r#"{{"params":10,"macs":20,"metrics":{{"a":{{{best}}}}},"last":{{"a":{{{last}}}}},"confusion":{{"a":{confusion}}}}}"#
            )
        };
        let expected = format!(
            r#"{{"schema":1,"name":"demo","adapter":"a GPU","seeds":[0],"models":{{"distilled":{},"joint":{},"single/a":{}}},"delta_m":{{"distilled":{{"mean":50.0,"std":0.0}},"joint":{{"mean":-50.0,"std":0.0}}}},"delta_m_definition":"…","seconds":1.5}}"#,
            model("0.75", "0.5", "[[3,1],[1,3]]"),
            model("0.25", "0.25", "[[1,3],[3,1]]"),
            model("0.5", "0.5", "[[2,2],[2,2]]"),
        );
        let found: serde_json::Value = serde_json::from_str(&summary.to_json().unwrap()).unwrap();
        assert_eq!(found, serde_json::from_str::<serde_json::Value>(&expected).unwrap());
    }

    #[test]
    fn mean_and_deviation_over_seeds() {
        let results = vec![result("joint", 0, &[("a", 4, 2)]), result("joint", 1, &[("a", 6, 2)])];
        let summary = Summary::from_results("demo", "a GPU", &[0, 1], results, 1.0).unwrap();
        let joint = &summary.models["joint"];
        assert_eq!(joint.metrics["a"].get("accuracy").unwrap().mean, 0.625);
        assert!((joint.metrics["a"].get("f1").unwrap().std - 0.125 * 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(joint.last["a"].get("accuracy").copied().unwrap(), MeanStd { mean: 0.25, std: 0.0 });
        assert_eq!(joint.confusion["a"], [[5, 3], [3, 5]]);
    }

    #[test]
    fn delta_needs_the_baselines_of_every_seed() {
        let mut results = vec![
            result("single/a", 0, &[("a", 4, 4)]),
            result("single/b", 0, &[("b", 4, 4)]),
            result("single/a", 1, &[("a", 4, 4)]),
            result("joint", 0, &[("a", 6, 6), ("b", 2, 2)]),
            result("joint", 1, &[("a", 8, 8), ("b", 4, 4)]),
        ];
        let without = Summary::from_results("demo", "a GPU", &[0, 1], results.clone(), 1.0).unwrap();
        assert_eq!(without.delta_m, None);
        assert!(without.to_json().unwrap().contains("\"delta_m\": null"));

        results.push(result("single/b", 1, &[("b", 4, 4)]));
        let with = Summary::from_results("demo", "a GPU", &[0, 1], results, 1.0).unwrap();
        // Seed 0: (50 - 50) / 2 = 0 %; seed 1: (100 + 0) / 2 = 50 %.
        let joint = with.delta_m.unwrap()["joint"];
        assert!((joint.mean - 25.0).abs() < 1e-9 && (joint.std - 50.0 / 2f64.sqrt()).abs() < 1e-9, "{joint:?}");
    }

    #[test]
    fn results_that_do_not_belong_together_are_refused() {
        let mut other = result("joint", 1, &[("a", 4, 4)]);
        other.params = 11;
        let error = Summary::from_results("demo", "", &[0, 1], vec![result("joint", 0, &[("a", 4, 4)]), other], 1.0)
            .unwrap_err();
        assert!(error.to_string().contains("joint has 10 parameters with seed 0 but 11 with seed 1"), "{error}");

        let mut other = result("joint", 1, &[("a", 4, 4)]);
        other.best.insert("a".into(), TaskResult::of_classes(Confusion::new(3), &[]));
        assert!(
            Summary::from_results("demo", "", &[0, 1], vec![result("joint", 0, &[("a", 4, 4)]), other], 1.0).is_err()
        );
    }

    #[test]
    fn the_order_of_the_stages_and_reading_back() {
        let results = ["distilled", "joint", "single/a", "teacher/a"].map(|s| result(s, 0, &[("a", 4, 4)])).to_vec();
        let summary = Summary::from_results("demo", "a GPU", &[0], results, 1.0).unwrap();
        let names: Vec<&str> = summary.in_order().iter().map(|(n, _)| *n).collect();
        assert_eq!(names, ["teacher/a", "single/a", "joint", "distilled"]);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        crate::files::write_atomic(&path, summary.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(Summary::load(&path).unwrap(), summary);
        std::fs::write(&path, summary.to_json().unwrap().replace("\"schema\": 1", "\"schema\": 2")).unwrap();
        assert!(Summary::load(&path).unwrap_err().to_string().contains("another version"));
    }
}
