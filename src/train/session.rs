//! One stage under way: epochs, validation, selection, the end; resumable at any step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::checkpoint::{self, to_json};
use crate::data::loader::{Batch, Loader};
use crate::data::seed;
use crate::distill::TeacherOutputs;
use crate::files::write_atomic;
use crate::loss::LossLog;
use crate::metrics::TaskResult;
use crate::nn::{Frozen, Network};
use crate::optim::Schedule;
use crate::train::balancing::Balancing;
use crate::train::cache::TeacherCache;
use crate::train::event::{EpochRecord, Event};
use crate::train::gradient_stats::GradientStats;
use crate::train::result::StageResult;
use crate::train::stage::{Finished, Stage, StageContext, rule, schedule};
use crate::train::state::{ParamGroups, Progress, Standing};
use crate::train::step::{Parts, Peer, StepRecorder};
use crate::train::terms::{LossTerms, Term};
use crate::{Error, Result};

/// Steps between two looks at the losses: each look waits for the GPU.
pub(crate) const LOOK: usize = 16;

/// A stage, what it trains, and how far it is.
pub(crate) struct StageTrainer<'a> {
    bench: &'a StageContext<'a>,
    stage: &'a Stage<'a>,
    network: &'a Network,
    objective: LossTerms,
    balancing: Option<Balancing>,
    journal: &'a mut dyn FnMut(Event) -> Result<()>,
    parts: ParamGroups<'a>,
    ledger: LossLog,
    schedule: Schedule,
    /// What an epoch goes through: where nobody teaches, samples that have a label.
    samples: Vec<u32>,
    /// Steps in an epoch.
    steps: usize,
    progress: Progress,
    state: PathBuf,
    cycle: Option<StepRecorder>,
    peers: Vec<Peer>,
    cache: Option<TeacherCache>,
}

impl<'a> StageTrainer<'a> {
    /// A session at the place where an interrupted run stopped, or at the start.
    pub(crate) fn open(
        bench: &'a StageContext<'a>,
        stage: &'a Stage<'a>,
        network: &'a Network,
        mut objective: LossTerms,
        peers: Vec<Peer>,
        journal: &'a mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Self> {
        let (gpu, train) = (bench.gpu, stage.train);
        let samples = match objective.teachers().is_empty() && peers.is_empty() {
            true => bench.feed.train.labelled(&stage.tasks),
            false => (0..bench.feed.train.len() as u32).collect(),
        };
        let steps = Loader::train_steps(samples.len(), train.batch);
        let adaptors =
            std::iter::once(&objective).chain(peers.iter().map(|p| &p.objective)).flat_map(LossTerms::adaptors);
        let adaptors = adaptors.map(|(_, params)| (params.clone(), stage.adaptor_lr_factor));
        let beside = adaptors.chain(peers.iter().map(|p| (p.network.params().clone(), 1.0))).collect();
        let mut parts = ParamGroups::new(gpu, network, beside, rule(train), train.clip_norm)?;
        let state = bench.path(stage, ".state.safetensors");
        let fresh = Progress::new(bench.data_fingerprint, objective.fingerprints(), objective.names().len());
        let progress = fresh.resume(gpu, &state, &mut parts)?;
        objective.scale(&progress.scales);
        let seed = seed::derive(stage.data_seed, "balance");
        let mut balancing = match stage.balance {
            Some(config) => Balancing::new(config, &objective, &bench.task_names(stage), seed)?,
            None => None,
        };
        if let (Some(balancing), Some(stored)) = (&mut balancing, &progress.balance) {
            balancing.restore(stored)?;
        }
        let cache = |config| TeacherCache::new(config, bench.shelf.cache(), bench.data_fingerprint);
        let cache = stage.cache.filter(|_| !objective.teachers().is_empty()).map(cache);
        Ok(StageTrainer {
            cache,
            progress,
            ledger: LossLog::new(gpu, objective.names().to_vec(), LOOK)?,
            schedule: schedule(train, steps),
            bench,
            stage,
            network,
            objective,
            balancing,
            journal,
            parts,
            samples,
            steps,
            state,
            cycle: None,
            peers,
        })
    }

    /// Trains to the end, then tests.
    pub(crate) fn run(mut self) -> Result<StageResult> {
        let [h, w, _] = self.bench.feed.image();
        let (epoch, step) = (self.progress.epoch, self.progress.step);
        (self.journal)(Event::Stage {
            index: self.stage.index,
            label: &self.stage.label(),
            epochs: self.stage.train.epochs,
            steps: self.steps,
            params: self.network.params().count(),
            beside: self.parts.count_beside(),
            macs: self.network.macs(h, w),
            resumed: ((epoch, step) != (0, 0)).then_some((epoch, step)),
        })?;
        while self.progress.epoch < self.stage.train.epochs {
            let clock = Instant::now();
            let lr = self.epoch(&clock)?;
            self.validate(&clock, lr)?;
        }
        self.finish()
    }

    /// The rest of the epoch under way; gives the last learning rate.
    fn epoch(&mut self, clock: &Instant) -> Result<f32> {
        let feed = &self.bench.feed;
        let (epoch, epochs) = (self.progress.epoch, self.stage.train.epochs);
        let peers = self.peers.iter_mut().map(|p| &mut p.objective);
        let all = std::iter::once(&mut self.objective).chain(peers);
        // Each of them is to be told, so nothing ends at the first that has changed.
        if all.map(|objective| objective.advance(epoch, epochs)).fold(false, |any, one| any | one) {
            self.cycle.iter_mut().for_each(StepRecorder::forget);
        }
        let epoch_seed = seed::derive_n(self.stage.data_seed, self.progress.epoch as u64);
        let first = self.progress.step;
        let (split, batch) = (feed.train.clone(), self.stage.train.batch);
        let loader = Loader::train_among(split, &self.samples, batch, epoch_seed, feed.augment, first);
        let mut lr = self.schedule.at((self.progress.epoch * self.steps + first).saturating_sub(1));
        for batch in loader {
            if self.bench.stop.load(Ordering::Relaxed) {
                self.flush_losses()?;
                self.progress.seconds += clock.elapsed().as_secs_f64();
                self.save()?;
                return Err(Error::Interrupted { at: self.place(self.progress.step) });
            }
            lr = self.schedule.at(self.progress.epoch * self.steps + self.progress.step);
            self.step(&batch, lr)?;
            self.ledger.advance();
            self.peers.iter_mut().for_each(|p| p.ledger.advance());
            self.progress.step += 1;
            if self.ledger.full() {
                self.flush_losses()?;
            }
        }
        self.flush_losses()?;
        Ok(lr)
    }

    /// One step: what changes is written, then the work is done plainly, recorded or replayed.
    fn step(&mut self, batch: &Batch, lr: f32) -> Result<()> {
        let (gpu, feed) = (self.bench.gpu, &self.bench.feed);
        let mut cycle = match self.cycle.take() {
            Some(cycle) if cycle.fits(batch) => {
                cycle.write(gpu, batch)?;
                cycle
            }
            _ => StepRecorder::new(gpu, feed, batch, &self.stage.tasks, self.balancing.is_some())?,
        };
        let taught = self.teach(&mut cycle, batch)?;
        self.measure(&mut cycle, taught.as_deref())?;
        self.ledger.prepare(gpu)?;
        self.peers.iter().try_for_each(|p| p.ledger.prepare(gpu))?;
        self.parts.prepare(gpu, lr)?;
        let (network, objective, ledger) = (self.network, &self.objective, &self.ledger);
        let parts = Parts {
            gpu,
            feed,
            network,
            objective,
            trained: &self.parts,
            ledger,
            peers: &self.peers,
            taught: taught.as_deref(),
        };
        let done = cycle.run(&parts, self.balancing.as_mut());
        let at = || self.place(self.progress.step + 1);
        done.map_err(|e| match e {
            Error::NonFinite { what, value, .. } => Error::NonFinite { what, value, at: at() },
            other => other,
        })?;
        self.cycle = Some(cycle);
        Ok(())
    }

    /// The teachers' answers about the batch, where there is a cache.
    fn teach(&mut self, cycle: &mut StepRecorder, batch: &Batch) -> Result<Option<Vec<TeacherOutputs>>> {
        let Some(cache) = &mut self.cache else { return Ok(None) };
        let (gpu, feed) = (self.bench.gpu, &self.bench.feed);
        let (network, objective, trained, ledger) = (self.network, &self.objective, &self.parts, &self.ledger);
        let parts = Parts { gpu, feed, network, objective, trained, ledger, peers: &[], taught: None };
        let size = (batch.indices.len(), feed.train.len(), self.stage.train.epochs);
        let journal = &mut *self.journal;
        let mut open = |cache: &mut TeacherCache, taught: &[TeacherOutputs]| {
            cache.open(objective, taught, size, &feed.augment, &mut |text| journal(Event::Note { text: &text }))
        };
        cycle.teach(&parts, cache, batch, &mut open).map(Some)
    }

    /// What is measured at the first step of an epoch: the terms' gradients; and in the first epoch, as soon as it can be, the scales
    /// of those that are normalised. A batch may hold no label of a task.
    fn measure(&mut self, cycle: &mut StepRecorder, taught: Option<&[TeacherOutputs]>) -> Result<()> {
        let (gpu, feed) = (self.bench.gpu, &self.bench.feed);
        let terms = self.objective.terms();
        let known = &self.progress.scales;
        let open = if known.is_empty() { terms.iter().any(Term::is_scaled) } else { known.contains(&0.0) };
        let normalise = open && self.progress.epoch == 0;
        let probe = self.stage.probe && self.progress.step == 0;
        // Networks that teach each other have no teachers to be asked beside a step.
        if (!normalise && !probe) || !self.peers.is_empty() {
            return Ok(());
        }
        let (network, ledger) = (self.network, &self.ledger);
        let (objective, trained) = (&self.objective, &self.parts);
        let parts = Parts { gpu, feed, network, objective, trained, ledger, peers: &[], taught };
        let mut products = cycle.probe(&parts)?;
        if normalise {
            let known = &mut self.progress.scales;
            known.resize(self.objective.names().len(), 0.0);
            let mut scales = self.objective.scales(&products);
            scales.iter_mut().zip(known.iter()).filter(|(_, known)| **known != 0.0).for_each(|(scale, _)| *scale = 0.0);
            known.iter_mut().zip(&scales).for_each(|(known, scale)| *known += scale);
            self.objective.scale(&scales);
            if scales.iter().any(|scale| ![0.0, 1.0].contains(scale)) {
                cycle.forget();
            }
            // What is told is what the step will do.
            let by = |i: usize| if scales[i] == 0.0 { 1.0 } else { f64::from(scales[i]) };
            for (i, product) in products.iter_mut().enumerate() {
                *product *= by(i / scales.len()) * by(i % scales.len());
            }
        }
        if probe {
            let pulls = GradientStats::of(&self.objective, &products);
            self.progress.agree(&pulls);
            self.progress.gradient_norms = Some(pulls);
        }
        Ok(())
    }

    /// Says which terms could not be scaled, now that it is no longer tried.
    fn tell_unscaled(&mut self) -> Result<()> {
        let names = self.objective.names().iter().zip(&self.progress.scales);
        let open: Vec<&str> = names.filter(|(_, scale)| **scale == 0.0).map(|(name, _)| name.as_str()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let text = format!(
            "{} could not be scaled in the first epoch, as the labels of the task or the method itself pulled at nothing; the weight is \
             taken as it is",
            open.join(", ")
        );
        (self.journal)(Event::Note { text: &text })
    }

    /// Brings the losses of the last steps back, refuses what is not finite, and tells of the progress.
    fn flush_losses(&mut self) -> Result<()> {
        if self.ledger.is_empty() {
            return Ok(());
        }
        let rows = self.ledger.take(self.bench.gpu)?;
        for (k, peer) in self.peers.iter_mut().enumerate() {
            let values = peer.ledger.take(self.bench.gpu)?;
            let names = peer.objective.names();
            let bad = values.iter().flat_map(|row| row.iter().zip(names)).find(|(value, _)| !value.is_finite());
            if let Some((value, name)) = bad {
                let (what, at) = (format!("the loss {name} of peer {}", k + 1), self.stage.label());
                return Err(Error::NonFinite { what, value: *value, at });
            }
        }
        let factors = self.objective.factors();
        let mut total = 0.0;
        for (i, row) in rows.iter().enumerate() {
            for ((value, name), factor) in row.iter().zip(self.objective.names()).zip(&factors) {
                if !value.is_finite() {
                    let at = self.place(self.progress.step + 1 + i - rows.len());
                    return Err(Error::NonFinite { what: format!("the loss {name}"), value: *value, at });
                }
                total += value * factor;
            }
            self.progress.add(row);
        }
        let (loss, images) = (total / rows.len() as f32, rows.len() * self.stage.train.batch);
        (self.journal)(Event::Step { epoch: self.progress.epoch, step: self.progress.step, loss, images })
    }

    /// Stage, epoch and step, for messages; counted from 1.
    fn place(&self, step: usize) -> String {
        format!("{}, epoch {}, step {step}", self.stage.label(), self.progress.epoch + 1)
    }

    /// Measures the epoch's weights on the validation split, keeps them if they are the best, and closes the epoch.
    fn validate(&mut self, clock: &Instant, lr: f32) -> Result<()> {
        let (gpu, bench, stage) = (self.bench.gpu, self.bench, self.stage);
        let training = self.progress.seconds + clock.elapsed().as_secs_f64();
        self.progress.step_times.push(1e3 * training / self.steps as f64);
        let frozen = self.network.freeze(gpu)?;
        let (feed, batch) = (&bench.feed, stage.train.batch);
        let (val, loss) = feed.evaluate_with_loss(gpu, &frozen, &feed.val, &stage.tasks, batch, &self.objective)?;
        let standing =
            Standing { score: feed.selection(&stage.tasks, &val), loss: Some(loss).filter(|l| l.is_finite()) };
        let best = self.progress.epoch == 0 || standing.replaces(&self.progress.best);
        if self.progress.epoch == 0 {
            self.tell_unscaled()?;
        }
        self.progress.epoch += 1;
        self.progress.last = standing.score;
        if best {
            self.progress.best = standing;
            let card = bench.card(stage, self.network, self.progress.epoch, standing.score)?;
            checkpoint::save(gpu, &bench.path(stage, ".safetensors"), self.network, &card)?;
        }
        let means = self.progress.means();
        let weights = match &mut self.balancing {
            Some(balancing) => balancing.end_epoch(&self.objective, &means)?.into_iter().collect(),
            None => BTreeMap::new(),
        };
        let record = EpochRecord {
            stage: stage.name.clone(),
            seed: stage.seed,
            epoch: self.progress.epoch - 1,
            lr,
            train_loss: self.progress.mean_total(&self.objective.factors()),
            losses: self.progress.named_means(self.objective.names()),
            weights,
            gradient_norms: self.progress.gradient_norms.take(),
            val_loss: standing.loss,
            val: bench.task_names(stage).iter().zip(&val).map(|(t, r)| (t.to_string(), r.scores.clone())).collect(),
            best,
            seconds: self.progress.seconds + clock.elapsed().as_secs_f64(),
            images_per_second: (self.steps * stage.train.batch) as f64 / training.max(1e-9),
        };
        (self.journal)(Event::Epoch(&record))?;
        self.progress.close_epoch(clock.elapsed().as_secs_f64());
        self.save()
    }

    fn save(&mut self) -> Result<()> {
        self.progress.balance = self.balancing.as_ref().map(Balancing::state);
        self.progress.save(self.bench.gpu, &self.state, &self.parts)
    }

    /// Tests the best and the last weights and stores the result, which marks the stage as finished.
    fn finish(self) -> Result<StageResult> {
        let (clock, gpu, bench, stage) = (Instant::now(), self.bench.gpu, self.bench, self.stage);
        let card = bench.card(stage, self.network, self.progress.epoch, self.progress.last)?;
        checkpoint::save(gpu, &bench.path(stage, ".last.safetensors"), self.network, &card)?;
        // What is tested is what lies on disk.
        let best = checkpoint::load(gpu, &bench.path(stage, ".safetensors"))?.0.freeze(gpu)?;
        let [h, w, _] = bench.feed.image();
        let (best, last) = (self.test(&best)?, self.test(&self.network.freeze(gpu)?)?);
        let result = StageResult {
            stage: stage.name.clone(),
            seed: stage.seed,
            params: self.network.params().count(),
            macs: self.network.macs(h, w),
            seconds: self.progress.total_seconds + clock.elapsed().as_secs_f64(),
            beside: self.parts.count_beside(),
            val: self.progress.best.score,
            step_ms: self.progress.step_ms(),
            agreement: self.progress.agreement(),
            best,
            last,
        };
        let (data, teachers) = (format!("{:016x}", bench.data_fingerprint), self.objective.fingerprints());
        let finished = Finished { data, teachers, evaluate_on: bench.feed.evaluate_on, result };
        write_atomic(bench.path(stage, ".json"), to_json(&finished)?.as_bytes())?;
        let result = finished.result;
        // The result is there, so a state that cannot be removed does no harm.
        let _ = std::fs::remove_file(&self.state);
        if let Some((hits, misses)) = self.cache.as_ref().map(TeacherCache::counts) {
            let text = format!("teacher cache: {hits} pictures were found, {misses} were shown to the teachers");
            (self.journal)(Event::Note { text: &text })?;
        }
        let test: Vec<_> = result.best.iter().map(|(task, r)| (task.clone(), r.scores.clone())).collect();
        (self.journal)(Event::StageDone { label: &stage.label(), test: &test, seconds: result.seconds })?;
        Ok(result)
    }

    fn test(&self, network: &Frozen) -> Result<BTreeMap<String, TaskResult>> {
        let (bench, stage) = (self.bench, self.stage);
        let all = bench.feed.evaluate(bench.gpu, network, &bench.feed.test, &stage.tasks, stage.train.batch)?;
        Ok(bench.task_names(stage).into_iter().map(String::from).zip(all).collect())
    }
}
