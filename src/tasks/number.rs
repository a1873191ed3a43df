//! A number of an image.

use std::borrow::Cow;

use crate::Result;
use crate::data::Labels;
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::kernels::regression;
use crate::metrics::{RegressionTally, TaskResult};
use crate::nn::HeadSpec;
use crate::tasks::{NamedLosses, Reading, Rules, Seen, Tally, TaskObjective, TaskOutput, TaskTarget};
use crate::tensor::Tensor;

pub(super) struct Number;

/// Numbers standardised by the moments of the training labels, so that one learning rate serves all tasks.
pub(super) fn standardized(target: &TaskTarget, values: &[f32]) -> Cow<'static, [u8]> {
    let (mean, std) = target.moments;
    let one = |y: &f32| if y.is_nan() { regression::MISSING } else { (y - mean) / std };
    Cow::Owned(bytemuck::cast_slice(&values.iter().map(one).collect::<Vec<f32>>()).to_vec())
}

/// The number that a head means by `z`: in the units of the labels, and where it counts things never below 0. What is told of an image and
/// what is measured is this one number.
fn meant(z: f32, (mean, std): (f32, f32), counts: bool) -> f32 {
    let value = z * std + mean;
    // Not `max`, which makes 0 of what is no number.
    if counts && value < 0.0 { 0.0 } else { value }
}

impl Rules for Number {
    fn head(&self, task: &str, _classes: usize, hidden: &[usize], _channels: usize) -> HeadSpec {
        HeadSpec::mlp(task, 1, hidden)
    }

    fn bytes<'a>(&self, target: &TaskTarget, labels: &'a Labels) -> Result<Cow<'a, [u8]>> {
        let Labels::Number(values) = labels else { return Err(target.mismatch(labels)) };
        Ok(standardized(target, values))
    }

    fn shape(&self, _target: &TaskTarget, rows: usize, _size: [usize; 2]) -> Option<Vec<usize>> {
        Some(vec![rows, 1])
    }

    fn losses(&self, gpu: &Gpu, objective: &TaskObjective, _levels: &[Level]) -> Result<NamedLosses> {
        objective.chosen(gpu, "l2")
    }

    fn tally(&self, _gpu: &Gpu, _target: &TaskTarget) -> Result<Box<dyn Tally>> {
        Ok(Box::new(Numbers(RegressionTally::default())))
    }

    fn decode(&self, gpu: &Gpu, said: &Tensor, reading: &Reading) -> Result<Vec<TaskOutput>> {
        let image = |z: f32| TaskOutput::Number { value: meant(z, reading.moments, reading.counts) };
        Ok(said.to_f32(gpu)?.into_iter().map(image).collect())
    }
}

/// Predicted and true numbers, of images or of pixels.
pub(super) struct Numbers(pub RegressionTally);

impl Tally for Numbers {
    fn add(&mut self, gpu: &Gpu, seen: &Seen) -> Result<()> {
        let (Labels::Number(truth) | Labels::Depth(truth)) = seen.labels else {
            return Err(seen.target.mismatch(seen.labels));
        };
        let (moments, counts) = (seen.target.moments, seen.target.task.counts);
        let each = truth.len() / seen.batch.indices.len().max(1);
        let counted = seen.said.to_f32(gpu)?.into_iter().zip(truth).take(seen.batch.valid * each);
        for (z, y) in counted.filter(|(_, y)| !y.is_nan()) {
            self.0.add(f64::from(meant(z, moments, counts)), f64::from(*y))?;
        }
        Ok(())
    }

    fn result(self: Box<Self>, _gpu: &Gpu, _target: &TaskTarget) -> Result<TaskResult> {
        Ok(TaskResult::of_numbers(self.0.metrics()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_never_negative_and_other_numbers_may_be() {
        let moments = (3.0, 2.0);
        assert_eq!(meant(0.5, moments, true), 4.0);
        assert_eq!((meant(-2.0, moments, true), meant(-2.0, moments, false)), (0.0, -1.0));
        assert!(meant(f32::NAN, moments, true).is_nan());
    }
}
