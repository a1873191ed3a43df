//! The input gradient at stride 1 as a forward pass over `dy` with the taps turned round.

use super::common::{Epilogue, Pass, Tile};
use super::subgroup::{self, Batch};
use crate::gpu::{Gpu, Profile, Source};
#[cfg(feature = "selftest")]
use crate::kernels::case::Permutation;
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source = Source { name: "conv2d/turn", text: include_str!("../../../shaders/conv2d/turn.wgsl") };

/// The forward pass from `dy` to `dx`; `None` where the gradient is no such convolution.
fn turned(s: &Conv2d) -> Option<Conv2d> {
    let reach = s.dilation * (s.kh - 1);
    let square = s.kh == s.kw && s.stride == 1 && s.groups == 1 && s.padding <= reach;
    square.then(|| Conv2d { h: s.oh(), w: s.ow(), ci: s.co, co: s.ci, padding: reach - s.padding, ..*s })
}

/// Whether `tile` may compute the input gradient of `s` this way.
pub(super) fn serves(pass: Pass, s: &Conv2d, tile: Tile, profile: &Profile) -> bool {
    pass == Pass::InputGrad && turned(s).is_some_and(|t| subgroup::serves(Pass::Forward, &t, tile, profile))
}

/// The tile for the input gradient of `s`; `None` where another family is better. A single pixel's products gain nothing.
pub(super) fn choose(pass: Pass, s: &Conv2d, profile: &Profile) -> Option<Tile> {
    let forward = turned(s).filter(|_| pass == Pass::InputGrad && s.kh > 1)?;
    subgroup::choose(Pass::Forward, &forward, profile)
}

pub(super) fn input_grad(gpu: &Gpu, s: &Conv2d, dy: &Tensor, w: &Tensor, out: &GradTarget, tile: Tile) -> Result<()> {
    // `serves` has been asked.
    let Some(forward) = turned(s) else { return Ok(()) };
    let turned = Tensor::empty(gpu, &forward.w_shape())?;
    gpu.launch(SOURCE, "turn", &defines! {})?
        .bind("w", w)
        .bind("turned", &turned)
        .u32("co", s.co)
        .u32("taps", s.kh * s.kw)
        .u32("ci", s.ci)
        .threads(turned.len())?;
    subgroup::forward(gpu, &forward, Batch(1), (dy, &turned), (Epilogue::default(), None), out, tile)
}

/// Every way the shader is compiled.
#[cfg(feature = "selftest")]
pub(super) fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}
