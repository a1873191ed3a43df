//! The head of a task that asks for objects: a pyramid of the trunk's maps, and at each place of each level a logit for every class,
//! the distances to an object's four edges, and centre-ness (FCOS: Tian et al. 2019, arXiv 1904.01355).
//!
//! Every level has a 3x3 convolution and a layer of answers of its own: FCOS shares them between five levels, where each sees few
//! objects; here batch norm takes the place of its group norm, whose statistics differ from level to level.

use super::context::Context;
use super::init::Initializer;
use super::layers::{ConvNorm, Folded, FrozenLinear, Linear};
use super::maps::{HeadMaps, HeadOutputs};
use super::pyramid::Laterals;
use crate::gpu::Gpu;
use crate::kernels::concat;
use crate::params::{Builder, Params};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// How probable any class is at any place before training: focal loss would otherwise drown in what is nothing (Lin et al. 2017,
/// section 3.3).
const PRIOR: f32 = 0.01;

/// Values beside the classes' logits: four distances and centre-ness.
pub(super) const BESIDE: usize = 5;

/// Laterals, and for each level a convolution and its answers.
#[derive(Debug, Clone)]
pub(super) struct Detector<L, O> {
    laterals: Laterals<L>,
    towers: Vec<L>,
    answers: Vec<O>,
}

/// The stages that levels are made of: all but the first, whose places are more than there are objects to find, unless it is alone.
pub(super) fn stages(count: usize) -> std::ops::Range<usize> {
    count.min(2).saturating_sub(1)..count
}

impl Detector<ConvNorm, Linear> {
    /// A detector called `name` over stages of these channels, `channels` wide, with `outputs` values for each place.
    pub(super) fn new(
        b: &mut Builder,
        init: &mut Initializer,
        name: &str,
        all: &[usize],
        channels: usize,
        outputs: usize,
    ) -> Self {
        let own = stages(all.len());
        let laterals = Laterals::new(b, init, name, &all[own.clone()], own.start, channels);
        let mut towers = Vec::new();
        let mut answers = Vec::new();
        for i in own {
            let names = (format!("{name}.tower{}.0", i + 1), format!("{name}.tower{}.1", i + 1));
            towers.push(ConvNorm::new(b, init, (&names.0, &names.1), channels, channels, 3, 1));
            let mut bias = vec![-((1.0 - PRIOR) / PRIOR).ln(); outputs.saturating_sub(BESIDE)];
            bias.resize(outputs, 0.0);
            answers.push(Linear::with_bias(b, init, &format!("{name}.answers{}", i + 1), channels, false, &bias));
        }
        Detector { laterals, towers, answers }
    }

    /// `[n, places, outputs]`, level by level, row by row.
    pub(super) fn forward(&self, ctx: &mut Context, maps: &[Var]) -> Result<HeadOutputs<Var>> {
        let mut levels = Vec::new();
        let own = stages(maps.len());
        let pyramid = self.laterals.forward(ctx, &maps[own.clone()])?;
        for ((map, tower), answers) in pyramid.iter().zip(&self.towers).zip(&self.answers) {
            let y = tower.forward(ctx, map, None, true)?;
            let &[n, h, w, c] = y.value().shape() else { return Err(no_map(y.value())) };
            let y = answers.forward(ctx, &y.reshape(&[n * h * w, c])?)?;
            levels.push(y.reshape(&[n, h * w, answers.outputs])?);
        }
        let logits = ctx.concat(&levels)?;
        Ok(HeadOutputs { logits, maps: HeadMaps { levels: pyramid, first: own.start, ..HeadMaps::none() } })
    }

    /// The detector with every norm folded into its convolution.
    pub(super) fn freeze(&self, gpu: &Gpu, params: &Params) -> Result<Detector<Folded, FrozenLinear>> {
        Ok(Detector {
            laterals: self.laterals.fold(gpu, params)?,
            towers: self.towers.iter().map(|t| t.fold(gpu, params)).collect::<Result<_>>()?,
            answers: self.answers.iter().map(|a| a.freeze(gpu, params)).collect::<Result<_>>()?,
        })
    }

    /// The channels of its maps over a trunk of so many stages.
    pub(super) fn channels(&self, count: usize) -> HeadMaps<usize> {
        let width = self.answers.first().map_or(0, |a| a.inputs);
        HeadMaps { levels: vec![width; self.laterals.count()], first: stages(count).start, ..HeadMaps::none() }
    }

    /// Multiply-accumulates for one image, whose stages' maps have these sizes.
    pub(super) fn macs(&self, maps: &[[usize; 2]]) -> u64 {
        let own = &maps[stages(maps.len())];
        let level = |((tower, answers), [h, w]): ((&ConvNorm, &Linear), &[usize; 2])| {
            tower.shape(1, *h, *w).macs() + (h * w * answers.inputs * answers.outputs) as u64
        };
        self.laterals.macs(own) + self.towers.iter().zip(&self.answers).zip(own).map(level).sum::<u64>()
    }
}

impl Detector<Folded, FrozenLinear> {
    /// As [`Detector::forward`], recording nothing.
    pub(super) fn infer(&self, gpu: &Gpu, maps: &[Tensor]) -> Result<HeadOutputs<Tensor>> {
        let mut levels = Vec::new();
        let own = stages(maps.len());
        let pyramid = self.laterals.infer(gpu, &maps[own.clone()])?;
        for ((map, tower), answers) in pyramid.iter().zip(&self.towers).zip(&self.answers) {
            let y = tower.infer(gpu, map, None, true)?;
            let &[n, h, w, c] = y.shape() else { return Err(no_map(&y)) };
            let y = answers.infer(gpu, &y.reshape(&[n * h * w, c])?)?;
            let outputs = y.columns();
            levels.push(y.reshape(&[n, h * w, outputs])?);
        }
        let logits = concat::concat(gpu, &levels.iter().collect::<Vec<_>>())?;
        Ok(HeadOutputs { logits, maps: HeadMaps { levels: pyramid, first: own.start, ..HeadMaps::none() } })
    }

    /// Every tensor it computes with.
    pub(super) fn tensors(&self) -> Vec<&Tensor> {
        let convs = self.towers.iter().flat_map(Folded::tensors);
        let answers = self.answers.iter().flat_map(FrozenLinear::tensors);
        self.laterals.tensors().into_iter().chain(convs).chain(answers).collect()
    }
}

fn no_map(map: &Tensor) -> Error {
    Error::Shape(format!("a detector looks at maps, not at {:?}", map.shape()))
}
