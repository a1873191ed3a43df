//! The run's TOML file: typed, checked before any work starts, written back complete.
//!
//! [`Config::load`] reads a file, applies `--set key=value` on top, fills in every default and refuses what cannot work,
//! with the file, the line, the key and a suggestion. [`Config::to_toml`] writes the complete configuration, which reads back
//! as an equal one.

mod augment;
mod balancing;
mod check;
mod data;
mod distillation;
mod keys;
mod network;
mod reference;
mod sections;
mod tasks;
mod teaching;
#[cfg(test)]
mod tests;
mod train;

pub use crate::balance::{BalanceConfig, BalanceLevel, Over};
pub use crate::data::EvaluateOn;
pub use crate::distill::MethodConfig;
pub use crate::tasks::{Balanced, ClassWeights, TaskConfig};
pub use augment::AugmentConfig;
pub(super) use distillation::head_maps;
pub use network::{Init, NetConfig, Stem};
pub use reference::{TableReference, reference};
pub use teaching::{CacheConfig, DistillConfig, Storage, TeacherConfig, TeacherKind};
pub use train::{Optimizer, Schedule, TrainConfig};

use crate::balance::FIXED;
use crate::data::TaskKind;
use crate::data::sources::Source;
pub use crate::settings::KeyRow;
use crate::settings::{Origin, Section};
use crate::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A run, complete: every default is filled in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    /// The run's name: letters, digits, `-`, `_` and `.`; the default folder is `runs/<name>`.
    pub name: String,
    /// One whole run of all stages per seed.
    pub seeds: Vec<u64>,
    /// What is learnt from.
    pub data: DataConfig,
    /// How training images are varied.
    pub augment: AugmentConfig,
    /// Defaults of every stage; the stages hold their own complete settings.
    pub train: TrainConfig,
    /// The single-task teachers.
    pub teacher: TeacherConfig,
    /// The student: single-task baselines, joint and distilled.
    pub student: StudentConfig,
    /// The student of all tasks.
    pub joint: JointConfig,
    /// How the student learns from the teachers.
    pub distill: DistillConfig,
    /// How the tasks are balanced, in the joint and in the distilled student.
    pub balance: BalanceConfig,
    /// Teachers' answers on disk.
    pub cache: CacheConfig,
    /// Each task's weight and loss; every task of the data is listed.
    pub tasks: BTreeMap<String, TaskConfig>,
    /// What to tell of how it was written: keys with names of before.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// Where the images come from and how they are split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataConfig {
    /// Folder at which the paths below start; relative to the working directory.
    pub root: PathBuf,
    /// Seed of the split into train, validation and test, and of the composition; the same for all seeds of the run.
    pub split_seed: u64,
    /// Tasks whose label survives mirroring the image.
    pub flip_invariant: Vec<String>,
    /// Tasks whose number a part of the image keeps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crop_invariant: Vec<String>,
    /// No training image keeps the labels of more than one task of `labelled`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disjoint: bool,
    /// In which pixels boxes and masks are measured.
    #[serde(skip_serializing_if = "EvaluateOn::is_image")]
    pub evaluate_on: EvaluateOn,
    /// The part of the training labels that is kept, by task; the others are all kept.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labelled: BTreeMap<String, f64>,
    /// The source and its own keys.
    #[serde(flatten)]
    pub source: Source,
}

/// The student.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudentConfig {
    /// Its network.
    #[serde(flatten)]
    pub net: NetConfig,
    /// How the single-task baselines are trained.
    pub train: TrainConfig,
}

/// The student of all tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JointConfig {
    /// How it is trained: as the single-task baselines are, apart from `[joint.train]`.
    pub train: TrainConfig,
}

impl Config {
    /// Reads a run's file, applies `--set` values, fills in defaults, checks everything, and looks for the data's files.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Config`] with file, line, key and a suggestion for everything else.
    pub fn load(path: &Path, sets: &[String]) -> Result<Config> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", e))?;
        let (config, origin) = Self::read(&text, path, sets)?;
        check::files(&config, &origin)?;
        Ok(config)
    }

    /// As [`Config::load`] from a text, without looking for the data's files. `path` appears in errors and lends its stem as
    /// the default name.
    pub fn parse(text: &str, path: &Path, sets: &[String]) -> Result<Config> {
        Self::read(text, path, sets).map(|(config, _)| config)
    }

    fn read(text: &str, path: &Path, sets: &[String]) -> Result<(Config, Origin)> {
        let (mut origin, mut values) = Origin::parse(text, path, sets)?;
        let notes = keys::rename(&mut values, &mut origin);
        keys::check(&values, &origin)?;
        let config = sections::config(&Section::root(&origin, &values), path)?;
        check::combinations(&config, &origin)?;
        Ok((Config { notes, ..config }, origin))
    }

    /// The complete configuration as a TOML text; [`Config::parse`] gives an equal one back, but for [`Config::notes`].
    pub fn to_toml(&self) -> String {
        // Plain values, string keys, no non-finite numbers: there is nothing here that TOML cannot hold.
        let body = toml::to_string(self).unwrap_or_default();
        format!("# The complete configuration of this run: what was given, and every default.\n{body}")
    }

    /// The tasks of the data, in the order of their labels.
    pub fn task_names(&self) -> Vec<&str> {
        self.data.source.tasks().into_iter().map(|(name, _)| name).collect()
    }

    /// What each task asks for, in the order of [`Config::task_names`].
    pub fn task_kinds(&self) -> Vec<TaskKind> {
        self.data.source.tasks().into_iter().map(|(_, kind)| kind).collect()
    }

    /// Teachers that each seed trains.
    pub fn trained_teachers(&self) -> usize {
        let open = self.task_names().iter().filter(|t| !self.teacher.paths.contains_key(**t)).count();
        match self.teacher.kind {
            TeacherKind::Single => open * self.teacher.count,
            TeacherKind::Joint => open.min(1) * self.teacher.count,
            TeacherKind::Own | TeacherKind::Mutual => 0,
        }
    }

    /// Whether the joint student is the single-task network: of one task there is nothing to balance, unless it is the terms of its
    /// loss that are balanced, and it is trained as long.
    pub fn joint_is_single(&self) -> bool {
        let terms = self.balance.over == Over::Terms && self.balance.method != FIXED;
        self.task_names().len() == 1 && self.joint.train == self.student.train && !terms
    }

    /// What differs from another configuration, one line a key: `train.lr: 0.05, was 0.1`. Empty where they are equal.
    pub fn differences(&self, old: &Config) -> Vec<String> {
        let (new, old) = (flat(self), flat(old));
        let keys: std::collections::BTreeSet<&String> = new.keys().chain(old.keys()).collect();
        let say = |v: Option<&String>| v.cloned().unwrap_or_else(|| "not set".into());
        let changed = keys.into_iter().filter(|k| new.get(*k) != old.get(*k));
        changed.map(|k| format!("{k}: {}, was {}", say(new.get(k)), say(old.get(k)))).collect()
    }
}

/// Every value under its dotted key, as text.
fn flat(config: &Config) -> BTreeMap<String, String> {
    fn walk(value: &toml::Value, path: &str, out: &mut BTreeMap<String, String>) {
        match value {
            toml::Value::Table(table) => {
                for (key, inner) in table {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(inner, &path, out);
                }
            }
            other => {
                out.insert(path.to_string(), other.to_string());
            }
        }
    }
    let mut out = BTreeMap::new();
    if let Ok(value) = toml::Value::try_from(config) {
        walk(&value, "", &mut out);
    }
    out
}
