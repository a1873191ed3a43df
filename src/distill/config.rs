//! How a method is used: what its table in `[distill]` of a run's file says.

use std::collections::BTreeMap;

use super::method::{FeatureKind, Method};
use super::site::FeatureSite;
use crate::data::TaskKind;

/// One distillation method.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "train", derive(serde::Serialize))]
pub struct MethodConfig {
    /// Its weight beside the loss on the labels: its published one unless the file says another.
    pub weight: f64,
    /// Scale each of its terms in the first epoch, as soon as there are labels, so that a weight of 1 means: as strong as the loss on the
    /// task's labels with weight 1.
    pub normalize: bool,
    /// Scale each of its terms down, likewise, where it would be stronger than the task's labels with weight 1. So it is in a run unless the
    /// file gives a weight, and in code by [`MethodConfig::of`].
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "std::ops::Not::not"))]
    pub cap: bool,
    /// Epochs over which its weight rises from nothing; 0: it has its weight from the first step on.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "is_zero"))]
    pub warmup_epochs: f64,
    /// The tasks it is used for; empty: all.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "Vec::is_empty"))]
    pub tasks: Vec<String>,
    /// The student's layers it looks at ([`FeatureSite::parse`](crate::distill::FeatureSite::parse)); empty: the method's usual ones.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "Vec::is_empty"))]
    pub layers: Vec<String>,
    /// The teacher's; empty: those of the same names, or the usual ones.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "Vec::is_empty"))]
    pub teacher_layers: Vec<String>,
    /// Its own settings.
    #[cfg_attr(feature = "train", serde(flatten))]
    pub settings: BTreeMap<String, f64>,
}

#[cfg(feature = "train")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl MethodConfig {
    /// A method as a run uses it unless its file says more: at its published weight, but nowhere stronger than the labels, for all tasks
    /// that it can serve. It stays capped whatever its weight is then set to; for a weight of your own begin with
    /// [`MethodConfig::published`].
    pub fn of(method: &Method) -> Self {
        MethodConfig { cap: true, ..Self::published(method) }
    }

    /// A method as strong as the labels; another weight is a multiple of that.
    pub fn normalized(method: &Method) -> Self {
        MethodConfig { weight: 1.0, normalize: true, ..Self::published(method) }
    }

    /// A method at its published weight, however strong that is beside the labels, for all tasks that it can serve.
    pub fn published(method: &Method) -> Self {
        MethodConfig {
            weight: method.weight,
            normalize: false,
            cap: false,
            warmup_epochs: 0.0,
            tasks: Vec::new(),
            layers: Vec::new(),
            teacher_layers: Vec::new(),
            settings: method.keys.iter().map(|key| (key.name.to_string(), key.default)).collect(),
        }
    }

    /// Whether `method` with these settings is used for a task.
    pub fn serves(&self, method: &Method, task: &str, kind: TaskKind) -> bool {
        method.serves(kind) && (self.tasks.is_empty() || self.tasks.iter().any(|t| t == task))
    }

    /// The student's and the teacher's taps, pair by pair, for trunks of so many stages.
    pub fn taps(&self, method: &Method, student: usize, teacher: usize) -> Vec<(FeatureSite, FeatureSite)> {
        let usual = |stages: usize| match method.look {
            FeatureKind::Logits => Vec::new(),
            FeatureKind::Layer(layers) | FeatureKind::Map(layers) | FeatureKind::Together(layers) => {
                layers.taps(stages)
            }
        };
        let parse =
            |names: &[String]| -> Vec<FeatureSite> { names.iter().filter_map(|n| FeatureSite::parse(n)).collect() };
        match (parse(&self.layers), parse(&self.teacher_layers)) {
            (s, t) if s.is_empty() && t.is_empty() => usual(student).into_iter().zip(usual(teacher)).collect(),
            (s, t) if t.is_empty() => s.iter().map(|tap| (*tap, *tap)).collect(),
            (s, t) => s.into_iter().zip(t).collect(),
        }
    }
}
