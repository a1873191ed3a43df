//! The teachers, what they teach by, how the tasks are balanced, and what is kept of the teachers' answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::network;
use super::{NetConfig, TrainConfig};
use crate::Result;
use crate::distill::{self, Method, MethodConfig};
use crate::settings::{Choice, OneOf, Section, Whole, as_number, is_weight, table};

/// The teachers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TeacherConfig {
    /// Who teaches.
    pub kind: TeacherKind,
    /// Teachers trained for each task, or peers that learn along, each from its own seed.
    pub count: usize,
    /// Their network.
    #[serde(flatten)]
    pub net: NetConfig,
    /// How they are trained.
    pub train: TrainConfig,
    /// Ready-made teachers by task, relative to the working directory; none are trained for these tasks. An empty list: the
    /// task has no teacher.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, Vec<PathBuf>>,
    /// Weights of a task's ready-made teachers; equal where absent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, Vec<f64>>,
}

/// Who teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TeacherKind {
    /// Each task its own teacher.
    Single,
    /// One teacher for all tasks, trained on them jointly.
    Joint,
    /// The joint student itself (self-distillation: Furlanello et al. 2018, arXiv 1805.04770).
    #[serde(rename = "self")]
    Own,
    /// Networks of the teacher's size that learn along with the student, each from all others (deep mutual learning: Zhang et al.
    /// 2018, arXiv 1706.00384).
    Mutual,
}

/// The distilled stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DistillConfig {
    /// The methods, by their names in [`crate::distill::METHODS`].
    pub methods: Vec<String>,
    /// Weight of the loss on the labels.
    pub task_weight: f64,
    /// The learning rate of what methods train beside the student, in that of the student.
    pub adaptor_lr_factor: f64,
    /// Each method's settings, by its name; also of methods that are not used.
    #[serde(flatten)]
    pub tables: BTreeMap<String, MethodConfig>,
    /// How the distilled student is trained: as the joint student is, apart from `[distill.train]`.
    pub train: TrainConfig,
}

impl DistillConfig {
    /// The methods in use with their settings, in the order of the list.
    pub fn used(&self) -> impl Iterator<Item = (&'static Method, &MethodConfig)> {
        self.methods.iter().filter_map(|name| Some((distill::method(name)?, self.tables.get(name)?)))
    }
}

/// How precisely teachers' answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Not at all.
    None,
    /// Bit for bit.
    F32,
    /// In half precision.
    F16,
    /// Of logits the largest few in half precision, and how much the others come to; features in half precision.
    TopK,
}

table! {
    /// Teachers' answers on disk.
    #[derive(Debug, Clone, PartialEq, Serialize)]
    pub struct CacheConfig {
        /// How precisely they are kept; `"none"`: teachers answer anew each time.
        storage: Storage = Storage::None, OneOf;
        /// Megabytes that the run's caches may come to, older ones making room for new ones; beyond that, teachers answer.
        max_mb: usize = 1000, Whole(1..=1 << 30);
        /// Of `storage = "topk"`: how many logits are kept.
        k: usize = 5, Whole(1..=65_536);
    }
}

impl Choice for Storage {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("f32", Self::F32), ("f16", Self::F16), ("topk", Self::TopK)];
}
impl Choice for TeacherKind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("single", Self::Single), ("joint", Self::Joint), ("self", Self::Own), ("mutual", Self::Mutual)];
}

pub(super) fn teacher(s: &Section, base: &TrainConfig) -> Result<TeacherConfig> {
    let files = s.table("paths")?;
    let what = "a teacher's .safetensors file, or a list of them; [] for no teacher";
    let mut paths = BTreeMap::new();
    for task in files.keys() {
        let list = match files.is_list(task) {
            true => {
                files.list(task, what, |v| v.as_str().filter(|t| !t.is_empty()).map(PathBuf::from))?.unwrap_or_default()
            }
            false => vec![files.required(task, what)?.into()],
        };
        paths.insert(task.to_string(), list);
    }
    let given = s.table("weights")?;
    let mut weights = BTreeMap::new();
    for task in given.keys() {
        let what = "a list of weights above 0 and up to 1e9, one for each file in [teacher.paths]";
        let list = given.list(task, what, |v| as_number(v).filter(|w| *w > 0.0 && is_weight(*w)))?.unwrap_or_default();
        let files = paths.get(task).map_or(0, Vec::len);
        if list.len() != files {
            return Err(given.error(task, format!("{} weights for {files} ready-made teachers of {task}", list.len())));
        }
        weights.insert(task.to_string(), list);
    }
    let kind = s.choice("kind", TeacherKind::Single)?;
    let count = s.integer("count", 1, 1, 64)?;
    if kind == TeacherKind::Own && count > 1 {
        return Err(s.error("count", "the student itself is one teacher; leave `count` out"));
    }
    let (net, train) = (network::read(s, "resnet14", 1.0)?, TrainConfig::read(&s.table("train")?, base)?);
    Ok(TeacherConfig { kind, count, net, train, paths, weights })
}
