//! Several questions about an image, yes or no each.

use std::borrow::Cow;

use crate::Result;
use crate::data::Labels;
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::loss::BinaryCrossEntropy;
use crate::metrics::{MultilabelTally, TaskResult};
use crate::nn::HeadSpec;
use crate::tasks::{NamedLosses, Reading, Rules, Seen, Tally, TaskObjective, TaskOutput, TaskTarget};
use crate::tensor::Tensor;

pub(super) struct Attributes;

fn sigmoid(z: &f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}

impl Rules for Attributes {
    fn head(&self, task: &str, classes: usize, hidden: &[usize], _channels: usize) -> HeadSpec {
        HeadSpec::mlp(task, classes, hidden)
    }

    fn bytes<'a>(&self, target: &TaskTarget, labels: &'a Labels) -> Result<Cow<'a, [u8]>> {
        let Labels::Attributes { answers, .. } = labels else { return Err(target.mismatch(labels)) };
        Ok(Cow::Borrowed(bytemuck::cast_slice(answers)))
    }

    fn shape(&self, target: &TaskTarget, rows: usize, _size: [usize; 2]) -> Option<Vec<usize>> {
        Some(vec![rows, target.task.classes.len()])
    }

    fn losses(&self, gpu: &Gpu, objective: &TaskObjective, _levels: &[Level]) -> Result<NamedLosses> {
        let tensor = |weights: Vec<f32>| Tensor::from_f32(gpu, &weights, &[weights.len()]);
        let positive_weights = objective.pos_weight()?.map(tensor).transpose()?;
        Ok(vec![("bce", Box::new(BinaryCrossEntropy { positive_weights }))])
    }

    fn tally(&self, _gpu: &Gpu, target: &TaskTarget) -> Result<Box<dyn Tally>> {
        Ok(Box::new(Answers(MultilabelTally::new(target.task.classes.len()))))
    }

    fn decode(&self, gpu: &Gpu, said: &Tensor, reading: &Reading) -> Result<Vec<TaskOutput>> {
        let image = |z: &[f32]| TaskOutput::Attributes { attributes: reading.named(z.iter().map(sigmoid)) };
        Ok(said.to_f32(gpu)?.chunks(said.columns().max(1)).map(image).collect())
    }
}

/// Labels and probabilities of every attribute.
struct Answers(MultilabelTally);

impl Tally for Answers {
    fn add(&mut self, gpu: &Gpu, seen: &Seen) -> Result<()> {
        let Labels::Attributes { count, answers } = seen.labels else { return Err(seen.target.mismatch(seen.labels)) };
        let said = seen.said.to_f32(gpu)?;
        for (z, answers) in said.chunks(*count).zip(answers.chunks(*count)).take(seen.batch.valid) {
            let scores: Vec<f32> = z.iter().map(sigmoid).collect();
            let answers: Vec<Option<bool>> = answers.iter().map(|a| (*a >= 0.0).then_some(*a > 0.5)).collect();
            self.0.add(&scores, &answers)?;
        }
        Ok(())
    }

    fn result(self: Box<Self>, _gpu: &Gpu, target: &TaskTarget) -> Result<TaskResult> {
        Ok(TaskResult::of_attributes(&self.0, &target.task.classes))
    }
}
