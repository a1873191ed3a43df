//! One stage: a network trained to its end, resumable at any step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::checkpoint::{self, Card, TaskCard, to_json};
use super::config::{self, NetConfig, TrainConfig};
use super::event::{EpochRecord, Event};
use super::feed::Feed;
use super::files::write_atomic;
use super::objective::Objective;
use super::progress::{Progress, Trainables};
use super::summary::StageResult;
use crate::data::loader::{Batch, Loader};
use crate::data::{Task, seed};
use crate::gpu::Gpu;
use crate::kernels::optimizer::{Adam, Sgd};
use crate::loss::{Ledger, Losses};
use crate::metrics::Confusion;
use crate::nn::{Frozen, HeadSpec, Init, Mode, Network, NetworkSpec, Stem, TrunkSpec};
use crate::optim::{Curve, Rule, Schedule};
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// Steps between two looks at the losses: each look waits for the GPU.
const LOOK: usize = 16;

/// What is to be trained.
pub(super) struct Stage<'a> {
    /// `teacher/<task>`, `single/<task>`, `joint` or `distilled`.
    pub name: String,
    /// The run's seed.
    pub seed: u64,
    /// Its number among all stages.
    pub index: usize,
    /// The network.
    pub net: &'a NetConfig,
    /// How it is trained.
    pub train: &'a TrainConfig,
    /// Indices of the data's tasks, one head each.
    pub tasks: Vec<usize>,
    /// Seed of the order of the samples and of their variation.
    pub data_seed: u64,
}

/// What every stage of a run shares.
pub(super) struct Bench<'a> {
    pub gpu: &'a Gpu,
    pub out: PathBuf,
    pub feed: Feed,
    pub tasks: Vec<Task>,
    pub data_fingerprint: u64,
    pub stop: &'a AtomicBool,
}

impl Stage<'_> {
    /// `seed 0 · teacher/digit`.
    pub(super) fn label(&self) -> String {
        format!("seed {} · {}", self.seed, self.name)
    }
}

/// The network of a `[teacher]` or `[student]` table, with one head for each of `tasks`.
pub(super) fn network_spec(net: &NetConfig, tasks: &[&Task], channels: usize) -> Result<NetworkSpec> {
    let stem = match net.stem {
        Some(config::Stem::ImageNet) => Stem::ImageNet,
        Some(config::Stem::Small) | None => Stem::Small,
    };
    let init = match net.init {
        config::Init::HeNormal => Init::HeNormal,
        config::Init::HeUniform => Init::HeUniform,
        config::Init::XavierNormal => Init::XavierNormal,
        config::Init::XavierUniform => Init::XavierUniform,
    };
    let head = |t: &&Task| HeadSpec { task: t.name.clone(), outputs: t.classes.len(), hidden: net.head.clone() };
    Ok(NetworkSpec {
        trunk: TrunkSpec { arch: net.spec()?, width: net.width as f32, stem },
        channels,
        heads: tasks.iter().map(head).collect(),
        init,
    })
}

fn schedule(train: &TrainConfig, steps_per_epoch: usize) -> Schedule {
    let curve = match train.schedule {
        config::Schedule::Cosine => Curve::Cosine,
        config::Schedule::Constant => Curve::Constant,
        config::Schedule::Step => {
            Curve::Step { milestones: train.milestones.iter().map(|m| *m as f32).collect(), gamma: train.gamma as f32 }
        }
    };
    Schedule {
        lr: train.lr as f32,
        warmup: (train.warmup_epochs * steps_per_epoch as f64).round() as usize,
        steps: train.epochs * steps_per_epoch,
        curve,
    }
}

pub(super) fn rule(train: &TrainConfig) -> Rule {
    let (lr, weight_decay) = (train.lr as f32, train.weight_decay as f32);
    let adam = |decoupled| {
        let betas = (train.betas[0] as f32, train.betas[1] as f32);
        Rule::Adam(Adam { lr, betas, eps: 1e-8, weight_decay, decoupled })
    };
    match train.optimizer {
        config::Optimizer::Sgd => {
            Rule::Sgd(Sgd { lr, momentum: train.momentum as f32, nesterov: train.nesterov, weight_decay })
        }
        config::Optimizer::Adam => adam(false),
        config::Optimizer::AdamW => adam(true),
    }
}

impl Bench<'_> {
    /// The path of one of a stage's files.
    pub(super) fn path(&self, stage: &Stage, ending: &str) -> PathBuf {
        self.out.join(format!("seed-{}", stage.seed)).join(format!("{}{ending}", stage.name.replace('/', "-")))
    }

    pub(super) fn task_names(&self, stage: &Stage) -> Vec<&str> {
        stage.tasks.iter().map(|t| self.tasks[*t].name.as_str()).collect()
    }

    /// A fresh network for `stage`, drawn from `init_seed`.
    pub(super) fn network(&self, stage: &Stage, init_seed: u64) -> Result<Network> {
        let tasks: Vec<&Task> = stage.tasks.iter().map(|t| &self.tasks[*t]).collect();
        Network::new(self.gpu, network_spec(stage.net, &tasks, self.feed.image()[2])?, init_seed)
    }

    fn card(&self, stage: &Stage, epoch: usize, val_accuracy: f64) -> Card {
        let task = |t: &usize| TaskCard { name: self.tasks[*t].name.clone(), classes: self.tasks[*t].classes.clone() };
        Card {
            schema: Card::SCHEMA,
            arch: stage.net.arch.clone(),
            width: stage.net.width as f32,
            imagenet_stem: stage.net.stem == Some(config::Stem::ImageNet),
            head: stage.net.head.clone(),
            tasks: stage.tasks.iter().map(task).collect(),
            image: self.feed.image(),
            mean: self.feed.mean.clone(),
            std: self.feed.std.clone(),
            stage: stage.name.clone(),
            seed: stage.seed,
            epoch,
            val_accuracy,
        }
    }

    /// Trains `network` on `objective` and tests it; goes on where an interrupted run stopped.
    pub(super) fn train(
        &self,
        stage: &Stage,
        network: &Network,
        objective: &Objective,
        journal: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<StageResult> {
        let (gpu, train, label) = (self.gpu, stage.train, stage.label());
        let steps = Loader::train_steps(self.feed.train.len(), train.batch);
        let [h, w, _] = self.feed.image();
        let mut parts = Trainables::new(gpu, network, objective.adaptors(), rule(train), train.clip_norm)?;
        let state_path = self.path(stage, ".state.safetensors");
        let fresh = Progress::new(self.data_fingerprint, objective.fingerprints(), objective.names().len());
        let mut progress = fresh.resume(gpu, &state_path, &mut parts)?;
        let (params, macs) = (network.params().count(), network.macs(h, w));
        let resumed = (progress.epoch, progress.step) != (0, 0);
        let resumed = resumed.then_some((progress.epoch, progress.step));
        journal(Event::Stage {
            index: stage.index,
            label: &label,
            epochs: train.epochs,
            steps,
            params,
            macs,
            resumed,
        })?;
        let schedule = schedule(train, steps);
        let mut ledger = Ledger::new(gpu, objective.names().to_vec(), LOOK)?;
        while progress.epoch < train.epochs {
            let clock = Instant::now();
            let epoch_seed = seed::derive_n(stage.data_seed, progress.epoch as u64);
            let loader =
                Loader::train(self.feed.train.clone(), train.batch, epoch_seed, self.feed.augment, progress.step);
            let mut lr = schedule.at((progress.epoch * steps + progress.step).saturating_sub(1));
            for batch in loader {
                if self.stop.load(Ordering::Relaxed) {
                    self.look(&mut ledger, objective, &mut progress, &label, train.batch, journal)?;
                    progress.seconds += clock.elapsed().as_secs_f64();
                    progress.save(gpu, &state_path, &parts)?;
                    let at = format!("{label}, epoch {}, step {}", progress.epoch + 1, progress.step);
                    return Err(Error::Interrupted { at });
                }
                lr = schedule.at(progress.epoch * steps + progress.step);
                self.step(stage, network, objective, &batch, &mut ledger)?;
                parts.step(gpu, lr)?;
                gpu.flush()?;
                ledger.advance();
                progress.step += 1;
                if ledger.full() {
                    self.look(&mut ledger, objective, &mut progress, &label, train.batch, journal)?;
                }
            }
            self.look(&mut ledger, objective, &mut progress, &label, train.batch, journal)?;
            let training = progress.seconds + clock.elapsed().as_secs_f64();
            let frozen = network.freeze(gpu)?;
            let val = self.feed.confusions(gpu, &frozen, &self.feed.val, &stage.tasks, train.batch)?;
            let score = val.iter().map(Confusion::accuracy).sum::<f64>() / val.len() as f64;
            let best = progress.best.is_none_or(|best| score > best);
            progress.epoch += 1;
            if best {
                progress.best = Some(score);
                checkpoint::save(
                    gpu,
                    &self.path(stage, ".safetensors"),
                    network,
                    &self.card(stage, progress.epoch, score),
                )?;
            }
            progress.last = score;
            let record = EpochRecord {
                stage: stage.name.clone(),
                seed: stage.seed,
                epoch: progress.epoch - 1,
                lr,
                train_loss: progress.mean_total(objective.factors()),
                losses: progress.means(objective.names()),
                val: self.task_names(stage).iter().zip(&val).map(|(t, c)| (t.to_string(), c.metrics())).collect(),
                best,
                seconds: progress.seconds + clock.elapsed().as_secs_f64(),
                images_per_second: (steps * train.batch) as f64 / training.max(1e-9),
            };
            journal(Event::Epoch(&record))?;
            progress.close_epoch(clock.elapsed().as_secs_f64());
            progress.save(gpu, &state_path, &parts)?;
        }
        self.finish(stage, network, &progress, (params, macs), journal)
    }

    /// Forward, losses and backward of one batch; nothing is read back.
    fn step(
        &self,
        stage: &Stage,
        network: &Network,
        objective: &Objective,
        batch: &Batch,
        ledger: &mut Ledger,
    ) -> Result<()> {
        let gpu = self.gpu;
        let x = self.feed.training_input(gpu, batch)?;
        let labels = stage.tasks.iter().map(|t| Tensor::from_u32(gpu, &batch.labels[*t], &[batch.indices.len()]));
        let labels: Vec<Tensor> = labels.collect::<Result<_>>()?;
        let mut tape = Tape::new();
        let outputs = network.forward(gpu, &mut tape, Mode::Train, &Var::constant(x.clone()))?;
        objective.apply(&mut Losses { gpu, tape: &mut tape, ledger }, &x, &outputs, &labels)?;
        drop(outputs);
        let grads = tape.backward(gpu)?;
        network.params().zero_untouched(gpu, &grads)
    }

    /// Brings the losses of the last steps back, refuses what is not finite, and tells of the progress.
    fn look(
        &self,
        ledger: &mut Ledger,
        objective: &Objective,
        progress: &mut Progress,
        label: &str,
        batch: usize,
        journal: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        if ledger.is_empty() {
            return Ok(());
        }
        let rows = ledger.take(self.gpu)?;
        let mut total = 0.0;
        for (i, row) in rows.iter().enumerate() {
            for ((value, name), factor) in row.iter().zip(objective.names()).zip(objective.factors()) {
                if !value.is_finite() {
                    let step = progress.step + 1 + i - rows.len();
                    let at = format!("{label}, epoch {}, step {step}", progress.epoch + 1);
                    return Err(Error::NonFinite { what: format!("the loss {name}"), value: *value, at });
                }
                total += value * factor;
            }
            progress.add(row);
        }
        let loss = total / rows.len() as f32;
        journal(Event::Step { epoch: progress.epoch, step: progress.step, loss, images: rows.len() * batch })
    }

    /// Tests the best and the last weights and stores the result, which marks the stage as finished.
    fn finish(
        &self,
        stage: &Stage,
        network: &Network,
        progress: &Progress,
        (params, macs): (usize, u64),
        journal: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<StageResult> {
        let clock = Instant::now();
        let gpu = self.gpu;
        let last_path = self.path(stage, ".last.safetensors");
        checkpoint::save(gpu, &last_path, network, &self.card(stage, progress.epoch, progress.last))?;
        // What is tested is what lies on disk.
        let best = checkpoint::load(gpu, &self.path(stage, ".safetensors"))?.0.freeze(gpu)?;
        let result = StageResult {
            stage: stage.name.clone(),
            seed: stage.seed,
            params,
            macs,
            seconds: progress.total_seconds + clock.elapsed().as_secs_f64(),
            best: self.test(stage, &best)?,
            last: self.test(stage, &network.freeze(gpu)?)?,
        };
        write_atomic(self.path(stage, ".json"), to_json(&result)?.as_bytes())?;
        // The result is there, so a state that cannot be removed does no harm.
        let _ = std::fs::remove_file(self.path(stage, ".state.safetensors"));
        let test: Vec<_> = result.best.iter().map(|(task, c)| (task.clone(), c.metrics())).collect();
        journal(Event::StageDone { label: &stage.label(), test: &test, seconds: result.seconds })?;
        Ok(result)
    }

    fn test(&self, stage: &Stage, network: &Frozen) -> Result<BTreeMap<String, Confusion>> {
        let all = self.feed.confusions(self.gpu, network, &self.feed.test, &stage.tasks, stage.train.batch)?;
        Ok(self.task_names(stage).into_iter().map(String::from).zip(all).collect())
    }
}
