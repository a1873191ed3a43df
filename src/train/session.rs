//! One stage under way: epochs, validation, selection, the end; resumable at any step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::checkpoint::{self, to_json};
use super::event::{EpochRecord, Event};
use super::feed::Place;
use super::files::write_atomic;
use super::objective::Objective;
use super::progress::{Progress, Trainables};
use super::stage::{Bench, Finished, Stage, rule, schedule};
use super::summary::StageResult;
use crate::data::loader::{Batch, Loader};
use crate::data::seed;
use crate::gpu::Repeat;
use crate::loss::{Ledger, Losses};
use crate::metrics::Confusion;
use crate::nn::{Frozen, Mode, Network};
use crate::optim::Schedule;
use crate::tape::{Tape, Var};
use crate::{Error, Result};

/// Steps between two looks at the losses: each look waits for the GPU.
const LOOK: usize = 16;

/// A stage, what it trains, and how far it is.
pub(super) struct Session<'a> {
    bench: &'a Bench<'a>,
    stage: &'a Stage<'a>,
    network: &'a Network,
    objective: &'a Objective<'a>,
    journal: &'a mut dyn FnMut(Event) -> Result<()>,
    parts: Trainables<'a>,
    ledger: Ledger,
    schedule: Schedule,
    /// Steps in an epoch.
    steps: usize,
    progress: Progress,
    state: PathBuf,
    cycle: Option<Cycle>,
}

/// Steps that follow one another in the same memory.
struct Cycle {
    place: Place,
    work: Repeat,
}

impl<'a> Session<'a> {
    /// A session at the place where an interrupted run stopped, or at the start.
    pub(super) fn open(
        bench: &'a Bench<'a>,
        stage: &'a Stage<'a>,
        network: &'a Network,
        objective: &'a Objective<'a>,
        journal: &'a mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Self> {
        let (gpu, train) = (bench.gpu, stage.train);
        let steps = Loader::train_steps(bench.feed.train.len(), train.batch);
        let mut parts = Trainables::new(gpu, network, objective.adaptors(), rule(train), train.clip_norm)?;
        let state = bench.path(stage, ".state.safetensors");
        let fresh = Progress::new(bench.data_fingerprint, objective.fingerprints(), objective.names().len());
        Ok(Session {
            progress: fresh.resume(gpu, &state, &mut parts)?,
            ledger: Ledger::new(gpu, objective.names().to_vec(), LOOK)?,
            schedule: schedule(train, steps),
            bench,
            stage,
            network,
            objective,
            journal,
            parts,
            steps,
            state,
            cycle: None,
        })
    }

    /// Trains to the end, then tests.
    pub(super) fn run(mut self) -> Result<StageResult> {
        let [h, w, _] = self.bench.feed.image();
        let (epoch, step) = (self.progress.epoch, self.progress.step);
        (self.journal)(Event::Stage {
            index: self.stage.index,
            label: &self.stage.label(),
            epochs: self.stage.train.epochs,
            steps: self.steps,
            params: self.network.params().count(),
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
        let (gpu, feed) = (self.bench.gpu, &self.bench.feed);
        let epoch_seed = seed::derive_n(self.stage.data_seed, self.progress.epoch as u64);
        let first = self.progress.step;
        let loader = Loader::train(feed.train.clone(), self.stage.train.batch, epoch_seed, feed.augment, first);
        let mut lr = self.schedule.at((self.progress.epoch * self.steps + first).saturating_sub(1));
        for batch in loader {
            if self.bench.stop.load(Ordering::Relaxed) {
                self.look()?;
                self.progress.seconds += clock.elapsed().as_secs_f64();
                self.progress.save(gpu, &self.state, &self.parts)?;
                return Err(Error::Interrupted { at: self.place(self.progress.step) });
            }
            lr = self.schedule.at(self.progress.epoch * self.steps + self.progress.step);
            self.step(&batch, lr)?;
            self.ledger.advance();
            self.progress.step += 1;
            if self.ledger.full() {
                self.look()?;
            }
        }
        self.look()?;
        Ok(lr)
    }

    /// One step: what changes is written, then the work is done plainly, recorded or replayed. Nothing is read back.
    fn step(&mut self, batch: &Batch, lr: f32) -> Result<()> {
        let gpu = self.bench.gpu;
        let mut cycle = match self.cycle.take() {
            Some(cycle) if cycle.place.fits(batch) => {
                cycle.place.write(gpu, batch)?;
                cycle
            }
            _ => Cycle { place: self.bench.feed.place(gpu, batch, &self.stage.tasks)?, work: Repeat::default() },
        };
        self.ledger.prepare(gpu)?;
        self.parts.prepare(gpu, lr)?;
        cycle.work.run(gpu, || self.work(&cycle.place))?;
        self.cycle = Some(cycle);
        Ok(())
    }

    /// Forward, losses, backward and update on the batch in `place`.
    fn work(&self, place: &Place) -> Result<()> {
        let gpu = self.bench.gpu;
        let x = self.bench.feed.training_input(gpu, place)?;
        let mut tape = Tape::new();
        let outputs = self.network.forward(gpu, &mut tape, Mode::Train, &Var::constant(x.clone()))?;
        let mut losses = Losses { gpu, tape: &mut tape, ledger: &self.ledger };
        self.objective.apply(&mut losses, &x, &outputs, &place.labels)?;
        // The tape holds what the way back needs; the rest may go.
        drop(outputs);
        let grads = tape.backward(gpu)?;
        self.network.params().zero_untouched(gpu, &grads)?;
        self.parts.apply(gpu)
    }

    /// Brings the losses of the last steps back, refuses what is not finite, and tells of the progress.
    fn look(&mut self) -> Result<()> {
        if self.ledger.is_empty() {
            return Ok(());
        }
        let rows = self.ledger.take(self.bench.gpu)?;
        let mut total = 0.0;
        for (i, row) in rows.iter().enumerate() {
            for ((value, name), factor) in row.iter().zip(self.objective.names()).zip(self.objective.factors()) {
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
        let frozen = self.network.freeze(gpu)?;
        let val = bench.feed.confusions(gpu, &frozen, &bench.feed.val, &stage.tasks, stage.train.batch)?;
        let score = val.iter().map(Confusion::accuracy).sum::<f64>() / val.len() as f64;
        let best = self.progress.best.is_none_or(|best| score > best);
        self.progress.epoch += 1;
        self.progress.last = score;
        if best {
            self.progress.best = Some(score);
            let card = bench.card(stage, self.network, self.progress.epoch, score)?;
            checkpoint::save(gpu, &bench.path(stage, ".safetensors"), self.network, &card)?;
        }
        let record = EpochRecord {
            stage: stage.name.clone(),
            seed: stage.seed,
            epoch: self.progress.epoch - 1,
            lr,
            train_loss: self.progress.mean_total(self.objective.factors()),
            losses: self.progress.means(self.objective.names()),
            val: bench.task_names(stage).iter().zip(&val).map(|(t, c)| (t.to_string(), c.metrics())).collect(),
            best,
            seconds: self.progress.seconds + clock.elapsed().as_secs_f64(),
            images_per_second: (self.steps * stage.train.batch) as f64 / training.max(1e-9),
        };
        (self.journal)(Event::Epoch(&record))?;
        self.progress.close_epoch(clock.elapsed().as_secs_f64());
        self.progress.save(gpu, &self.state, &self.parts)
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
            best,
            last,
        };
        let (data, teachers) = (format!("{:016x}", bench.data_fingerprint), self.objective.fingerprints());
        let finished = Finished { data, teachers, result };
        write_atomic(bench.path(stage, ".json"), to_json(&finished)?.as_bytes())?;
        let result = finished.result;
        // The result is there, so a state that cannot be removed does no harm.
        let _ = std::fs::remove_file(&self.state);
        let test: Vec<_> = result.best.iter().map(|(task, c)| (task.clone(), c.metrics())).collect();
        (self.journal)(Event::StageDone { label: &stage.label(), test: &test, seconds: result.seconds })?;
        Ok(result)
    }

    fn test(&self, network: &Frozen) -> Result<BTreeMap<String, Confusion>> {
        let (bench, stage) = (self.bench, self.stage);
        let all = bench.feed.confusions(bench.gpu, network, &bench.feed.test, &stage.tasks, stage.train.batch)?;
        Ok(bench.task_names(stage).into_iter().map(String::from).zip(all).collect())
    }
}
