//! 2-D convolution: forward with a fused epilogue, and both gradients.

use crate::gpu::{AdapterClass, Defines, Gpu, Source};
use crate::shape::Conv2d;
use crate::tensor::{Target, Tensor};
use crate::{Error, Result, defines};

const FORWARD: Source = Source { name: "conv2d/forward", text: include_str!("../../shaders/conv2d/forward.wgsl") };
const INPUT_GRAD: Source =
    Source { name: "conv2d/input_grad", text: include_str!("../../shaders/conv2d/input_grad.wgsl") };
const WEIGHT_GRAD: Source =
    Source { name: "conv2d/weight_grad", text: include_str!("../../shaders/conv2d/weight_grad.wgsl") };

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

/// How the outputs are tiled over registers; see the shaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of the tile: pixels, or input channels for the weight gradient.
    pub rows: usize,
    /// Columns of the tile: output channels (forward, weight gradient) or input channels (input gradient).
    pub columns: usize,
}
