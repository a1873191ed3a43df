//! Labels on their way to the GPU: each kind in the form its losses take.

use std::borrow::Cow;

use crate::data::{Labels, Object, Task, TaskKind};
use crate::gpu::Gpu;
use crate::kernels::{fcos, regression, relabel};
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
            Labels::Boxes(all) => {
                let most = labels.most_objects();
                if most > self.most {
                    let (task, room) = (&self.task.name, self.most);
                    return Err(Error::Invalid(format!(
                        "task {task:?}: {most} objects in an image, and room for {room}"
                    )));
                }
                let rows: Vec<f32> = all.iter().flat_map(|objects| self.objects(objects.as_deref())).collect();
                Cow::Owned(bytemuck::cast_slice(&rows).to_vec())
            }
        })
    }

    /// An image's objects as [`fcos::assign`] takes them.
    fn objects(&self, objects: Option<&[Object]>) -> Vec<f32> {
        let mut rows = vec![0.0; self.most * fcos::OBJECT];
        let slots = rows.chunks_exact_mut(fcos::OBJECT);
        match objects {
            Some(objects) => {
                for (slot, o) in slots.zip(objects) {
                    let what = if o.ignored { 2.0 } else { 1.0 };
                    slot.copy_from_slice(&[o.rect.x0, o.rect.y0, o.rect.x1, o.rect.y1, o.class as f32, what]);
                }
            }
            // Nobody has looked.
            None => slots.take(1).for_each(|slot| slot[fcos::OBJECT - 1] = 3.0),
        }
        rows
    }

    /// A place for labels like these of `rows` images, holding them.
    pub(crate) fn upload(&self, gpu: &Gpu, labels: &Labels, rows: usize, [h, w]: [usize; 2]) -> Result<Tensor> {
        let tensor = Tensor::from_bytes(gpu, &self.bytes(labels)?)?;
        match self.task.kind {
            TaskKind::Class => tensor.reshape(&[rows]),
            TaskKind::Boxes => tensor.reshape(&[rows, self.most, fcos::OBJECT]),
            TaskKind::Attributes => tensor.reshape(&[rows, self.task.classes.len()]),
            TaskKind::Number => tensor.reshape(&[rows, 1]),
            TaskKind::Depth => tensor.reshape(&[rows, h, w]),
            // Four to a word.
            TaskKind::Mask => Ok(tensor),
        }
    }

    /// Puts the labels of another batch into such a place.
    pub(crate) fn write(&self, gpu: &Gpu, place: &Tensor, labels: &Labels) -> Result<()> {
        place.write_bytes(gpu, &self.bytes(labels)?)
    }

    /// The labels of an uploaded batch as losses and metrics take them: what belongs to pixels is moved as `warps` moved the images.
    pub(crate) fn moved(
        &self,
        gpu: &Gpu,
        uploaded: &Tensor,
        [n, h, w]: [usize; 3],
        warps: Option<&Tensor>,
    ) -> Result<Tensor> {
        match self.task.kind {
            TaskKind::Mask => relabel::classes(gpu, uploaded, [n, h, w], warps),
            TaskKind::Depth => {
                let moved = relabel::numbers(gpu, uploaded, [n, h, w], warps, regression::MISSING)?;
                moved.reshape(&[n, h, w, 1])
            }
            TaskKind::Class | TaskKind::Attributes | TaskKind::Number | TaskKind::Boxes => Ok(uploaded.clone()),
        }
    }
}
