//! How a task is learnt from its labels: what `[tasks]` of a run's file says.

use std::collections::BTreeMap;

use crate::data::Task;
use crate::{Error, Result};

/// How much a task counts, and what its loss is.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "train", derive(serde::Serialize))]
pub struct TaskConfig {
    /// Weight of its losses.
    pub weight: f64,
    /// One of [`crate::loss::METHODS`] or a sum of them, of tasks that let one choose; their usual one where absent.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "Option::is_none"))]
    pub loss: Option<String>,
    /// The settings of the loss, by key.
    #[cfg_attr(feature = "train", serde(flatten))]
    pub settings: BTreeMap<String, f64>,
    /// How much each class counts; all alike where absent.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "Option::is_none"))]
    pub class_weights: Option<ClassWeights>,
    /// How much the positive answers count, of each attribute.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "Option::is_none"))]
    pub pos_weight: Option<ClassWeights>,
}

impl TaskConfig {
    /// Refuses lists that have not a number for each name of `task`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the key and the names.
    pub fn check(&self, task: &Task) -> Result<()> {
        for (key, weights) in [("class_weights", &self.class_weights), ("pos_weight", &self.pos_weight)] {
            let Some(ClassWeights::List(list)) = weights else { continue };
            let (name, have, names) = (&task.name, list.len(), &task.classes);
            if have != names.len() {
                return Err(Error::Invalid(format!(
                    "tasks.{name}.{key} has {have} numbers for {} names: {}",
                    names.len(),
                    names.join(", ")
                )));
            }
        }
        Ok(())
    }
}

impl Default for TaskConfig {
    /// Weight 1 and the usual loss of the kind.
    fn default() -> Self {
        TaskConfig { weight: 1.0, loss: None, settings: BTreeMap::new(), class_weights: None, pos_weight: None }
    }
}

/// How much each class or attribute counts in a loss.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(untagged))]
pub enum ClassWeights {
    /// By how rare it is among the training labels: classes count alike together; an attribute's yes as much as its no.
    Rule(Balanced),
    /// A number for each, in their order.
    List(Vec<f64>),
}

/// `"balanced"`: of a class, all labels over the number of classes and the labels of this one; of an attribute, how often it does not
/// hold over how often it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Balanced {
    /// The only rule.
    Balanced,
}
