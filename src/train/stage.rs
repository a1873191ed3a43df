//! What a stage is: its network, its settings, its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, ModelCard};
use crate::config::{self, BalanceConfig, CacheConfig, EvaluateOn, NetConfig, TrainConfig};
use crate::data::Task;
use crate::gpu::Gpu;
use crate::kernels::optimizer::{Adam, Sgd};
use crate::nn::{Init, Network, NetworkSpec};
use crate::optim::{Curve, Rule, Schedule};
use crate::tasks::rules;
use crate::train::folder_lock::FolderLock;
use crate::train::inputs::Inputs;
use crate::train::result::StageResult;
use crate::train::stage_key::StageKey;
use crate::{Error, Result};

/// What is to be trained.
pub(crate) struct Stage<'a> {
    /// `teacher/<task>`, `single/<task>`, `joint` or `distilled`.
    pub name: String,
    /// The run's seed.
    pub seed: u64,
    /// Its number among all stages.
    pub index: usize,
    /// Of everything that makes it what it is.
    pub key: StageKey,
    /// The network.
    pub net: &'a NetConfig,
    /// How it is trained.
    pub train: &'a TrainConfig,
    /// Indices of the data's tasks, one head each.
    pub tasks: Vec<usize>,
    /// Seed of the order of the samples and of their variation.
    pub data_seed: u64,
    /// How the tasks are balanced; `None`: not at all.
    pub balance: Option<&'a BalanceConfig>,
    /// Measure gradients at every epoch's first step.
    pub probe: bool,
    /// Teachers' answers on disk.
    pub cache: Option<&'a CacheConfig>,
    /// Learning rate of what is trained beside the network, in that of the network.
    pub adaptor_lr_factor: f64,
}

/// Where stages keep their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StageStore {
    /// A run's folder: each stage under its name.
    Run(PathBuf),
    /// A store of several configurations' stages: each under its name and a hash of everything that makes it what it is, so
    /// that those that are the same are trained once.
    Store(PathBuf),
}

impl StageStore {
    /// Where teachers' answers are kept.
    pub(crate) fn cache(&self) -> PathBuf {
        match self {
            StageStore::Run(out) | StageStore::Store(out) => crate::train::cache::folder(out),
        }
    }

    /// The file of a stage of that name.
    pub(crate) fn path(&self, name: &str, key: StageKey, seed: u64, ending: &str) -> PathBuf {
        let file = name.replace('/', "-");
        match self {
            StageStore::Run(out) => out.join(format!("seed-{seed}")).join(format!("{file}{ending}")),
            StageStore::Store(out) => out.join(format!("{file}-{key}")).join(format!("seed-{seed}{ending}")),
        }
    }
}

/// What every stage of a run shares.
pub(crate) struct StageContext<'a> {
    pub gpu: &'a Gpu,
    pub store: StageStore,
    pub inputs: Inputs,
    pub data_fingerprint: u64,
    pub stop: &'a AtomicBool,
    /// Of the folder in which stages keep their files.
    pub lock: &'a FolderLock,
}

/// Endings of the networks that a stage stores: of its best, its last and its averaged weights.
pub(crate) const NETWORKS: [&str; 3] = [".safetensors", ".last.safetensors", ".ema.safetensors"];

/// What marks a stage as finished: its result, and what it was made from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// Of its settings; not known of results that earlier versions stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The hash of each of its networks' files, by its ending.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, String>,
    pub data: String,
    pub teachers: Vec<String>,
    /// In which pixels boxes and masks were measured; results of before this was told, on the canvas.
    #[serde(default = "on_canvas")]
    pub evaluate_on: EvaluateOn,
    #[serde(flatten)]
    pub result: StageResult,
}

/// What to do where a folder holds something else.
pub(crate) const ADVICE: &str = "choose another folder with --out, or remove this one to start over";

fn on_canvas() -> EvaluateOn {
    EvaluateOn::Canvas
}

impl Finished {
    /// The result stored at `path`.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        checkpoint::read_json(path)
    }

    /// Stores it, which marks its stage as finished.
    pub(crate) fn store(&self, path: &Path) -> Result<()> {
        checkpoint::write_json(path, self)
    }

    /// Refuses a result of other settings, other data or other teachers: a summary must not mix them.
    pub(crate) fn check(&self, context: &StageContext, stage: &Stage, teachers: &[String]) -> Result<()> {
        let path = &context.path(stage, ".json");
        // What teaches, and what stands in tables; the others are looked at when they are asked for.
        self.check_network(&context.path(stage, NETWORKS[0]), NETWORKS[0])?;
        let what = match () {
            _ if self.data != format!("{:016x}", context.data_fingerprint) => "was made from other data",
            _ if context.inputs.has_originals() && self.evaluate_on != context.inputs.evaluate_on => {
                "measured boxes and masks in other pixels (data.evaluate_on)"
            }
            _ if self.teachers != teachers => "was distilled from other teachers",
            // Last, as it tells of all of these.
            _ if self.key.as_ref().is_some_and(|key| *key != stage.key.to_string()) => "was made with other settings",
            _ => return Ok(()),
        };
        Err(Error::checkpoint(path, format!("{what}; {ADVICE}")))
    }

    /// Finds that a network's file, if it is there, is the one that this is the result of.
    pub(crate) fn check_network(&self, path: &Path, ending: &str) -> Result<()> {
        let Some(own) = self.networks.get(ending).filter(|_| path.exists()) else { return Ok(()) };
        if *own == checkpoint::file_hash(path)? {
            return Ok(());
        }
        let message = "is not the file that its stage stored: it was changed or replaced; restore a copy, or remove it and the .json file \
                       beside it to train the stage again";
        Err(Error::checkpoint(path, message))
    }
}

impl Stage<'_> {
    /// `seed 0 · teacher/digit`.
    pub(crate) fn label(&self) -> String {
        format!("seed {} · {}", self.seed, self.name)
    }
}

/// The network of a `[teacher]` or `[student]` table, with one head for each of `tasks`.
pub(crate) fn network_spec(net: &NetConfig, tasks: &[&Task], channels: usize) -> Result<NetworkSpec> {
    let init = match net.init {
        config::Init::HeNormal => Init::HeNormal,
        config::Init::HeUniform => Init::HeUniform,
        config::Init::XavierNormal => Init::XavierNormal,
        config::Init::XavierUniform => Init::XavierUniform,
    };
    let head = |t: &&Task| rules(t.kind).head(&t.name, t.classes.len(), &net.head, net.decoder);
    Ok(NetworkSpec { trunk: net.trunk()?, channels, heads: tasks.iter().map(head).collect(), init })
}

pub(crate) fn schedule(train: &TrainConfig, steps_per_epoch: usize) -> Schedule {
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

pub(crate) fn rule(train: &TrainConfig) -> Rule {
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

impl StageContext<'_> {
    /// The path of one of a stage's files.
    pub(crate) fn path(&self, stage: &Stage, ending: &str) -> PathBuf {
        self.store.path(&stage.name, stage.key, stage.seed, ending)
    }

    pub(crate) fn task_names(&self, stage: &Stage) -> Vec<&str> {
        stage.tasks.iter().map(|t| self.inputs.tasks[*t].name.as_str()).collect()
    }

    /// A fresh network for `stage`, drawn from `init_seed`.
    pub(crate) fn network(&self, stage: &Stage, init_seed: u64) -> Result<Network> {
        let tasks: Vec<&Task> = stage.tasks.iter().map(|t| &self.inputs.tasks[*t]).collect();
        Network::new(self.gpu, network_spec(stage.net, &tasks, self.inputs.image()[2])?, init_seed)
    }

    /// What is stored beside `network`.
    pub(crate) fn card(
        &self,
        stage: &Stage,
        network: &Network,
        epoch: usize,
        val_score: Option<f64>,
    ) -> Result<ModelCard> {
        let (mean, std) = (self.inputs.mean.clone(), self.inputs.std.clone());
        let targets: Vec<_> = self.inputs.targets.iter().map(|t| (&t.task, t.moments)).collect();
        let card = ModelCard::of(network.spec(), &targets, self.inputs.image(), (mean, std))?;
        let letterbox = self.inputs.letterbox;
        Ok(ModelCard { stage: stage.name.clone(), seed: stage.seed, epoch, val_score, letterbox, ..card })
    }
}
