//! A number for every pixel.

use std::borrow::Cow;

use crate::Result;
use crate::data::Labels;
#[cfg(feature = "formats")]
use crate::data::{OriginalLabels, formats::depth_map, formats::in_parallel};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::kernels::{regression, relabel};
use crate::metrics::{RegressionTally, TaskResult};
use crate::nn::HeadSpec;
use crate::tasks::number::{Numbers, standardized};
use crate::tasks::{NamedLosses, Reading, Rules, Seen, Tally, TaskObjective, TaskOutput, TaskTarget};
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
        Ok(Box::new(Pixels(Numbers(RegressionTally::default()))))
    }

    fn decode(&self, gpu: &Gpu, said: &Tensor, reading: &Reading) -> Result<Vec<TaskOutput>> {
        let ((mean, std), size) = (reading.moments, reading.size);
        let values = |z: &[f32]| z.iter().map(|z| z * std + mean).collect();
        let image = |z: &[f32]| TaskOutput::Depth { size, values: values(z) };
        Ok(said.to_f32(gpu)?.chunks_exact((size[0] * size[1]).max(1)).map(image).collect())
    }
}

/// Predicted and true depths of pixels: of the images' own, where their maps lie in files.
struct Pixels(Numbers);

impl Tally for Pixels {
    fn add(&mut self, gpu: &Gpu, seen: &Seen) -> Result<()> {
        #[cfg(feature = "formats")]
        if let Some((_, Some(OriginalLabels::Depth(maps)))) = seen.originals {
            let (mean, std) = seen.target.moments;
            let said = seen.said.to_f32(gpu)?;
            let known: Vec<_> = seen.places().map(|(place, sample)| Some((place?, maps[sample].as_ref()?))).collect();
            let truths = in_parallel(&known, |known| match known {
                Some((place, map)) => depth_map::read(&map.path, map.unit, place.from).map(Some),
                None => Ok(None),
            });
            let canvases = said.chunks_exact(seen.size[0] * seen.size[1]);
            for ((known, truth), canvas) in known.iter().zip(truths).zip(canvases) {
                let (Some((place, _)), Some(truth)) = (known, truth?) else { continue };
                let found = place.mask_back(canvas).into_iter().zip(truth);
                for (z, y) in found.filter(|(_, y)| !y.is_nan()) {
                    self.0.0.add(f64::from(z * std + mean), f64::from(y))?;
                }
            }
            return Ok(());
        }
        self.0.add(gpu, seen)
    }

    fn result(self: Box<Self>, gpu: &Gpu, target: &TaskTarget) -> Result<TaskResult> {
        Box::new(self.0).result(gpu, target)
    }
}
