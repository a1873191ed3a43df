//! A task of a data set on its way to the GPU.

use crate::data::{Labels, Task};
use crate::gpu::Gpu;
use crate::tasks::{Rules, rules};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A task and what it takes to turn its labels into targets.
#[derive(Debug, Clone)]
pub(crate) struct TaskTarget {
    pub task: Task,
    /// Mean and standard deviation of the training labels, of tasks that ask for a number.
    pub moments: (f32, f32),
    /// Objects of an image at most, of tasks that ask for boxes.
    pub most: usize,
    /// How often each class is a training label, of tasks that ask for one.
    pub frequencies: Vec<u64>,
}

impl TaskTarget {
    /// The rules of its kind.
    pub(crate) fn rules(&self) -> &'static dyn Rules {
        rules(self.task.kind)
    }

    /// A place for labels like these of `rows` images, holding them.
    pub(crate) fn upload(&self, gpu: &Gpu, labels: &Labels, rows: usize, size: [usize; 2]) -> Result<Tensor> {
        let tensor = Tensor::from_bytes(gpu, &self.rules().bytes(self, labels)?)?;
        match self.rules().shape(self, rows, size) {
            Some(shape) => tensor.reshape(&shape),
            None => Ok(tensor),
        }
    }

    /// Puts the labels of another batch into such a place.
    pub(crate) fn write(&self, gpu: &Gpu, place: &Tensor, labels: &Labels) -> Result<()> {
        place.write_bytes(gpu, &self.rules().bytes(self, labels)?)
    }

    /// The error of labels of another kind.
    pub(super) fn mismatch(&self, labels: &Labels) -> Error {
        Error::Invalid(format!("task {:?} has labels of kind {}", self.task.name, labels.kind().name()))
    }
}
