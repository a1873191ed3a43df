//! One stage under way: epochs, validation, selection, the end; resumable at any step.

mod gradients;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::checkpoint::{self, ModelCard, to_json};
use crate::data::loader::{Batch, Loader};
use crate::data::seed;
use crate::distill::TeacherOutputs;
use crate::files::write_atomic;
use crate::metrics::TaskResult;
use crate::nn::{Frozen, Network};
use crate::optim::Schedule;
use crate::train::balancing::Balancing;
use crate::train::cache::TeacherCache;
use crate::train::event::{EpochRecord, Event};
use crate::train::gradient_stats::GradientStats;
use crate::train::learner::Learner;
use crate::train::result::StageResult;
use crate::train::stage::{Finished, Stage, StageContext, rule, schedule};
use crate::train::state::{Progress, Standing, count_beside};
use crate::train::step::{Parts, RecordedStep};
use crate::train::terms::{LossTerms, Term};
use crate::{Error, Result};

/// A stage, what it trains, and how far it is.
pub(crate) struct StageTrainer<'a> {
    bench: &'a StageContext<'a>,
    stage: &'a Stage<'a>,
    /// The student first, then networks that learn along with it.
    learners: Vec<Learner>,
    balancing: Option<Balancing>,
    journal: &'a mut dyn FnMut(Event) -> Result<()>,
    schedule: Schedule,
    /// What an epoch goes through: where nobody teaches, samples that have a label.
    samples: Vec<u32>,
    /// Steps in an epoch.
    steps: usize,
    progress: Progress,
    state: PathBuf,
    cycle: Option<RecordedStep>,
    cache: Option<TeacherCache>,
}

impl<'a> StageTrainer<'a> {
    /// A session at the place where an interrupted run stopped, or at the start: of a network and the terms of its loss, and of those
    /// that learn along with it.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a stored state of other data or teachers, [`Error::Invalid`] without a network.
    pub(crate) fn open(
        bench: &'a StageContext<'a>,
        stage: &'a Stage<'a>,
        networks: Vec<(Network, LossTerms)>,
        journal: &'a mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Self> {
        let (gpu, train) = (bench.gpu, stage.train);
        let clip_norm = train.clip_norm.map(|norm| norm as f32);
        let learner = |(network, terms): (Network, LossTerms)| {
            let learner = Learner::new(gpu, network, terms, rule(train), clip_norm)?;
            Ok(learner.with_adaptor_lr_factor(stage.adaptor_lr_factor))
        };
        let mut learners = networks.into_iter().map(learner).collect::<Result<Vec<_>>>()?;
        if let (Some(decay), false) = (train.ema_decay, learners.is_empty()) {
            let first = learners.remove(0).with_average(gpu, decay)?;
            learners.insert(0, first);
        }
        let Some(first) = learners.first() else { return Err(Error::Invalid("a stage without a network".into())) };
        let taught = !first.terms.teachers().is_empty();
        let samples = match taught || learners.len() > 1 {
            false => bench.feed.train.labelled(&stage.tasks),
            true => (0..bench.feed.train.len() as u32).collect(),
        };
        let steps = Loader::train_steps(samples.len(), train.batch);
        let state = bench.path(stage, ".state.safetensors");
        let fresh = Progress::new(bench.data_fingerprint, first.terms.fingerprints(), first.terms.names().len());
        let progress = fresh.resume(gpu, &state, &mut learners)?;
        let terms = &mut learners[0].terms;
        terms.scale(&progress.scales);
        let seed = seed::derive(stage.data_seed, "balance");
        let mut balancing = match stage.balance {
            Some(config) => Balancing::new(config, terms, &bench.task_names(stage), seed)?,
            None => None,
        };
        if let (Some(balancing), Some(stored)) = (&mut balancing, &progress.balance) {
            balancing.restore(stored)?;
        }
        let cache = |config| TeacherCache::new(config, bench.shelf.cache(), bench.data_fingerprint);
        let cache = stage.cache.filter(|_| taught).map(cache);
        let schedule = schedule(train, steps);
        let cycle = None;
        Ok(StageTrainer {
            bench,
            stage,
            learners,
            balancing,
            journal,
            schedule,
            samples,
            steps,
            progress,
            state,
            cycle,
            cache,
        })
    }

    /// The learner that the stage is about.
    fn student(&self) -> &Learner {
        &self.learners[0]
    }

    /// Trains to the end, then tests.
    pub(crate) fn run(mut self) -> Result<StageResult> {
        let [h, w, _] = self.bench.feed.image();
        let (epoch, step) = (self.progress.epoch, self.progress.step);
        let student = &self.learners[0].network;
        (self.journal)(Event::Stage {
            index: self.stage.index,
            label: &self.stage.label(),
            epochs: self.stage.train.epochs,
            steps: self.steps,
            params: student.params().count(),
            beside: count_beside(&self.learners),
            macs: student.macs(h, w),
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
        let all = self.learners.iter_mut().map(|learner| learner.terms.advance(epoch, epochs));
        // Each of them is to be told, so nothing ends at the first that has changed.
        if all.fold(false, |any, one| any | one) {
            self.cycle.iter_mut().for_each(RecordedStep::forget);
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
            self.learners.iter_mut().for_each(|learner| learner.log.advance());
            self.progress.step += 1;
            if self.student().log.full() {
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
            _ => RecordedStep::new(gpu, feed, batch, &self.stage.tasks, self.balancing.is_some())?,
        };
        let taught = self.teach(&mut cycle, batch)?;
        self.measure(&mut cycle, taught.as_deref())?;
        self.learners.iter_mut().try_for_each(|learner| learner.prepare(gpu, lr))?;
        let parts = Parts { gpu, feed, learners: &self.learners, taught: taught.as_deref() };
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
    fn teach(&mut self, cycle: &mut RecordedStep, batch: &Batch) -> Result<Option<Vec<TeacherOutputs>>> {
        let Some(cache) = &mut self.cache else { return Ok(None) };
        let (gpu, feed) = (self.bench.gpu, &self.bench.feed);
        let parts = Parts { gpu, feed, learners: &self.learners, taught: None };
        let objective = &self.learners[0].terms;
        let size = (batch.indices.len(), feed.train.len(), self.stage.train.epochs);
        let journal = &mut *self.journal;
        let mut open = |cache: &mut TeacherCache, taught: &[TeacherOutputs]| {
            cache.open(objective, taught, size, &feed.augment, &mut |text| journal(Event::Note { text: &text }))
        };
        cycle.teach(&parts, cache, batch, &mut open).map(Some)
    }

    /// Brings the losses of the last steps back, refuses what is not finite, and tells of the progress.
    fn flush_losses(&mut self) -> Result<()> {
        if self.student().log.is_empty() {
            return Ok(());
        }
        let gpu = self.bench.gpu;
        let rows = self.learners[0].log.take(gpu)?;
        for (k, peer) in self.learners.iter_mut().enumerate().skip(1) {
            let values = peer.log.take(gpu)?;
            let names = peer.terms.names();
            let bad = values.iter().flat_map(|row| row.iter().zip(names)).find(|(value, _)| !value.is_finite());
            if let Some((value, name)) = bad {
                let (what, at) = (format!("the loss {name} of peer {k}"), self.stage.label());
                return Err(Error::NonFinite { what, value: *value, at });
            }
        }
        let factors = self.student().terms.factors();
        let mut total = 0.0;
        for (i, row) in rows.iter().enumerate() {
            for ((value, name), factor) in row.iter().zip(self.learners[0].terms.names()).zip(&factors) {
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
        let frozen = self.student().network.freeze(gpu)?;
        let (feed, batch) = (&bench.feed, stage.train.batch);
        let (val, loss) =
            feed.evaluate_with_loss(gpu, &frozen, &feed.val, &stage.tasks, batch, &self.student().terms)?;
        let standing =
            Standing { score: feed.selection(&stage.tasks, &val), loss: Some(loss).filter(|l| l.is_finite()) };
        let ema_val = match self.student().averaged() {
            Some(average) => feed.evaluate(gpu, &average.freeze(gpu)?, &feed.val, &stage.tasks, batch)?,
            None => Vec::new(),
        };
        let best = self.progress.epoch == 0 || standing.replaces(&self.progress.best);
        if self.progress.epoch == 0 {
            self.tell_unscaled()?;
        }
        self.progress.epoch += 1;
        self.progress.last = standing.score;
        if best {
            self.progress.best = standing;
            let card = bench.card(stage, &self.student().network, self.progress.epoch, standing.score)?;
            checkpoint::save(gpu, &bench.path(stage, ".safetensors"), &self.student().network, &card)?;
        }
        let means = self.progress.means();
        let weights = match &mut self.balancing {
            Some(balancing) => balancing.end_epoch(&self.learners[0].terms, &means)?.into_iter().collect(),
            None => BTreeMap::new(),
        };
        let record = EpochRecord {
            stage: stage.name.clone(),
            seed: stage.seed,
            epoch: self.progress.epoch - 1,
            lr,
            train_loss: self.progress.mean_total(&self.student().terms.factors()),
            losses: self.progress.named_means(self.student().terms.names()),
            weights,
            gradient_norms: self.progress.gradient_norms.take(),
            val_loss: standing.loss,
            val: bench.task_names(stage).iter().zip(&val).map(|(t, r)| (t.to_string(), r.scores.clone())).collect(),
            ema_val: bench.task_names(stage).iter().zip(ema_val).map(|(t, r)| (t.to_string(), r.scores)).collect(),
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
        self.progress.save(self.bench.gpu, &self.state, &self.learners)
    }

    /// Tests the best and the last weights and stores the result, which marks the stage as finished.
    fn finish(self) -> Result<StageResult> {
        let (clock, gpu, bench, stage) = (Instant::now(), self.bench.gpu, self.bench, self.stage);
        let card = bench.card(stage, &self.student().network, self.progress.epoch, self.progress.last)?;
        checkpoint::save(gpu, &bench.path(stage, ".last.safetensors"), &self.student().network, &card)?;
        // What is tested is what lies on disk.
        let best = checkpoint::load(gpu, &bench.path(stage, ".safetensors"))?.0.freeze(gpu)?;
        let [h, w, _] = bench.feed.image();
        let (best, last) = (self.test(&best)?, self.test(&self.student().network.freeze(gpu)?)?);
        let ema = match self.student().averaged() {
            Some(average) => {
                let card = ModelCard { val_score: None, ..card };
                checkpoint::save(gpu, &bench.path(stage, ".ema.safetensors"), average, &card)?;
                self.test(&average.freeze(gpu)?)?
            }
            None => BTreeMap::new(),
        };
        let result = StageResult {
            stage: stage.name.clone(),
            seed: stage.seed,
            params: self.student().network.params().count(),
            macs: self.student().network.macs(h, w),
            seconds: self.progress.total_seconds + clock.elapsed().as_secs_f64(),
            beside: count_beside(&self.learners),
            val: self.progress.best.score,
            step_ms: self.progress.step_ms(),
            agreement: self.progress.agreement(),
            best,
            last,
            ema,
        };
        let (data, teachers) = (format!("{:016x}", bench.data_fingerprint), self.student().terms.fingerprints());
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
