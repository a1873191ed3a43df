//! What a network says of an image, task by task.

use serde::Serialize;

use crate::checkpoint::TaskCard;
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::predict::options::PredictOptions;
use crate::tasks::{Reading, TaskOutput, rules};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// One task's answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskPrediction {
    /// The task.
    pub task: String,
    /// What was asked for.
    #[serde(flatten)]
    pub answer: TaskOutput,
}

impl TaskPrediction {
    /// Reads the answer to one image off a head's output.
    pub(crate) fn of(
        gpu: &Gpu,
        task: &TaskCard,
        said: &Tensor,
        (size, levels): ([usize; 2], &[Level]),
        options: &PredictOptions,
    ) -> Result<Self> {
        let (moments, counts) = (task.moments.unwrap_or((0.0, 1.0)), task.is_count());
        let reading = Reading { classes: &task.classes, moments, counts, size, levels, keep: options.keep() };
        let answer = rules(task.kind).decode(gpu, said, &reading)?.into_iter().next();
        let answer = answer.ok_or_else(|| Error::Shape(format!("task {:?}: no answer to an image", task.name)))?;
        Ok(TaskPrediction { task: task.name.clone(), answer })
    }

    /// The most probable class, where the task names one.
    pub fn label(&self) -> Option<&str> {
        match &self.answer {
            TaskOutput::Class { label, .. } => Some(label),
            _ => None,
        }
    }
}
