//! What the families of kernels share: passes, tiles, what follows a sum, and the geometry of a shape.

use std::fmt;

use crate::gpu::Launch;
use crate::shape::Conv2d;
use crate::tensor::Tensor;

/// Which of the three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// `y` from `x` and `w`.
    Forward,
    /// `dx` from `dy` and `w`.
    InputGrad,
    /// `dw` from `x` and `dy`.
    WeightGrad,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pass::Forward => "forward",
            Pass::InputGrad => "input_grad",
            Pass::WeightGrad => "weight_grad",
        })
    }
}

/// How the outputs are tiled over registers; see the shaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of the tile: pixels, or input channels for the weight gradient.
    pub rows: usize,
    /// Columns of the tile: output channels (forward, weight gradient) or input channels (input gradient).
    pub columns: usize,
}

/// What follows the sum in the same pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// `[co]`, added.
    pub bias: Option<&'a Tensor>,
    /// `[n, oh, ow, co]`, added after the bias.
    pub residual: Option<&'a Tensor>,
    /// `max(0, ·)` at the end.
    pub relu: bool,
}

/// Sets the parameters that the shaders of every variant have.
pub(super) fn geometry<'a>(launch: Launch<'a>, s: &Conv2d) -> Launch<'a> {
    launch
        .u32("h", s.h)
        .u32("w", s.w)
        .u32("ci", s.ci)
        .u32("oh", s.oh())
        .u32("ow", s.ow())
        .u32("co", s.co)
        .u32("kh", s.kh)
        .u32("kw", s.kw)
        .u32("stride", s.stride)
        .u32("padding", s.padding)
        .u32("dilation", s.dilation)
        .u32("ci_group", s.ci / s.groups)
        .u32("co_group", s.co / s.groups)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Taps from one to the next that inputs of one remainder by the stride meet.
pub(super) fn gap(s: &Conv2d) -> usize {
    s.stride / gcd(s.stride, s.dilation)
}

/// Output pixels from one such tap to the next.
pub(super) fn reach(s: &Conv2d) -> usize {
    s.dilation / gcd(s.stride, s.dilation)
}
