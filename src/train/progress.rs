//! Where a stage stands, and everything it takes to go on from there as if nothing had happened.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::checkpoint::{Bundle, Stored, from_json, read, to_json};
use crate::distill::Adaptor;
use crate::gpu::Gpu;
use crate::nn::Network;
use crate::optim::{Optimizer, Rule};
use crate::{Error, Result};

/// All that a stage trains: the network and the adaptors beside it, each with its optimiser.
pub(super) struct Trainables<'a> {
    network: &'a Network,
    optimizer: Optimizer,
    adaptors: Vec<(&'a Adaptor, Optimizer)>,
}

impl<'a> Trainables<'a> {
    pub(super) fn new(
        gpu: &Gpu,
        network: &'a Network,
        adaptors: &'a [Adaptor],
        rule: Rule,
        clip_norm: Option<f64>,
    ) -> Result<Self> {
        let clip = clip_norm.map(|c| c as f32);
        let with = |a: &'a Adaptor| Ok((a, Optimizer::new(gpu, a.params(), rule, clip)?));
        Ok(Trainables {
            network,
            optimizer: Optimizer::new(gpu, network.params(), rule, clip)?,
            adaptors: adaptors.iter().map(with).collect::<Result<_>>()?,
        })
    }

    /// Begins a step of everything: what changes from step to step is written.
    pub(super) fn prepare(&mut self, gpu: &Gpu, lr: f32) -> Result<()> {
        self.optimizer.prepare(gpu, lr)?;
        self.adaptors.iter_mut().try_for_each(|(_, optimizer)| optimizer.prepare(gpu, lr))
    }

    /// The dispatches of a step, the same each time.
    pub(super) fn apply(&self, gpu: &Gpu) -> Result<()> {
        self.optimizer.apply(gpu, self.network.params())?;
        self.adaptors.iter().try_for_each(|(adaptor, optimizer)| optimizer.apply(gpu, adaptor.params()))
    }
}

/// A stage's place in its epochs, with the sums of the epoch under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Epochs finished.
    pub epoch: usize,
    /// Steps finished in the epoch under way.
    pub step: usize,
    /// The best validation score so far.
    pub best: Option<f64>,
    /// The last one.
    pub last: f64,
    /// Seconds spent in the epoch under way before an interruption.
    pub seconds: f64,
    /// Seconds of all finished epochs.
    pub total_seconds: f64,
    sums: Vec<f64>,
    count: usize,
    optimizer_steps: u64,
    data: String,
    teachers: Vec<String>,
}

impl Progress {
    /// The start of a stage.
    pub(super) fn new(data_fingerprint: u64, teachers: Vec<String>, terms: usize) -> Self {
        Progress {
            epoch: 0,
            step: 0,
            best: None,
            last: 0.0,
            seconds: 0.0,
            total_seconds: 0.0,
            sums: vec![0.0; terms],
            count: 0,
            optimizer_steps: 0,
            data: format!("{data_fingerprint:016x}"),
            teachers,
        }
    }

    /// Adds one step's terms.
    pub(super) fn add(&mut self, row: &[f32]) {
        self.count += 1;
        for (sum, value) in self.sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }

    /// Each term's mean over the epoch.
    pub(super) fn means(&self, names: &[String]) -> BTreeMap<String, f64> {
        names.iter().cloned().zip(self.sums.iter().map(|s| s / self.count.max(1) as f64)).collect()
    }

    /// The weighted total's mean over the epoch.
    pub(super) fn mean_total(&self, factors: &[f32]) -> f64 {
        let total: f64 = self.sums.iter().zip(factors).map(|(s, f)| s * f64::from(*f)).sum();
        total / self.count.max(1) as f64
    }

    /// Makes ready for the next epoch.
    pub(super) fn close_epoch(&mut self, seconds: f64) {
        self.total_seconds += self.seconds + seconds;
        self.seconds = 0.0;
        self.step = 0;
        self.count = 0;
        self.sums.fill(0.0);
    }

    /// Writes the whole state.
    pub(super) fn save(&mut self, gpu: &Gpu, path: &Path, parts: &Trainables) -> Result<()> {
        self.optimizer_steps = parts.optimizer.steps();
        let mut bundle = Bundle::default();
        bundle.add_network(gpu, parts.network)?;
        for (i, values) in parts.optimizer.export(gpu)?.iter().enumerate() {
            bundle.add(format!("optimizer.{i}"), vec![values.len()], values);
        }
        for (k, (adaptor, optimizer)) in parts.adaptors.iter().enumerate() {
            for named in adaptor.params().export(gpu)? {
                bundle.add(format!("adaptor.{k}"), vec![named.data.len()], &named.data);
            }
            for (i, values) in optimizer.export(gpu)?.iter().enumerate() {
                bundle.add(format!("adaptor.{k}.optimizer.{i}"), vec![values.len()], values);
            }
        }
        bundle.write(path, to_json(self)?)
    }

    /// The state stored at `path`, put back into `parts`; this one if there is none.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where the data or a teacher has changed since.
    pub(super) fn resume(self, gpu: &Gpu, path: &Path, parts: &mut Trainables) -> Result<Self> {
        if !path.exists() {
            return Ok(self);
        }
        let bytes = read(path)?;
        let (stored, text) = Stored::parse(path, &bytes)?;
        let found: Progress = from_json(path, &text)?;
        let advice = "choose another folder with --out, or remove this one to start over";
        if found.data != self.data {
            return Err(Error::checkpoint(path, format!("was made from other data; {advice}")));
        }
        if found.teachers != self.teachers {
            let message =
                format!("was distilled from other teachers ({:?}, now {:?}); {advice}", found.teachers, self.teachers);
            return Err(Error::checkpoint(path, message));
        }
        stored.restore(gpu, parts.network)?;
        let state = |prefix: &str, count: usize| {
            let all = (0..count).map(|i| Ok(stored.get(&format!("{prefix}optimizer.{i}"))?.1));
            all.collect::<Result<Vec<_>>>()
        };
        let moments = parts.optimizer.moments();
        parts.optimizer.import(gpu, &state("", moments)?, found.optimizer_steps)?;
        for (k, (adaptor, optimizer)) in parts.adaptors.iter_mut().enumerate() {
            adaptor.params().import(gpu, |_, _| Ok(stored.get(&format!("adaptor.{k}"))?.1))?;
            optimizer.import(gpu, &state(&format!("adaptor.{k}."), moments)?, found.optimizer_steps)?;
        }
        Ok(found)
    }
}
