//! Where a stage stands, and everything it takes to go on from there as if nothing had happened.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkpoint::{Bundle, Stored, from_json, read, to_json};
use crate::gpu::Gpu;
use crate::optim::Optimizer;
use crate::params::Params;
use crate::train::balancing::BalanceState;
use crate::train::gradient_stats::GradientStats;
use crate::train::learner::Learner;
use crate::train::stage::ADVICE;
use crate::train::stage_key::StageKey;
use crate::{Error, Result};

/// All that learners train beside the first one's network, in the order of stored states: what methods train, then the other networks.
fn beside(learners: &[Learner]) -> impl Iterator<Item = (&Params, &Optimizer)> {
    let extra = learners.iter().flat_map(|l| &l.extra).map(|group| (&group.params, &group.optimizer));
    extra.chain(learners.iter().skip(1).map(|l| (l.network.params(), &l.optimizer)))
}

/// Learned values beside the first learner's network.
pub(crate) fn count_beside(learners: &[Learner]) -> usize {
    let networks = learners.iter().skip(1).map(|l| l.network.params().count());
    networks.chain(learners.iter().map(Learner::count_extra)).sum()
}

fn no_learner() -> Error {
    Error::Invalid("a stage without a learner".into())
}

/// How an epoch's weights do on validation.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Mean over the tasks of [`Scores::selection`](crate::metrics::Scores::selection); `None` where it is undefined for all.
    #[serde(rename = "best")]
    pub score: Option<f64>,
    /// The loss on the labels; `None` where it is no finite number, and in states of before it was measured.
    #[serde(rename = "best_loss", default)]
    pub loss: Option<f64>,
}

impl Standing {
    /// Whether weights of a later epoch, which stand like this, are better than those of `earlier`: by their score, of equal scores by
    /// the lower loss, and of equal losses because they were trained longer.
    pub(crate) fn replaces(&self, earlier: &Standing) -> bool {
        let loss = |s: &Standing| s.loss.unwrap_or(f64::INFINITY);
        match (self.score, earlier.score) {
            (Some(now), Some(before)) if now != before => now > before,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            _ => loss(self) <= loss(earlier),
        }
    }
}

/// A stage's place in its epochs, with the sums of the epoch under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Epochs finished.
    pub epoch: usize,
    /// Steps finished in the epoch under way.
    pub step: usize,
    /// The best epoch so far, on validation.
    #[serde(flatten)]
    pub best: Standing,
    /// The last epoch's score.
    pub last: Option<f64>,
    /// Seconds spent in the epoch under way before an interruption.
    pub seconds: f64,
    /// Seconds of all finished epochs.
    pub total_seconds: f64,
    sums: Vec<f64>,
    count: usize,
    optimizer_steps: u64,
    /// Of the stage's settings; not known of states that earlier versions stored.
    #[serde(default)]
    key: Option<String>,
    data: String,
    teachers: Vec<String>,
    /// The balancing method's state.
    pub balance: Option<BalanceState>,
    /// Factors found in the first epoch for the terms with `cap` or `normalize`; empty before.
    pub scales: Vec<f32>,
    /// What was measured at the first step of the epoch under way.
    #[serde(alias = "pulls")]
    pub gradient_norms: Option<GradientStats>,
    /// Milliseconds of a step, mean of each finished epoch.
    pub step_times: Vec<f64>,
    /// The tasks' agreement, summed over the epochs in which it was measured, and how many those were.
    agreement: (Vec<Vec<f64>>, usize),
}

impl Progress {
    /// The start of a stage of these settings.
    pub(crate) fn new(key: StageKey, data_fingerprint: u64, teachers: Vec<String>, terms: usize) -> Self {
        Progress {
            epoch: 0,
            step: 0,
            best: Standing::default(),
            last: None,
            seconds: 0.0,
            total_seconds: 0.0,
            sums: vec![0.0; terms],
            count: 0,
            optimizer_steps: 0,
            key: Some(key.to_string()),
            data: format!("{data_fingerprint:016x}"),
            teachers,
            balance: None,
            scales: Vec::new(),
            gradient_norms: None,
            step_times: Vec::new(),
            agreement: (Vec::new(), 0),
        }
    }

    /// Finds that it is a place in a stage of so many epochs, steps an epoch and terms.
    ///
    /// # Errors
    /// [`Error::Checkpoint`], naming `path`.
    pub(crate) fn check(&self, path: &Path, epochs: usize, steps: usize, terms: usize) -> Result<()> {
        let finite = self.sums.iter().chain([&self.seconds, &self.total_seconds]).chain(&self.step_times);
        let tasks = self.agreement.0.len();
        let fits = self.epoch <= epochs
            && self.step <= steps
            && self.count <= steps
            && self.optimizer_steps <= (epochs * steps) as u64
            && self.sums.len() == terms
            && (self.scales.is_empty() || self.scales.len() == terms)
            && self.agreement.0.iter().all(|row| row.len() == tasks)
            && finite.into_iter().all(|x| x.is_finite())
            && self.scales.iter().all(|x| x.is_finite());
        if fits {
            return Ok(());
        }
        let message = format!(
            "stands at epoch {}, step {} of a stage of {epochs} epochs of {steps} steps, or holds sums of another stage; it is damaged: \
             delete it to start over",
            self.epoch, self.step
        );
        Err(Error::checkpoint(path, message))
    }

    /// Adds one step's terms.
    pub(crate) fn add(&mut self, row: &[f32]) {
        self.count += 1;
        for (sum, value) in self.sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }

    /// Each term's mean over the epoch.
    pub(crate) fn means(&self) -> Vec<f64> {
        self.sums.iter().map(|s| s / self.count.max(1) as f64).collect()
    }

    /// The same by the terms' names.
    pub(crate) fn named_means(&self, names: &[String]) -> BTreeMap<String, f64> {
        names.iter().cloned().zip(self.means()).collect()
    }

    /// The weighted total's mean over the epoch.
    pub(crate) fn mean_total(&self, factors: &[f32]) -> f64 {
        let total: f64 = self.sums.iter().zip(factors).map(|(s, f)| s * f64::from(*f)).sum();
        total / self.count.max(1) as f64
    }

    /// Milliseconds of a step: the median over the epochs.
    pub(crate) fn step_ms(&self) -> f64 {
        let mut times = self.step_times.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    }

    /// Takes note of what the first step of an epoch showed.
    pub(crate) fn agree(&mut self, stats: &GradientStats) {
        let (sums, count) = &mut self.agreement;
        if sums.is_empty() {
            *sums = vec![vec![0.0; stats.cosines.len()]; stats.cosines.len()];
        }
        for (sum, value) in sums.iter_mut().flatten().zip(stats.cosines.iter().flatten()) {
            *sum += value;
        }
        *count += 1;
    }

    /// The tasks' agreement, mean over the epochs; empty where it was not measured.
    pub(crate) fn agreement(&self) -> Vec<Vec<f64>> {
        let (sums, count) = &self.agreement;
        sums.iter().map(|row| row.iter().map(|v| v / *count as f64).collect()).collect()
    }

    /// Makes ready for the next epoch.
    pub(crate) fn close_epoch(&mut self, seconds: f64) {
        self.total_seconds += self.seconds + seconds;
        self.seconds = 0.0;
        self.step = 0;
        self.count = 0;
        self.gradient_norms = None;
        self.sums.fill(0.0);
    }

    /// Writes the whole state.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no learner; [`Error::Io`].
    pub(crate) fn save(&mut self, gpu: &Gpu, path: &Path, learners: &[Learner]) -> Result<()> {
        let first = learners.first().ok_or_else(no_learner)?;
        self.optimizer_steps = first.optimizer.steps();
        let mut bundle = Bundle::default();
        bundle.add_network(gpu, &first.network)?;
        for (i, values) in first.optimizer.export(gpu)?.iter().enumerate() {
            bundle.add(format!("optimizer.{i}"), vec![values.len()], values);
        }
        if let Some(average) = first.averaged() {
            for named in average.params().export(gpu)? {
                bundle.add(format!("ema.{}", named.name), named.shape, &named.data);
            }
        }
        for (k, (params, optimizer)) in beside(learners).enumerate() {
            for named in params.export(gpu)? {
                bundle.add(format!("beside.{k}.{}", named.name), named.shape, &named.data);
            }
            for (i, values) in optimizer.export(gpu)?.iter().enumerate() {
                bundle.add(format!("beside.{k}.optimizer.{i}"), vec![values.len()], values);
            }
        }
        bundle.write(path, &to_json(self)?)
    }

    /// The state stored at `path`, put back into `learners`; this one if there is none.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where the data, a teacher or the settings have changed since, and for a file that is damaged.
    pub(crate) fn resume(self, gpu: &Gpu, path: &Path, learners: &mut [Learner]) -> Result<Self> {
        if !path.exists() {
            return Ok(self);
        }
        let bytes = read(path)?;
        let (stored, text) = Stored::parse(path, &bytes)?;
        let found: Progress = from_json(path, &text)?;
        if found.data != self.data {
            return Err(Error::checkpoint(path, format!("was made from other data; {ADVICE}")));
        }
        if found.teachers != self.teachers {
            let message =
                format!("was distilled from other teachers ({:?}, now {:?}); {ADVICE}", found.teachers, self.teachers);
            return Err(Error::checkpoint(path, message));
        }
        // Last, as it tells of data and teachers, too.
        let found = Progress { key: found.key.or(self.key.clone()), ..found };
        if found.key != self.key {
            return Err(Error::checkpoint(path, format!("was made with other settings; {ADVICE}")));
        }
        let state = |prefix: &str, count: usize| {
            let all = (0..count).map(|i| Ok(stored.get(&format!("{prefix}optimizer.{i}"))?.1));
            all.collect::<Result<Vec<_>>>()
        };
        let import = |params: &Params, k: usize| {
            params.import(gpu, |name, _| Ok(stored.finite(&format!("beside.{k}.{name}"))?.1))
        };
        let (moments, steps) = (learners.first().ok_or_else(no_learner)?.optimizer.moments(), found.optimizer_steps);
        let mut k = 0;
        for group in learners.iter_mut().flat_map(|l| &mut l.extra) {
            import(&group.params, k)?;
            group.optimizer.import(gpu, &state(&format!("beside.{k}."), moments)?, steps)?;
            k += 1;
        }
        for (i, learner) in learners.iter_mut().enumerate() {
            if i == 0 {
                stored.restore(gpu, &learner.network)?;
                learner.optimizer.import(gpu, &state("", moments)?, steps)?;
                if let Some(average) = learner.averaged() {
                    average.params().import(gpu, |name, _| Ok(stored.finite(&format!("ema.{name}"))?.1))?;
                }
                continue;
            }
            import(learner.network.params(), k)?;
            learner.optimizer.import(gpu, &state(&format!("beside.{k}."), moments)?, steps)?;
            k += 1;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{CocoScores, Confusion, MultilabelTally, RegressionTally, Scores};
    use proptest::prelude::*;

    fn standing(score: Option<f64>, loss: Option<f64>) -> Standing {
        Standing { score, loss }
    }

    /// The epoch that is stored of these.
    fn stored(all: &[Standing]) -> usize {
        (1..all.len()).fold(0, |best, i| if all[i].replaces(&all[best]) { i } else { best })
    }

    #[test]
    fn of_equal_scores_the_lower_loss_and_of_equal_losses_the_later_epoch() {
        let of =
            |all: &[(Option<f64>, Option<f64>)]| stored(&all.iter().map(|(s, l)| standing(*s, *l)).collect::<Vec<_>>());
        assert_eq!(of(&[(Some(0.5), Some(1.0)), (Some(0.6), Some(9.0)), (Some(0.4), Some(0.1))]), 1);
        assert_eq!(of(&[(Some(0.0), Some(3.0)), (Some(0.0), Some(1.0)), (Some(0.0), Some(2.0))]), 1);
        assert_eq!(of(&[(Some(0.0), Some(1.0)), (Some(0.0), Some(1.0)), (Some(0.0), None)]), 1);
        // Undefined for all epochs: the loss alone.
        assert_eq!(of(&[(None, Some(1.0)), (None, Some(0.5)), (None, Some(0.7))]), 1);
        assert_eq!(of(&[(None, None), (None, None)]), 1);
        // States of before the loss was measured.
        let old: Standing = serde_json::from_str(r#"{"best":0.25}"#).unwrap();
        assert_eq!(old, standing(Some(0.25), None));
        assert!(standing(Some(0.25), Some(7.0)).replaces(&old) && !standing(Some(0.2), Some(0.1)).replaces(&old));
    }

    /// Answers of a network to a task of each kind over a split of four samples, from numbers in 0..1.
    fn scores(kind: usize, drawn: &[f64]) -> Scores {
        match kind {
            0 => Scores::of_classes(&confusion(drawn)),
            1 => Scores::of_pixels(&confusion(drawn)),
            2 => {
                let mut tally = MultilabelTally::new(2);
                for (i, v) in drawn.iter().enumerate() {
                    tally.add(&[*v as f32, 1.0 - *v as f32], &[Some(i % 2 == 0), Some(i == 1)]).unwrap();
                }
                tally.metrics().into()
            }
            3 => {
                // Far beyond the labels' spread, too.
                let mut tally = RegressionTally::default();
                drawn.iter().enumerate().for_each(|(i, v)| tally.add(1e4 * v.powi(9), (i % 3) as f64).unwrap());
                tally.metrics().into()
            }
            _ => CocoScores { ap: Some(drawn[0]), ap50: Some(drawn[1]), ..CocoScores::default() }.into(),
        }
    }

    fn confusion(drawn: &[f64]) -> Confusion {
        let mut matrix = Confusion::new(3);
        drawn.iter().enumerate().for_each(|(i, v)| matrix.add((3.0 * v) as usize % 3, i % 3).unwrap());
        matrix
    }

    proptest! {
        /// Whatever a task asks for: no epoch has a better value of the metric that tables show first than the one that is stored, and
        /// none of the same value has a lower loss.
        #[test]
        fn the_stored_epoch_is_the_one_that_the_reported_metric_calls_best(
            kind in 0usize..5,
            epochs in prop::collection::vec((prop::collection::vec(0.0f64..1.0, 4), 0u8..3), 1..9),
            spread in 0.01f64..100.0,
        ) {
            let all: Vec<(Scores, f64)> = epochs.iter().map(|(v, l)| (scores(kind, v), f64::from(*l))).collect();
            let standings: Vec<Standing> = all.iter().map(|(s, l)| standing(s.selection(spread), Some(*l))).collect();
            let chosen = stored(&standings);
            let value = |i: usize| {
                let (metric, value) = all[i].0.main().unwrap();
                if metric.higher_is_better { *value.unwrap() } else { -*value.unwrap() }
            };
            for i in 0..all.len() {
                prop_assert!(value(i) <= value(chosen), "epoch {} is better than {}", i, chosen);
                prop_assert!(value(i) < value(chosen) || all[i].1 >= all[chosen].1);
            }
        }
    }
}
