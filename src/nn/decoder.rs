//! The head of a task that is asked of every pixel: a pyramid of the trunk's maps, from coarse to fine (the top-down way of
//! feature pyramid networks, Lin et al. 2017, arXiv 1612.03144), and a layer of answers at the finest of them.
//!
//! `p_L = relu(l_L(c_L))`, `p_i = relu(l_i(c_i) + up(p_{i+1}))` with 1x1 convolutions `l` and bilinear enlargement `up`; then a 3x3
//! convolution and a linear layer at each pixel, whose answers are enlarged to the size of the image.

use super::context::Context;
use super::init::Initializer;
use super::layers::{ConvNorm, Folded, FrozenLinear, Linear};
use crate::gpu::Gpu;
use crate::kernels::resize;
use crate::params::{Builder, Params};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// Laterals, one for each stage of the trunk, a smoothing layer, and the answers. `L` and `O` are [`ConvNorm`] and [`Linear`]
/// while training, [`Folded`] and [`FrozenLinear`] when frozen.
#[derive(Debug, Clone)]
pub(super) struct Decoder<L, O> {
    laterals: Vec<L>,
    smooth: L,
    answers: O,
}

/// `[n, h, w, c]`, or an error.
fn size(map: &Tensor) -> Result<[usize; 4]> {
    match map.shape() {
        &[n, h, w, c] => Ok([n, h, w, c]),
        other => Err(Error::Shape(format!("a decoder looks at maps, not at {other:?}"))),
    }
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
        let lateral = |(i, ci): (usize, &usize)| {
            let names = (format!("{name}.lateral{}.0", i + 1), format!("{name}.lateral{}.1", i + 1));
            ConvNorm::new(b, init, (&names.0, &names.1), *ci, channels, 1, 1)
        };
        let laterals = stages.iter().enumerate().map(lateral).collect();
        let names = (format!("{name}.smooth.0"), format!("{name}.smooth.1"));
        let smooth = ConvNorm::new(b, init, (&names.0, &names.1), channels, channels, 3, 1);
        let answers = Linear::new(b, init, &format!("{name}.answers"), channels, outputs, false);
        Decoder { laterals, smooth, answers }
    }

    /// Answers `[n, h, w, outputs]` for images of `[h, w]`, from every stage's map.
    pub(super) fn forward(&self, ctx: &mut Context, maps: &[Var], [h, w]: [usize; 2]) -> Result<Var> {
        let mut above: Option<Var> = None;
        for (lateral, map) in self.laterals.iter().zip(maps).rev() {
            let [_, mh, mw, _] = size(map.value())?;
            let added = above.map(|p| ctx.resize(&p, [mh, mw])).transpose()?;
            above = Some(lateral.forward(ctx, map, added.as_ref(), true)?);
        }
        let Some(finest) = above else { return Err(no_maps()) };
        let smooth = self.smooth.forward(ctx, &finest, None, true)?;
        let [n, sh, sw, c] = size(smooth.value())?;
        let answers = self.answers.forward(ctx, &smooth.reshape(&[n * sh * sw, c])?)?;
        let answers = answers.reshape(&[n, sh, sw, self.answers.outputs])?;
        if [sh, sw] == [h, w] { Ok(answers) } else { ctx.resize(&answers, [h, w]) }
    }

    /// The decoder with every norm folded into its convolution.
    pub(super) fn freeze(&self, gpu: &Gpu, params: &Params) -> Result<Decoder<Folded, FrozenLinear>> {
        Ok(Decoder {
            laterals: self.laterals.iter().map(|l| l.fold(gpu, params)).collect::<Result<_>>()?,
            smooth: self.smooth.fold(gpu, params)?,
            answers: self.answers.freeze(gpu, params)?,
        })
    }

    /// Multiply-accumulates for one image, whose stages' maps have these sizes. Enlarging counts as nothing.
    pub(super) fn macs(&self, maps: &[[usize; 2]]) -> u64 {
        let laterals: u64 = self.laterals.iter().zip(maps).map(|(l, [h, w])| l.shape(1, *h, *w).macs()).sum();
        let [h, w] = maps.first().copied().unwrap_or_default();
        let answers = (h * w * self.answers.inputs * self.answers.outputs) as u64;
        laterals + self.smooth.shape(1, h, w).macs() + answers
    }
}

impl Decoder<Folded, FrozenLinear> {
    /// As [`Decoder::forward`], recording nothing.
    pub(super) fn infer(&self, gpu: &Gpu, maps: &[Tensor], [h, w]: [usize; 2]) -> Result<Tensor> {
        let mut above: Option<Tensor> = None;
        for (lateral, map) in self.laterals.iter().zip(maps).rev() {
            let [_, mh, mw, _] = size(map)?;
            let added = above.map(|p| enlarged(gpu, &p, [mh, mw])).transpose()?;
            above = Some(lateral.infer(gpu, map, added.as_ref(), true)?);
        }
        let Some(finest) = above else { return Err(no_maps()) };
        let smooth = self.smooth.infer(gpu, &finest, None, true)?;
        let [n, sh, sw, c] = size(&smooth)?;
        let answers = self.answers.infer(gpu, &smooth.reshape(&[n * sh * sw, c])?)?;
        let outputs = answers.columns();
        enlarged(gpu, &answers.reshape(&[n, sh, sw, outputs])?, [h, w])
    }

    /// Every tensor it computes with.
    pub(super) fn tensors(&self) -> Vec<&Tensor> {
        let convs = self.laterals.iter().chain([&self.smooth]).flat_map(Folded::tensors);
        convs.chain(self.answers.tensors()).collect()
    }
}

fn enlarged(gpu: &Gpu, map: &Tensor, out: [usize; 2]) -> Result<Tensor> {
    let [_, h, w, _] = size(map)?;
    if [h, w] == out { Ok(map.clone()) } else { resize::bilinear(gpu, map, out) }
}

fn no_maps() -> Error {
    Error::Invalid("a decoder needs the maps of at least one stage".into())
}
