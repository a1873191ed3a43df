//! One stage under way: epochs, validation, selection, the end; resumable at any step.

mod gradients;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::checkpoint::{self, ModelCard};
use crate::data::loader::{Batch, Loader};
use crate::data::seed;
use crate::distill::TeacherOutputs;
use crate::files::remove;
use crate::metrics::TaskResult;
use crate::nn::{Frozen, Network};
use crate::optim::Schedule;
use crate::train::balancing::Balancing;
use crate::train::cache::TeacherCache;
use crate::train::event::{EpochRecord, Event};
use crate::train::gradient_stats::GradientStats;
use crate::train::learner::Learner;
use crate::train::result::StageResult;
use crate::train::stage::{Finished, NETWORKS, Stage, StageContext, rule, schedule};
use crate::train::state::{Progress, Standing, count_beside};
use crate::train::step::{Parts, RecordedStep};
use crate::train::terms::LossTerms;
use crate::{Error, Result};

/// A stage, what it trains, and how far it is.
pub(crate) struct StageTrainer<'a> {
    context: &'a StageContext<'a>,
    stage: &'a Stage<'a>,
    /// The student first, then networks that learn along with it.
    learners: Vec<Learner>,
    journal: &'a mut dyn FnMut(Event) -> Result<()>,
    schedule: Schedule,
    /// What an epoch goes through: where nobody teaches, samples that have a label.
    samples: Vec<u32>,
    /// Steps in an epoch.
    steps: usize,
    progress: Progress,
    state: PathBuf,
    recorded: Option<RecordedStep>,
    cache: Option<TeacherCache>,
}

impl<'a> StageTrainer<'a> {
    /// A session at the place where an interrupted run stopped, or at the start: of a network and the terms of its loss, and of those
    /// that learn along with it.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a stored state of other data, teachers or settings, [`Error::Invalid`] without a network.
    pub(crate) fn open(
        context: &'a StageContext<'a>,
        stage: &'a Stage<'a>,
        networks: Vec<(Network, LossTerms)>,
        journal: &'a mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Self> {
        let (gpu, train) = (context.gpu, stage.train);
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
            false => context.inputs.train.labelled(&stage.tasks),
            true => (0..context.inputs.train.len() as u32).collect(),
        };
        let steps = Loader::train_steps(samples.len(), train.batch);
        let state = context.path(stage, ".state.safetensors");
        let (teachers, terms) = (first.terms.fingerprints(), first.terms.names().len());
        let fresh = Progress::new(stage.key, context.data_fingerprint, teachers, terms);
        let progress = fresh.resume(gpu, &state, &mut learners)?;
        progress.check(&state, train.epochs, steps, terms)?;
        learners[0].restore_scales(&progress.scales);
        let terms = &learners[0].terms;
        let seed = seed::derive(stage.data_seed, "balance");
        let mut balancing = match stage.balance {
            Some(config) => Balancing::new(config, terms, &context.task_names(stage), seed)?,
            None => None,
        };
        if let (Some(balancing), Some(stored)) = (&mut balancing, &progress.balance) {
            balancing.restore(stored)?;
        }
        learners[0].balancing = balancing;
        let cache = |config| TeacherCache::new(config, context.store.cache(), context.data_fingerprint);
        let cache = stage.cache.filter(|_| taught).map(cache);
        let schedule = schedule(train, steps);
        let recorded = None;
        Ok(StageTrainer {
            context,
            stage,
            learners,
            journal,
            schedule,
            samples,
            steps,
            progress,
            state,
            recorded,
            cache,
        })
    }

    /// Epochs that are finished.
    pub(crate) fn finished_epochs(&self) -> usize {
        self.progress.epoch
    }

    /// The learner that the stage is about.
    fn student(&self) -> &Learner {
        &self.learners[0]
    }

    /// Trains to the end, then tests.
    pub(crate) fn run(mut self) -> Result<StageResult> {
        let [h, w, _] = self.context.inputs.image();
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
        let inputs = &self.context.inputs;
        let (epoch, epochs) = (self.progress.epoch, self.stage.train.epochs);
        self.learners.iter_mut().for_each(|learner| learner.advance(epoch, epochs));
        let epoch_seed = seed::derive_n(self.stage.data_seed, self.progress.epoch as u64);
        let first = self.progress.step;
        let (split, batch) = (inputs.train.clone(), self.stage.train.batch);
        let loader = Loader::train_among(split, &self.samples, batch, epoch_seed, inputs.augment, first);
        let mut lr = self.schedule.at((self.progress.epoch * self.steps + first).saturating_sub(1));
        for batch in loader {
            if self.context.stop.load(Ordering::Relaxed) {
                self.flush_losses()?;
                self.progress.seconds += clock.elapsed().as_secs_f64();
                self.save()?;
                return Err(Error::Interrupted { at: self.place(self.progress.step) });
            }
            lr = self.schedule.at(self.progress.epoch * self.steps + self.progress.step);
            self.step(&batch, lr)?;
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
        let (gpu, inputs) = (self.context.gpu, &self.context.inputs);
        let mut recorded = match self.recorded.take() {
            Some(recorded) if recorded.fits(batch) => {
                recorded.write(gpu, batch)?;
                recorded
            }
            _ => RecordedStep::new(gpu, inputs, batch, &self.stage.tasks, self.student().balancing.is_some())?,
        };
        let taught = self.teach(&mut recorded, batch)?;
        self.measure(&mut recorded, taught.as_deref())?;
        let done = recorded.take((gpu, inputs), &mut self.learners, taught.as_deref(), lr);
        let at = || self.place(self.progress.step + 1);
        done.map_err(|e| match e {
            Error::NonFinite { what, value, .. } => Error::NonFinite { what, value, at: at() },
            other => other,
        })?;
        self.recorded = Some(recorded);
        Ok(())
    }

    /// The teachers' answers about the batch, where there is a cache.
    fn teach(&mut self, recorded: &mut RecordedStep, batch: &Batch) -> Result<Option<Vec<TeacherOutputs>>> {
        let Some(cache) = &mut self.cache else { return Ok(None) };
        let (gpu, inputs) = (self.context.gpu, &self.context.inputs);
        let parts = Parts { gpu, inputs, learners: &self.learners, taught: None };
        let loss_terms = &self.learners[0].terms;
        let size = (batch.indices.len(), inputs.train.len(), self.stage.train.epochs);
        let journal = &mut *self.journal;
        let mut open = |cache: &mut TeacherCache, taught: &[TeacherOutputs]| {
            cache.open(loss_terms, taught, size, &inputs.augment, &mut |text| journal(Event::Note { text: &text }))
        };
        recorded.teach(&parts, cache, batch, &mut open).map(Some)
    }

    /// Brings the losses of the last steps back, refuses what is not finite, and tells of the progress.
    fn flush_losses(&mut self) -> Result<()> {
        if self.student().log.is_empty() {
            return Ok(());
        }
        let (stage, gpu) = (self.stage.label(), self.context.gpu);
        let (epoch, step) = (self.progress.epoch + 1, self.progress.step);
        let place = |later: usize| format!("{stage}, epoch {epoch}, step {}", step - later);
        let rows = self.learners[0].take_losses(gpu, place)?;
        for (k, peer) in self.learners.iter_mut().enumerate().skip(1) {
            peer.take_losses(gpu, |later| format!("peer {k} of {}", place(later)))?;
        }
        let factors = self.student().terms.factors();
        let mut total = 0.0;
        for row in &rows {
            row.iter().zip(&factors).for_each(|(value, factor)| total += value * factor);
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
        let (gpu, context, stage) = (self.context.gpu, self.context, self.stage);
        context.lock.check()?;
        let training = self.progress.seconds + clock.elapsed().as_secs_f64();
        self.progress.step_times.push(1e3 * training / self.steps as f64);
        let frozen = self.student().network.freeze(gpu)?;
        let (inputs, batch) = (&context.inputs, stage.train.batch);
        let (val, loss) =
            inputs.evaluate_with_loss(gpu, &frozen, &inputs.val, &stage.tasks, batch, &self.student().terms)?;
        let standing =
            Standing { score: inputs.selection(&stage.tasks, &val), loss: Some(loss).filter(|l| l.is_finite()) };
        let ema_val = match self.student().averaged() {
            Some(average) => inputs.evaluate(gpu, &average.freeze(gpu)?, &inputs.val, &stage.tasks, batch)?,
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
            let card = context.card(stage, &self.student().network, self.progress.epoch, standing.score)?;
            checkpoint::save(gpu, &context.path(stage, ".safetensors"), &self.student().network, &card)?;
        }
        let means = self.progress.means();
        let Learner { balancing, terms, .. } = &mut self.learners[0];
        let weights = match balancing {
            Some(balancing) => balancing.end_epoch(terms, &means)?.into_iter().collect(),
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
            val: context.task_names(stage).iter().zip(&val).map(|(t, r)| (t.to_string(), r.scores.clone())).collect(),
            ema_val: context.task_names(stage).iter().zip(ema_val).map(|(t, r)| (t.to_string(), r.scores)).collect(),
            best,
            seconds: self.progress.seconds + clock.elapsed().as_secs_f64(),
            images_per_second: (self.steps * stage.train.batch) as f64 / training.max(1e-9),
        };
        (self.journal)(Event::Epoch(&record))?;
        self.progress.close_epoch(clock.elapsed().as_secs_f64());
        self.save()
    }

    fn save(&mut self) -> Result<()> {
        self.context.lock.check()?;
        self.progress.scales.clone_from(&self.learners[0].scales);
        self.progress.balance = self.student().balancing.as_ref().map(Balancing::state);
        self.progress.save(self.context.gpu, &self.state, &self.learners)
    }

    /// Tests the best and the last weights and stores the result, which marks the stage as finished.
    fn finish(self) -> Result<StageResult> {
        let (clock, gpu, context, stage) = (Instant::now(), self.context.gpu, self.context, self.stage);
        let card = context.card(stage, &self.student().network, self.progress.epoch, self.progress.last)?;
        checkpoint::save(gpu, &context.path(stage, ".last.safetensors"), &self.student().network, &card)?;
        // What is tested is what lies on disk.
        let best = checkpoint::load(gpu, &context.path(stage, ".safetensors"))?.0.freeze(gpu)?;
        let [h, w, _] = context.inputs.image();
        let (best, last) = (self.test(&best)?, self.test(&self.student().network.freeze(gpu)?)?);
        let ema = match self.student().averaged() {
            Some(average) => {
                let card = ModelCard { val_score: None, ..card };
                checkpoint::save(gpu, &context.path(stage, ".ema.safetensors"), average, &card)?;
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
        let (data, teachers) = (format!("{:016x}", context.data_fingerprint), self.student().terms.fingerprints());
        let stored = NETWORKS.iter().filter(|ending| context.path(stage, ending).exists());
        let networks =
            stored.map(|ending| Ok((ending.to_string(), checkpoint::file_hash(&context.path(stage, ending))?)));
        let (key, networks) = (Some(stage.key.to_string()), networks.collect::<Result<_>>()?);
        let finished = Finished { key, networks, data, teachers, evaluate_on: context.inputs.evaluate_on, result };
        context.lock.check()?;
        finished.store(&context.path(stage, ".json"))?;
        let result = finished.result;
        // The result is there, so a state that cannot be removed does no harm.
        let _ = remove(&self.state);
        if let Some((hits, misses)) = self.cache.as_ref().map(TeacherCache::counts) {
            let text = format!("teacher cache: {hits} pictures were found, {misses} were shown to the teachers");
            (self.journal)(Event::Note { text: &text })?;
        }
        let test: Vec<_> = result.best.iter().map(|(task, r)| (task.clone(), r.scores.clone())).collect();
        (self.journal)(Event::StageDone { label: &stage.label(), test: &test, seconds: result.seconds })?;
        Ok(result)
    }

    fn test(&self, network: &Frozen) -> Result<BTreeMap<String, TaskResult>> {
        let (context, stage) = (self.context, self.stage);
        let all =
            context.inputs.evaluate(context.gpu, network, &context.inputs.test, &stage.tasks, stage.train.batch)?;
        Ok(context.task_names(stage).into_iter().map(String::from).zip(all).collect())
    }
}
