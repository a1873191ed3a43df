//! One of several classes of an image.

use std::borrow::Cow;

use crate::Result;
use crate::data::{Labels, MISSING};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::kernels::softmax;
use crate::metrics::{CalibrationTally, TaskResult};
use crate::nn::HeadSpec;
use crate::tasks::matrix::Matrix;
use crate::tasks::{NamedLosses, Reading, Rules, Seen, Tally, TaskObjective, TaskOutput, TaskTarget};
use crate::tensor::Tensor;

pub(super) struct Class;

impl Rules for Class {
    fn head(&self, task: &str, classes: usize, hidden: &[usize], _channels: usize) -> HeadSpec {
        HeadSpec::mlp(task, classes, hidden)
    }

    fn bytes<'a>(&self, target: &TaskTarget, labels: &'a Labels) -> Result<Cow<'a, [u8]>> {
        let Labels::Class(classes) = labels else { return Err(target.mismatch(labels)) };
        Ok(Cow::Borrowed(bytemuck::cast_slice(classes)))
    }

    fn shape(&self, _target: &TaskTarget, rows: usize, _size: [usize; 2]) -> Option<Vec<usize>> {
        Some(vec![rows])
    }

    fn losses(&self, gpu: &Gpu, objective: &TaskObjective, _levels: &[Level]) -> Result<NamedLosses> {
        objective.chosen(gpu, "cross_entropy")
    }

    fn tally(&self, gpu: &Gpu, target: &TaskTarget) -> Result<Box<dyn Tally>> {
        Ok(Box::new(Classes { matrix: Matrix::new(gpu, target.task.classes.len())?, sure: Sure::new() }))
    }

    fn decode(&self, gpu: &Gpu, said: &Tensor, reading: &Reading) -> Result<Vec<TaskOutput>> {
        let image = |p: &[f32]| {
            let best = p.iter().enumerate().fold((0, f32::MIN), |b, (i, p)| if *p > b.1 { (i, *p) } else { b });
            let label = reading.classes[best.0].clone();
            TaskOutput::Class { label, probability: best.1, probabilities: reading.named(p.iter().copied()) }
        };
        Ok(softmax::softmax(gpu, said, 1.0)?.to_f32(gpu)?.chunks(said.columns().max(1)).map(image).collect())
    }
}

/// Samples by label and by what the head said, and how sure it was.
struct Classes {
    matrix: Matrix,
    sure: Sure,
}

impl Tally for Classes {
    fn add(&mut self, gpu: &Gpu, seen: &Seen) -> Result<()> {
        let Labels::Class(labels) = seen.labels else { return Err(seen.target.mismatch(seen.labels)) };
        let valid = seen.batch.valid;
        self.sure.add(gpu, seen.said, &labels[..valid])?;
        self.matrix.add(gpu, seen.said, seen.uploaded, valid)
    }

    fn result(mut self: Box<Self>, gpu: &Gpu, target: &TaskTarget) -> Result<TaskResult> {
        self.sure.count(gpu)?;
        let confusion = self.matrix.confusion(gpu)?;
        Ok(TaskResult::of_probabilities(confusion, &self.sure.tally, &target.task.classes))
    }
}

/// How sure a classifier is. Its answers stay on the GPU until there are many, so that no batch waits for them.
struct Sure {
    tally: CalibrationTally,
    waiting: Vec<(Tensor, Vec<u32>)>,
}

impl Sure {
    /// Numbers that wait at most: 64 MiB.
    const MOST: usize = 1 << 24;
    /// Bins of the expected calibration error (Guo et al. 2017).
    const BINS: usize = 15;

    fn new() -> Self {
        Sure { tally: CalibrationTally::new(Self::BINS), waiting: Vec::new() }
    }

    /// Takes the logits `[n, classes]` of as many samples as there are labels, or more.
    fn add(&mut self, gpu: &Gpu, said: &Tensor, labels: &[u32]) -> Result<()> {
        self.waiting.push((said.clone(), labels.to_vec()));
        let waiting: usize = self.waiting.iter().map(|(said, _)| said.len()).sum();
        if waiting > Self::MOST { self.count(gpu) } else { Ok(()) }
    }

    fn count(&mut self, gpu: &Gpu) -> Result<()> {
        for (said, labels) in self.waiting.drain(..) {
            let classes = said.len() / said.rows().max(1);
            for (z, label) in said.to_f32(gpu)?.chunks(classes.max(1)).zip(labels) {
                if label != MISSING {
                    self.tally.add(&softmax(z), label as usize)?;
                }
            }
        }
        Ok(())
    }
}

fn softmax(z: &[f32]) -> Vec<f32> {
    let most = z.iter().copied().fold(f32::MIN, f32::max);
    let parts: Vec<f64> = z.iter().map(|z| f64::from(z - most).exp()).collect();
    let sum: f64 = parts.iter().sum();
    parts.into_iter().map(|p| (p / sum) as f32).collect()
}
