//! A task of a stage, and how its labels are learnt.

use crate::data::Task;
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::loss::{self, LossSetup};
use crate::tasks::{ClassWeights, NamedLosses, TaskConfig, rules};
use crate::{Error, Result};

/// A task of a stage, and how its labels are learnt.
#[derive(Debug, Clone)]
pub(crate) struct TaskObjective<'a> {
    pub task: &'a Task,
    /// Its weight among the tasks.
    pub weight: f32,
    /// Its settings.
    pub config: TaskConfig,
    /// How often each class is a training label.
    pub frequencies: &'a [u64],
    pub label_smoothing: f32,
}

impl TaskObjective<'_> {
    /// The losses on its labels, by the names of their terms.
    pub(crate) fn losses(&self, gpu: &Gpu, levels: &[Level]) -> Result<NamedLosses> {
        rules(self.task.kind).losses(gpu, self, levels)
    }

    /// The losses that its settings name, or the usual one of its kind.
    pub(super) fn chosen(&self, gpu: &Gpu, usual: &'static str) -> Result<NamedLosses> {
        let (name, kind) = (&self.task.name, self.task.kind);
        let text = self.config.loss.as_deref().unwrap_or(usual);
        let wrong = || Error::Invalid(format!("task {name:?} of kind {} has no loss {text:?}", kind.name()));
        let methods = loss::methods(text).filter(|all| all.iter().all(|m| m.kinds.contains(&kind)));
        let methods = methods.ok_or_else(wrong)?;
        let class_weights = self.class_weights()?;
        let all = methods.into_iter().map(|method| {
            let mut settings = self.config.settings.clone();
            for key in method.keys {
                settings.entry(key.name.to_string()).or_insert(key.default);
            }
            let setup = LossSetup {
                gpu,
                settings: &settings,
                class_weights: class_weights.as_deref(),
                classes: self.task.classes.len(),
                label_smoothing: self.label_smoothing,
            };
            Ok((method.term, (method.make)(&setup)?))
        });
        all.collect()
    }

    /// How much each class counts.
    fn class_weights(&self) -> Result<Option<Vec<f32>>> {
        let classes = self.task.classes.len();
        Ok(match &self.config.class_weights {
            None => None,
            Some(ClassWeights::List(list)) => Some(self.listed("class_weights", list)?),
            Some(ClassWeights::Rule(_)) => {
                let all: u64 = self.frequencies.iter().sum();
                // A class that never occurs is in no label, so its weight does not matter.
                let one = |count: &u64| if *count == 0 { 0.0 } else { all as f32 / (classes as f32 * *count as f32) };
                Some(self.frequencies.iter().map(one).collect())
            }
        })
    }

    /// How much the positive answers count, of each attribute.
    pub(super) fn pos_weight(&self) -> Result<Option<Vec<f32>>> {
        Ok(match &self.config.pos_weight {
            None => None,
            Some(ClassWeights::List(list)) => Some(self.listed("pos_weight", list)?),
            Some(ClassWeights::Rule(_)) => {
                let (yes, no) = self.frequencies.split_at(self.task.classes.len());
                // One that never holds, or always does, has nothing to be balanced.
                let one = |(yes, no): (&u64, &u64)| if *yes == 0 || *no == 0 { 1.0 } else { *no as f32 / *yes as f32 };
                Some(yes.iter().zip(no).map(one).collect())
            }
        })
    }

    /// The weights of a list that has one for each name of the task.
    fn listed(&self, key: &str, list: &[f64]) -> Result<Vec<f32>> {
        let names = &self.task.classes;
        if list.len() == names.len() {
            return Ok(list.iter().map(|w| *w as f32).collect());
        }
        let (name, have) = (&self.task.name, list.len());
        let message = format!("tasks.{name}.{key} has {have} numbers for {} names: {}", names.len(), names.join(", "));
        Err(Error::Invalid(message))
    }
}
