//! Losses of a detector.

use super::LossRecorder;
use super::method::{Assigned, LabelLoss};
use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::fcos::{self, Level, Part, Pyramid};
use crate::tape::Var;
use crate::tensor::Tensor;

/// An object is found by places within so many strides of its centre (FCOS, Tian et al. 2019, in its improved form).
const RADIUS: f32 = 1.5;

/// One of the three losses of FCOS: focal loss of the classes, GIoU loss of the boxes, binary cross entropy of centre-ness.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Which of the three.
    pub part: Part,
    /// The levels of the places.
    pub levels: Vec<Level>,
}

impl Detection {
    fn pyramid(&self, z: &Tensor) -> Pyramid {
        Pyramid { levels: self.levels.clone(), images: z.shape().first().copied().unwrap_or(0) }
    }

    /// What every place of a detector's output `z` `[n, places, classes + 5]` is to say, and the sums that losses are divided by;
    /// `objects` `[n, boxes, 6]` as [`fcos::assign`] takes them. The same for all three losses.
    pub fn assign(&self, gpu: &Gpu, z: &Var, objects: &Tensor) -> Result<(Tensor, Tensor)> {
        let pyramid = self.pyramid(z.value());
        let targets = fcos::assign(gpu, &pyramid, objects, RADIUS)?;
        let norms = fcos::norms(gpu, &targets)?;
        Ok((targets, norms))
    }

    /// Adds `weight` times the loss as term `term`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        z: &Var,
        assigned: (&Tensor, &Tensor),
    ) -> Result<()> {
        let value = z.value().clone();
        losses.add(term, weight, z, value.rows(), |gpu, out| fcos::loss(gpu, self.part, &value, assigned, out))
    }
}

impl LabelLoss for Detection {
    fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        z: &Var,
        labels: &Tensor,
        assigned: &mut Assigned,
    ) -> Result<()> {
        let found = match assigned.take() {
            Some(found) => found,
            None => self.assign(losses.gpu, z, labels)?,
        };
        let (targets, norms) = assigned.insert(found);
        self.apply(losses, term, weight, z, (targets, norms))
    }
}
