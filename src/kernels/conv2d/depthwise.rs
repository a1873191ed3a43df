//! Depthwise convolution, one filter a channel: a family of its own on every adapter, as there is no product to tile.

use super::common::{Epilogue, gap, reach};
use super::register::{most_rows, sum_parts};
use crate::gpu::{AdapterClass, Defines, Gpu, Launch, Source};
#[cfg(feature = "selftest")]
use crate::kernels::case::Permutation;
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source =
    Source { name: "conv2d/depthwise", text: include_str!("../../../shaders/conv2d/depthwise.wgsl") };

/// Pixels of an invocation: PIXELS in the shader.
const PIXELS: usize = 4;

/// Whether the family may compute any pass of `s`.
pub(super) fn serves(s: &Conv2d) -> bool {
    s.groups == s.ci && s.groups == s.co && s.stride < 256
}

/// Channels of an invocation.
fn vec(s: &Conv2d) -> usize {
    if s.co.is_multiple_of(4) { 4 } else { 1 }
}

fn with(s: &Conv2d, epilogue: &Epilogue) -> Defines {
    defines! {
        VEC = vec(s), BIAS = epilogue.bias.is_some(), RESIDUAL = epilogue.residual.is_some(), RELU = epilogue.relu,
    }
}

/// Sets the parameters that all entries have.
fn geometry<'a>(launch: Launch<'a>, s: &Conv2d) -> Launch<'a> {
    launch
        .u32("h", s.h)
        .u32("w", s.w)
        .u32("oh", s.oh())
        .u32("ow", s.ow())
        .u32("kh", s.kh)
        .u32("kw", s.kw)
        .u32("stride", s.stride)
        .u32("padding", s.padding)
        .u32("dilation", s.dilation)
        .u32("vectors", s.co / vec(s))
        .u32("gap", gap(s))
        .u32("reach", reach(s))
        .cost(2 * s.macs())
}

/// Records `launch` with one invocation for each of `count` items in each of `deep` layers.
fn dispatch(gpu: &Gpu, launch: Launch, count: usize, deep: usize) -> Result<()> {
    let groups = count.div_ceil(64);
    let fold = groups.div_ceil(gpu.profile().max_groups as usize).max(1);
    launch.grid([groups.div_ceil(fold), fold, deep])
}

pub(super) fn forward(gpu: &Gpu, s: &Conv2d, x: &Tensor, w: &Tensor, epilogue: Epilogue, y: &Tensor) -> Result<()> {
    let (rows, runs) = (s.n * s.oh(), s.ow().div_ceil(PIXELS));
    let mut launch = gpu
        .launch(SOURCE, "depthwise", &with(s, &epilogue))?
        .bind("x", x)
        .bind("w", w)
        .bind("y", y)
        .u32("rows", rows)
        .u32("runs", runs)
        .u32("chunk", 0)
        .u32("accumulate", 0);
    if let Some(bias) = epilogue.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = epilogue.residual {
        launch = launch.bind("residual", residual);
    }
    dispatch(gpu, geometry(launch, s), rows * runs * s.co / vec(s), 1)
}

pub(super) fn input_grad(gpu: &Gpu, s: &Conv2d, dy: &Tensor, w: &Tensor, out: &GradTarget) -> Result<()> {
    let (rows, runs) = (s.n * s.h.div_ceil(s.stride), s.w.div_ceil(s.stride).div_ceil(PIXELS));
    let launch = gpu
        .launch(SOURCE, "depthwise_input", &with(s, &Epilogue::default()))?
        .bind("dy", dy)
        .bind("w", w)
        .bind("dx", &out.tensor)
        .u32("rows", rows)
        .u32("runs", runs)
        .u32("chunk", 0)
        .u32("accumulate", out.flag());
    dispatch(gpu, geometry(launch, s), rows * runs * s.ci / vec(s), s.stride * s.stride)
}

pub(super) fn weight_grad(gpu: &Gpu, s: &Conv2d, x: &Tensor, dy: &Tensor, out: &GradTarget) -> Result<()> {
    let rows = s.n * s.oh();
    let lanes = s.kh * s.kw * s.co / vec(s);
    // Enough invocations to fill the adapter, of at least eight rows each.
    let wanted = if gpu.profile().class == AdapterClass::Software { 1 << 9 } else { 1 << 15 };
    let chunk = rows.div_ceil((wanted / lanes).clamp(1, rows.div_ceil(8))).min(most_rows(s));
    let splits = rows.div_ceil(chunk);
    let direct = splits == 1 && !out.accumulate;
    let part = if direct { out.tensor.clone() } else { Tensor::empty(gpu, &[splits, out.tensor.len()])? };
    let launch = gpu
        .launch(SOURCE, "depthwise_weight", &with(s, &Epilogue::default()))?
        .bind("x", x)
        .bind("gradient", dy)
        .bind("part", &part)
        .u32("rows", rows)
        .u32("runs", 0)
        .u32("chunk", chunk)
        .u32("accumulate", 0)
        .turns(chunk * (s.ow() + 1));
    dispatch(gpu, geometry(launch, s), lanes, splits)?;
    if direct { Ok(()) } else { sum_parts(gpu, &part, out) }
}

/// Every way the shader is compiled.
#[cfg(feature = "selftest")]
pub(super) fn permutations() -> Vec<Permutation> {
    let all = [1, 4].into_iter().flat_map(|vec| (0..8).map(move |bits| (vec, bits)));
    all.map(|(vec, bits)| Permutation {
        source: SOURCE,
        defines: defines! { VEC = vec, BIAS = bits & 1, RESIDUAL = bits >> 1 & 1, RELU = bits >> 2 & 1 },
    })
    .collect()
}
