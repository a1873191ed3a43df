//! A pyramid of the trunk's maps, from coarse to fine: the top-down way of feature pyramid networks (Lin et al. 2017, arXiv
//! 1612.03144).
//!
//! `p_L = relu(l_L(c_L))`, `p_i = relu(l_i(c_i) + up(p_{i+1}))` with 1x1 convolutions `l` and bilinear enlargement `up`.

use super::context::Context;
use super::init::Initializer;
use super::layers::{ConvNorm, Folded};
use crate::gpu::Gpu;
use crate::kernels::resize;
use crate::params::{Builder, Params};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// The lateral layers, from fine to coarse. `L` is [`ConvNorm`] while training, [`Folded`] when frozen.
#[derive(Debug, Clone)]
pub(super) struct Laterals<L>(Vec<L>);

/// `[h, w]` of a map `[n, h, w, c]`, or an error.
pub(super) fn map_size(map: &Tensor) -> Result<[usize; 2]> {
    match map.shape() {
        &[_, h, w, _] => Ok([h, w]),
        other => Err(Error::Shape(format!("a pyramid is made of maps, not of {other:?}"))),
    }
}

/// The map in another size, or as it is.
pub(super) fn enlarged(gpu: &Gpu, map: &Tensor, out: [usize; 2]) -> Result<Tensor> {
    if map_size(map)? == out { Ok(map.clone()) } else { resize::bilinear(gpu, map, out) }
}

impl Laterals<ConvNorm> {
    /// Laterals called `name.lateral<i>` over stages of these channels, of which the first is number `first`, from 0.
    pub(super) fn new(
        b: &mut Builder,
        init: &mut Initializer,
        name: &str,
        stages: &[usize],
        first: usize,
        channels: usize,
    ) -> Self {
        let lateral = |(i, ci): (usize, &usize)| {
            let number = first + i + 1;
            let names = (format!("{name}.lateral{number}.0"), format!("{name}.lateral{number}.1"));
            ConvNorm::new(b, init, (&names.0, &names.1), *ci, channels, 1, 1)
        };
        Laterals(stages.iter().enumerate().map(lateral).collect())
    }

    /// The pyramid over `maps`, from fine to coarse.
    pub(super) fn forward(&self, ctx: &mut Context, maps: &[Var]) -> Result<Vec<Var>> {
        let mut levels: Vec<Var> = Vec::new();
        for (lateral, map) in self.0.iter().zip(maps).rev() {
            let size = map_size(map.value())?;
            // Maps of dilated stages are of one size.
            let fitted = |above: &Var| {
                if map_size(above.value())? == size { Ok(above.clone()) } else { ctx.resize(above, size) }
            };
            let added = levels.last().map(fitted).transpose()?;
            levels.push(lateral.forward(ctx, map, added.as_ref(), true)?);
        }
        levels.reverse();
        Ok(levels)
    }

    pub(super) fn fold(&self, gpu: &Gpu, params: &Params) -> Result<Laterals<Folded>> {
        Ok(Laterals(self.0.iter().map(|l| l.fold(gpu, params)).collect::<Result<_>>()?))
    }

    /// Multiply-accumulates over maps of these sizes. Enlarging counts as nothing.
    pub(super) fn macs(&self, maps: &[[usize; 2]]) -> u64 {
        self.0.iter().zip(maps).map(|(l, [h, w])| l.shape(1, *h, *w).macs()).sum()
    }
}

impl<L> Laterals<L> {
    /// The levels.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Laterals<Folded> {
    /// As [`Laterals::forward`], recording nothing.
    pub(super) fn infer(&self, gpu: &Gpu, maps: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut levels: Vec<Tensor> = Vec::new();
        for (lateral, map) in self.0.iter().zip(maps).rev() {
            let size = map_size(map)?;
            let added = levels.last().map(|above| enlarged(gpu, above, size)).transpose()?;
            levels.push(lateral.infer(gpu, map, added.as_ref(), true)?);
        }
        levels.reverse();
        Ok(levels)
    }

    /// Every tensor it computes with.
    pub(super) fn tensors(&self) -> Vec<&Tensor> {
        self.0.iter().flat_map(Folded::tensors).collect()
    }
}
