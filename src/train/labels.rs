//! Labels on their way to the GPU: each kind in the form its losses take.

use std::borrow::Cow;

use crate::data::{Labels, Task, TaskKind};
use crate::gpu::Gpu;
use crate::kernels::{regression, relabel};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A task and what it takes to turn its labels into targets.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub task: Task,
    /// Mean and standard deviation of the training labels, of tasks that ask for a number.
    pub moments: (f32, f32),
}

impl Target {
    /// The bytes that are uploaded for a batch.
    fn bytes<'a>(&self, labels: &'a Labels) -> Result<Cow<'a, [u8]>> {
        let (mean, std) = self.moments;
        // Standardised, so that one learning rate serves all tasks.
        let numbers = |values: &[f32]| -> Cow<'a, [u8]> {
            let one = |y: &f32| if y.is_nan() { regression::MISSING } else { (y - mean) / std };
            Cow::Owned(bytemuck::cast_slice(&values.iter().map(one).collect::<Vec<f32>>()).to_vec())
        };
        Ok(match labels {
            Labels::Class(classes) => Cow::Borrowed(bytemuck::cast_slice(classes)),
            Labels::Attributes { answers, .. } => Cow::Borrowed(bytemuck::cast_slice(answers)),
            Labels::Number(values) | Labels::Depth(values) => numbers(values),
            Labels::Mask(classes) => Cow::Borrowed(classes),
            Labels::Boxes(_) => return Err(untrained(&self.task)),
        })
    }

    /// A place for labels like these of `rows` images, holding them.
    pub(super) fn upload(&self, gpu: &Gpu, labels: &Labels, rows: usize, [h, w]: [usize; 2]) -> Result<Tensor> {
        let tensor = Tensor::from_bytes(gpu, &self.bytes(labels)?)?;
        match self.task.kind {
            TaskKind::Class | TaskKind::Boxes => tensor.reshape(&[rows]),
            TaskKind::Attributes => tensor.reshape(&[rows, self.task.classes.len()]),
            TaskKind::Number => tensor.reshape(&[rows, 1]),
            TaskKind::Depth => tensor.reshape(&[rows, h, w]),
            // Four to a word.
            TaskKind::Mask => Ok(tensor),
        }
    }

    /// Puts the labels of another batch into such a place.
    pub(super) fn write(&self, gpu: &Gpu, place: &Tensor, labels: &Labels) -> Result<()> {
        place.write_bytes(gpu, &self.bytes(labels)?)
    }

    /// The labels of an uploaded batch as losses and metrics take them: what belongs to pixels is moved as `draws` moved the images.
    pub(super) fn moved(
        &self,
        gpu: &Gpu,
        uploaded: &Tensor,
        [n, h, w]: [usize; 3],
        draws: Option<&Tensor>,
    ) -> Result<Tensor> {
        match self.task.kind {
            TaskKind::Mask => relabel::classes(gpu, uploaded, [n, h, w], draws),
            TaskKind::Depth => {
                let moved = relabel::numbers(gpu, uploaded, [n, h, w], draws, regression::MISSING)?;
                moved.reshape(&[n, h, w, 1])
            }
            TaskKind::Class | TaskKind::Attributes | TaskKind::Number | TaskKind::Boxes => Ok(uploaded.clone()),
        }
    }
}

/// There is no way yet to learn this kind of task.
pub(super) fn untrained(task: &Task) -> Error {
    Error::Invalid(format!("task {:?} of kind {} cannot be trained yet", task.name, task.kind.name()))
}
