//! The head of a task that is asked of every pixel: a pyramid of the trunk's maps, and at the finest of them a 3x3 convolution and a
//! linear layer, whose answers are enlarged to the size of the image.

use super::context::Context;
use super::init::Initializer;
use super::layers::{ConvNorm, Folded, FrozenLinear, Linear};
use super::maps::{HeadMaps, HeadOutputs};
use super::pyramid::{Laterals, enlarged, map_size};
use crate::gpu::Gpu;
use crate::params::{Builder, Params};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// Laterals, one for each stage of the trunk, a smoothing layer, and the answers. `L` and `O` are [`ConvNorm`] and [`Linear`]
/// while training, [`Folded`] and [`FrozenLinear`] when frozen.
#[derive(Debug, Clone)]
pub(super) struct Decoder<L, O> {
    laterals: Laterals<L>,
    smooth: L,
    pub(super) answers: O,
}

impl Decoder<ConvNorm, Linear> {
    /// A decoder called `name` over stages of these channels, `channels` wide, with `outputs` answers for each pixel.
    pub(super) fn new(
        b: &mut Builder,
        init: &mut Initializer,
        name: &str,
        stages: &[usize],
        channels: usize,
        outputs: usize,
    ) -> Self {
        let laterals = Laterals::new(b, init, name, stages, 0, channels);
        let names = (format!("{name}.smooth.0"), format!("{name}.smooth.1"));
        let smooth = ConvNorm::new(b, init, (&names.0, &names.1), channels, channels, 3, 1);
        let answers = Linear::new(b, init, &format!("{name}.answers"), channels, outputs, false);
        Decoder { laterals, smooth, answers }
    }

    /// Answers `[n, h, w, outputs]` for images of `[h, w]`, from every stage's map.
    pub(super) fn forward(&self, ctx: &mut Context, maps: &[Var], image: [usize; 2]) -> Result<HeadOutputs<Var>> {
        let levels = self.laterals.forward(ctx, maps)?;
        let smooth = self.smooth.forward(ctx, levels.first().ok_or_else(no_maps)?, None, true)?;
        let ([h, w], n) = (map_size(smooth.value())?, smooth.value().shape()[0]);
        let answers = self.answers.forward(ctx, &smooth.reshape(&[n * h * w, self.answers.inputs])?)?;
        let answers = answers.reshape(&[n, h, w, self.answers.outputs])?;
        let logits = if [h, w] == image { answers } else { ctx.resize(&answers, image)? };
        let maps = HeadMaps { levels, first: 0, decoder: Some(smooth), logits: Some(logits.clone()) };
        Ok(HeadOutputs { logits, maps })
    }

    /// The decoder with every norm folded into its convolution.
    pub(super) fn freeze(&self, gpu: &Gpu, params: &Params) -> Result<Decoder<Folded, FrozenLinear>> {
        Ok(Decoder {
            laterals: self.laterals.fold(gpu, params)?,
            smooth: self.smooth.fold(gpu, params)?,
            answers: self.answers.freeze(gpu, params)?,
        })
    }

    /// The channels of its maps.
    pub(super) fn channels(&self) -> HeadMaps<usize> {
        let width = self.answers.inputs;
        let levels = vec![width; self.laterals.count()];
        HeadMaps { levels, first: 0, decoder: Some(width), logits: Some(self.answers.outputs) }
    }

    /// Multiply-accumulates for one image, whose stages' maps have these sizes.
    pub(super) fn macs(&self, maps: &[[usize; 2]]) -> u64 {
        let [h, w] = maps.first().copied().unwrap_or_default();
        let answers = (h * w * self.answers.inputs * self.answers.outputs) as u64;
        self.laterals.macs(maps) + self.smooth.shape(1, h, w).macs() + answers
    }
}

impl Decoder<Folded, FrozenLinear> {
    /// As [`Decoder::forward`], recording nothing.
    pub(super) fn infer(&self, gpu: &Gpu, maps: &[Tensor], image: [usize; 2]) -> Result<HeadOutputs<Tensor>> {
        let levels = self.laterals.infer(gpu, maps)?;
        let smooth = self.smooth.infer(gpu, levels.first().ok_or_else(no_maps)?, None, true)?;
        let [h, w] = map_size(&smooth)?;
        let (n, c) = (smooth.shape()[0], smooth.columns());
        let answers = self.answers.infer(gpu, &smooth.reshape(&[n * h * w, c])?)?;
        let outputs = answers.columns();
        let logits = enlarged(gpu, &answers.reshape(&[n, h, w, outputs])?, image)?;
        let maps = HeadMaps { levels, first: 0, decoder: Some(smooth), logits: Some(logits.clone()) };
        Ok(HeadOutputs { logits, maps })
    }

    /// Every tensor it computes with.
    pub(super) fn tensors(&self) -> Vec<&Tensor> {
        self.laterals.tensors().into_iter().chain(self.smooth.tensors()).chain(self.answers.tensors()).collect()
    }
}

fn no_maps() -> Error {
    Error::Invalid("a decoder needs the maps of at least one stage".into())
}
