//! The lanes family on input channels that are no multiple of four: padded with zeros first.

use super::common::{Epilogue, Pass, Tile};
use super::subgroup::{self, Batch};
use crate::gpu::{Gpu, Profile, Source};
#[cfg(feature = "selftest")]
use crate::kernels::case::Permutation;
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source = Source { name: "conv2d/pad", text: include_str!("../../../shaders/conv2d/pad.wgsl") };

/// The convolution with padded channels; `None` where they need no padding.
fn padded(s: &Conv2d) -> Option<Conv2d> {
    let needed = s.groups == 1 && !s.ci.is_multiple_of(4);
    needed.then(|| Conv2d { ci: s.ci.next_multiple_of(4), ..*s })
}

/// Whether `tile` may compute `pass` of `s` this way. An input gradient has nothing to pad: it sums over output channels.
pub(super) fn serves(pass: Pass, s: &Conv2d, tile: Tile, profile: &Profile) -> bool {
    pass != Pass::InputGrad && padded(s).is_some_and(|p| subgroup::serves(pass, &p, tile, profile))
}

/// The tile for `pass` of `s`; `None` where another family is better. At three channels a quarter of the sums is in vain.
pub(super) fn choose(pass: Pass, s: &Conv2d, profile: &Profile) -> Option<Tile> {
    let wide = padded(s).filter(|_| pass != Pass::InputGrad && s.ci >= 3 && s.kh > 1)?;
    subgroup::choose(pass, &wide, profile)
}

/// `x` `[…, c]` with its channels padded.
fn pad(gpu: &Gpu, x: &Tensor, channels: usize) -> Result<Tensor> {
    let rows = x.len() / channels;
    let wide = Tensor::empty(gpu, &[rows, channels.next_multiple_of(4)])?;
    gpu.launch(SOURCE, "pad", &defines! {})?
        .bind("x", x)
        .bind("padded", &wide)
        .u32("rows", rows)
        .u32("channels", channels)
        .u32("accumulate", 0)
        .turns(channels.div_ceil(4))
        .threads(rows)?;
    Ok(wide)
}

pub(super) fn forward(
    gpu: &Gpu,
    s: &Conv2d,
    (x, w): (&Tensor, &Tensor),
    epilogue: (Epilogue, Option<&Tensor>),
    y: &GradTarget,
    tile: Tile,
) -> Result<()> {
    // `serves` has been asked.
    let Some(wide) = padded(s) else { return Ok(()) };
    subgroup::forward(gpu, &wide, Batch(1), (&pad(gpu, x, s.ci)?, &pad(gpu, w, s.ci)?), epilogue, y, tile)
}

pub(super) fn weight_grad(gpu: &Gpu, s: &Conv2d, x: &Tensor, dy: &Tensor, out: &GradTarget, tile: Tile) -> Result<()> {
    let Some(wide) = padded(s) else { return Ok(()) };
    let gradient = Tensor::empty(gpu, &wide.w_shape())?;
    subgroup::weight_grad(gpu, &wide, &pad(gpu, x, s.ci)?, dy, &GradTarget::fresh(gradient.clone()), tile)?;
    gpu.launch(SOURCE, "trim", &defines! {})?
        .bind("wide", &gradient)
        .bind("y", &out.tensor)
        .u32("rows", out.tensor.len() / s.ci)
        .u32("channels", s.ci)
        .u32("accumulate", out.flag())
        .threads(out.tensor.len())
}

/// Every way the shader is compiled.
#[cfg(feature = "selftest")]
pub(super) fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}
