//! A class of every pixel (semantic segmentation).

use std::borrow::Cow;

use crate::Result;
use crate::data::{Labels, OriginalLabels};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::kernels::{confusion, relabel};
use crate::metrics::TaskResult;
use crate::nn::HeadSpec;
use crate::tasks::matrix::Matrix;
use crate::tasks::{NamedLosses, Reading, Rules, Seen, Tally, TaskObjective, TaskOutput, TaskTarget};
use crate::tensor::Tensor;

pub(super) struct Mask;

impl Rules for Mask {
    fn head(&self, task: &str, classes: usize, _hidden: &[usize], channels: usize) -> HeadSpec {
        HeadSpec::decoder(task, classes, channels)
    }

    fn bytes<'a>(&self, target: &TaskTarget, labels: &'a Labels) -> Result<Cow<'a, [u8]>> {
        let Labels::Mask(classes) = labels else { return Err(target.mismatch(labels)) };
        Ok(Cow::Borrowed(classes))
    }

    fn shape(&self, _target: &TaskTarget, _rows: usize, _size: [usize; 2]) -> Option<Vec<usize>> {
        // Four pixels to a word.
        None
    }

    fn moved(&self, gpu: &Gpu, uploaded: &Tensor, shape: [usize; 3], warps: Option<&Tensor>) -> Result<Tensor> {
        relabel::classes(gpu, uploaded, shape, warps)
    }

    fn losses(&self, gpu: &Gpu, objective: &TaskObjective, _levels: &[Level]) -> Result<NamedLosses> {
        objective.chosen(gpu, "cross_entropy")
    }

    fn tally(&self, gpu: &Gpu, target: &TaskTarget) -> Result<Box<dyn Tally>> {
        Ok(Box::new(Pixels(Matrix::new(gpu, target.task.classes.len())?)))
    }

    fn decode(&self, gpu: &Gpu, said: &Tensor, reading: &Reading) -> Result<Vec<TaskOutput>> {
        let all: Vec<u8> = confusion::argmax(gpu, said)?.to_u32(gpu)?.into_iter().map(|c| c as u8).collect();
        let (size, names) = (reading.size, || reading.classes.to_vec());
        let image = |classes: &[u8]| TaskOutput::Mask { size, names: names(), classes: classes.to_vec() };
        Ok(all.chunks_exact((size[0] * size[1]).max(1)).map(image).collect())
    }
}

/// Pixels by label and by what the head said.
struct Pixels(Matrix);

impl Tally for Pixels {
    fn add(&mut self, gpu: &Gpu, seen: &Seen) -> Result<()> {
        let Labels::Mask(_) = seen.labels else { return Err(seen.target.mismatch(seen.labels)) };
        let Seen { batch, said, size, .. } = *seen;
        match seen.originals {
            Some((_, Some(OriginalLabels::Mask(truth)))) => {
                let classes = confusion::argmax(gpu, said)?.to_u32(gpu)?;
                for ((place, sample), canvas) in seen.places().zip(classes.chunks_exact(size[0] * size[1])) {
                    if let (Some(place), Some(truth)) = (place, &truth[sample]) {
                        self.0.count(&place.mask_back(canvas), truth);
                    }
                }
                Ok(())
            }
            _ => self.0.add(gpu, said, seen.uploaded, batch.valid * (said.rows() / batch.indices.len().max(1))),
        }
    }

    fn result(mut self: Box<Self>, gpu: &Gpu, target: &TaskTarget) -> Result<TaskResult> {
        Ok(TaskResult::of_pixels(self.0.confusion(gpu)?, &target.task.classes))
    }
}
