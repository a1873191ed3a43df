//! A number for every pixel.

use std::borrow::Cow;

use crate::Result;
use crate::data::Labels;
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::kernels::{regression, relabel};
use crate::metrics::RegressionTally;
use crate::nn::HeadSpec;
use crate::tasks::number::{Numbers, standardized};
use crate::tasks::{NamedLosses, Reading, Rules, Tally, TaskObjective, TaskOutput, TaskTarget};
use crate::tensor::Tensor;

pub(super) struct Depth;

impl Rules for Depth {
    fn head(&self, task: &str, _classes: usize, _hidden: &[usize], channels: usize) -> HeadSpec {
        HeadSpec::decoder(task, 1, channels)
    }

    fn bytes<'a>(&self, target: &TaskTarget, labels: &'a Labels) -> Result<Cow<'a, [u8]>> {
        let Labels::Depth(values) = labels else { return Err(target.mismatch(labels)) };
        Ok(standardized(target, values))
    }

    fn shape(&self, _target: &TaskTarget, rows: usize, [h, w]: [usize; 2]) -> Option<Vec<usize>> {
        Some(vec![rows, h, w])
    }

    fn moved(&self, gpu: &Gpu, uploaded: &Tensor, [n, h, w]: [usize; 3], warps: Option<&Tensor>) -> Result<Tensor> {
        relabel::numbers(gpu, uploaded, [n, h, w], warps, regression::MISSING)?.reshape(&[n, h, w, 1])
    }

    fn losses(&self, gpu: &Gpu, objective: &TaskObjective, _levels: &[Level]) -> Result<NamedLosses> {
        objective.chosen(gpu, "l2")
    }

    fn tally(&self, _gpu: &Gpu, _target: &TaskTarget) -> Result<Box<dyn Tally>> {
        Ok(Box::new(Numbers(RegressionTally::default())))
    }

    fn decode(&self, gpu: &Gpu, said: &Tensor, reading: &Reading) -> Result<TaskOutput> {
        let (mean, std) = reading.moments;
        let values = said.to_f32(gpu)?.into_iter().map(|z| z * std + mean).collect();
        Ok(TaskOutput::Depth { size: reading.size, values })
    }
}
