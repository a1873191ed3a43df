//! The variant for GPUs: tiles of both operands in workgroup memory, sums in registers; see `tiled.wgsl`,
//! `tiled_weight.wgsl` and `shared/tile.wgsl`.

mod plan;

pub(super) use plan::{TILES, choose, serves};

use plan::{Product, SHAPES, Shape};

use super::register::Tile;
use super::{Epilogue, Pass, gap, geometry, reach};
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::kernels::case::Permutation;
use crate::shape::Conv2d;
use crate::tensor::{Target, Tensor};
use crate::{Result, defines};

const GATHER: Source = Source { name: "conv2d/tiled", text: include_str!("../../../shaders/conv2d/tiled.wgsl") };
const WEIGHT: Source =
    Source { name: "conv2d/tiled_weight", text: include_str!("../../../shaders/conv2d/tiled_weight.wgsl") };
const SUM: Source = Source { name: "conv2d/tiled_sum", text: include_str!("../../../shaders/conv2d/tiled_sum.wgsl") };

fn gather_defines(shape: &Shape, grad: bool, channels: usize, columns: usize, epilogue: &Epilogue) -> Defines {
    let vec = if channels.is_multiple_of(4) { 4 } else { 1 };
    let rest = defines! {
        GRAD = grad, VEC = vec, DEEP = vec == 4 && channels >= shape.terms, OVEC = columns.is_multiple_of(4),
        BIAS = epilogue.bias.is_some(), RESIDUAL = epilogue.residual.is_some(), RELU = epilogue.relu,
    };
    shape.defines().into_iter().chain(rest).collect()
}

pub(super) fn forward(
    gpu: &Gpu,
    s: &Conv2d,
    x: &Tensor,
    w: &Tensor,
    epilogue: Epilogue,
    y: &Tensor,
    tile: Tile,
) -> Result<()> {
    let splits = Shape::of(tile).splits(&Product::of(Pass::Forward, s), gpu.profile().class);
    forward_split(gpu, s, x, w, epilogue, y, tile, splits)
}

/// [`forward`] with a given number of parts of each sum.
pub(super) fn forward_split(
    gpu: &Gpu,
    s: &Conv2d,
    x: &Tensor,
    w: &Tensor,
    epilogue: Epilogue,
    y: &Tensor,
    tile: Tile,
    splits: usize,
) -> Result<()> {
    let (shape, p) = (Shape::of(tile), Product::of(Pass::Forward, s));
    let (splits, chunk) = shape.chunks(&p, splits);
    // Parts are plain sums: what follows them follows in the second pass.
    let (part, within) = match splits {
        1 => (y.clone(), epilogue),
        _ => (Tensor::empty(gpu, &[splits, p.size])?, Epilogue::default()),
    };
    let columns = s.co / s.groups;
    let mut launch = gpu
        .launch(GATHER, "tiled", &gather_defines(shape, false, s.ci / s.groups, columns, &within))?
        .bind("source", x)
        .bind("w", w)
        .bind("out", &part);
    if let Some(bias) = within.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = within.residual {
        launch = launch.bind("residual", residual);
    }
    let launch = launch
        .u32("high", s.oh())
        .u32("wide", s.ow())
        .u32("gap", 1)
        .u32("reach", s.dilation)
        .u32("accumulate", 0)
        .u32("pixels", p.rows);
    dispatch(gpu, launch, s, shape, &p, splits, chunk)?;
    if splits == 1 { Ok(()) } else { sum(gpu, &part, splits, s.co, epilogue, &Target::fresh(y.clone())) }
}

pub(super) fn input_grad(gpu: &Gpu, s: &Conv2d, dy: &Tensor, w: &Tensor, out: &Target, tile: Tile) -> Result<()> {
    let splits = Shape::of(tile).splits(&Product::of(Pass::InputGrad, s), gpu.profile().class);
    input_grad_split(gpu, s, dy, w, out, tile, splits)
}

/// [`input_grad`] with a given number of parts of each sum.
pub(super) fn input_grad_split(
    gpu: &Gpu,
    s: &Conv2d,
    dy: &Tensor,
    w: &Tensor,
    out: &Target,
    tile: Tile,
    splits: usize,
) -> Result<()> {
    let (shape, p) = (Shape::of(tile), Product::of(Pass::InputGrad, s));
    let (splits, chunk) = shape.chunks(&p, splits);
    let part = parts(gpu, out, splits)?;
    let defines = gather_defines(shape, true, s.co / s.groups, s.ci / s.groups, &Epilogue::default());
    let launch = gpu
        .launch(GATHER, "tiled", &defines)?
        .bind("source", dy)
        .bind("w", w)
        .bind("out", &part.tensor)
        .u32("high", s.h.div_ceil(s.stride))
        .u32("wide", s.w.div_ceil(s.stride))
        .u32("gap", gap(s))
        .u32("reach", reach(s))
        .u32("accumulate", part.flag())
        .u32("pixels", p.rows);
    dispatch(gpu, launch, s, shape, &p, splits, chunk)?;
    if splits == 1 { Ok(()) } else { sum(gpu, &part.tensor, splits, s.ci, Epilogue::default(), out) }
}

fn weight_defines(shape: &Shape, s: &Conv2d) -> Defines {
    let rest = defines! {
        XVEC = (s.ci / s.groups).is_multiple_of(4), YVEC = (s.co / s.groups).is_multiple_of(4),
        ROW = s.ow().is_multiple_of(4),
    };
    shape.defines().into_iter().chain(rest).collect()
}

pub(super) fn weight_grad(gpu: &Gpu, s: &Conv2d, x: &Tensor, dy: &Tensor, out: &Target, tile: Tile) -> Result<()> {
    let splits = Shape::of(tile).splits(&Product::of(Pass::WeightGrad, s), gpu.profile().class);
    weight_grad_split(gpu, s, x, dy, out, tile, splits)
}

/// [`weight_grad`] with a given number of parts of each sum.
pub(super) fn weight_grad_split(
    gpu: &Gpu,
    s: &Conv2d,
    x: &Tensor,
    dy: &Tensor,
    out: &Target,
    tile: Tile,
    splits: usize,
) -> Result<()> {
    let (shape, p) = (Shape::of(tile), Product::of(Pass::WeightGrad, s));
    let (splits, chunk) = shape.chunks(&p, splits);
    let part = parts(gpu, out, splits)?;
    let (oh, ow) = (s.oh(), s.ow());
    let launch = gpu
        .launch(WEIGHT, "tiled_weight", &weight_defines(shape, s))?
        .bind("x", x)
        .bind("dy", dy)
        .bind("out", &part.tensor)
        .u32("depth", p.terms)
        .u32("rows", p.rows)
        .u32("step_x", shape.terms % ow)
        .u32("step_y", shape.terms / ow % oh)
        .u32("step_n", shape.terms / ow / oh)
        .u32("accumulate", part.flag());
    dispatch(gpu, launch, s, shape, &p, splits, chunk)?;
    if splits == 1 { Ok(()) } else { sum(gpu, &part.tensor, splits, s.ci / s.groups, Epilogue::default(), out) }
}

/// Where a pass writes: to `out` itself, or each part to its own values.
fn parts(gpu: &Gpu, out: &Target, splits: usize) -> Result<Target> {
    match splits {
        1 => Ok(out.clone()),
        _ => Ok(Target::fresh(Tensor::empty(gpu, &[splits, out.tensor.len()])?)),
    }
}

/// Sets what the three passes share, and records the grid: tiles folded over two dimensions, remainders and parts in the
/// third.
fn dispatch(
    gpu: &Gpu,
    launch: Launch,
    s: &Conv2d,
    shape: &Shape,
    p: &Product,
    splits: usize,
    chunk: usize,
) -> Result<()> {
    let tiles = p.columns.div_ceil(shape.tile.columns);
    let launch = geometry(launch, s)
        .u32("tiles", tiles * p.groups)
        .u32("tiles_group", tiles)
        .u32("chunk", chunk)
        .u32("size", p.size)
        .cost(2 * s.macs());
    launch.grid(grid(tiles * p.groups * p.rows.div_ceil(shape.tile.rows), p.classes * splits, gpu.profile().max_groups))
}

/// `groups` folded into two dimensions of at most `max`, with `deep` in the third.
fn grid(groups: usize, deep: usize, max: u32) -> [usize; 3] {
    let fold = groups.div_ceil(max as usize).max(1);
    [groups.div_ceil(fold), fold, deep]
}

fn sum_defines(strands: usize, ovec: bool, epilogue: &Epilogue) -> Defines {
    defines! {
        STRANDS = strands, OVEC = ovec,
        BIAS = epilogue.bias.is_some(), RESIDUAL = epilogue.residual.is_some(), RELU = epilogue.relu,
    }
}

/// `out (+)= epilogue(Σ parts)`, where the last dimension of `out` is `channels`.
fn sum(gpu: &Gpu, part: &Tensor, parts: usize, channels: usize, epilogue: Epilogue, out: &Target) -> Result<()> {
    let vec = if channels.is_multiple_of(4) && out.tensor.len().is_multiple_of(4) { 4 } else { 1 };
    let plain = epilogue.bias.is_none() && epilogue.residual.is_none() && !epilogue.relu;
    let strands = if plain && parts >= 16 { 8 } else { 1 };
    let size = out.tensor.len() / vec;
    let mut launch = gpu
        .launch(SUM, "tiled_sum", &sum_defines(strands, vec == 4, &epilogue))?
        .bind("parts", part)
        .bind("out", &out.tensor)
        .u32("size", size)
        .u32("parts", parts)
        .u32("channels", channels / vec)
        .u32("accumulate", out.flag());
    if let Some(bias) = epilogue.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = epilogue.residual {
        launch = launch.bind("residual", residual);
    }
    launch.groups(size.div_ceil(if strands > 1 { 32 } else { 64 }))
}

/// Every way the three shaders are compiled.
pub(super) fn permutations() -> Vec<Permutation> {
    let mut all = Vec::new();
    let mut push = |source, of: &Defines, rest: Defines| {
        all.push(Permutation { source, defines: of.clone().into_iter().chain(rest).collect() });
    };
    let on = |bits: i64, bit: i64| bits >> bit & 1;
    for shape in SHAPES {
        let tile = shape.defines();
        for (vec, deep, ovec) in [(4, 1), (4, 0), (1, 0)].into_iter().flat_map(|(v, d)| [0, 1].map(|o| (v, d, o))) {
            for bits in 0..8 {
                let rest = defines! {
                    GRAD = 0, VEC = vec, DEEP = deep, OVEC = ovec,
                    BIAS = on(bits, 0), RESIDUAL = on(bits, 1), RELU = on(bits, 2),
                };
                push(GATHER, &tile, rest);
            }
            let rest = defines! { GRAD = 1, VEC = vec, DEEP = deep, OVEC = ovec, BIAS = 0, RESIDUAL = 0, RELU = 0 };
            push(GATHER, &tile, rest);
        }
        for bits in 0..8 {
            push(WEIGHT, &tile, defines! { XVEC = on(bits, 0), YVEC = on(bits, 1), ROW = on(bits, 2) });
        }
    }
    for ovec in [0, 1] {
        for bits in 0..8 {
            let rest = defines! {
                STRANDS = 1, OVEC = ovec, BIAS = on(bits, 0), RESIDUAL = on(bits, 1), RELU = on(bits, 2),
            };
            push(SUM, &rest, Defines::new());
        }
        push(SUM, &defines! { STRANDS = 8, OVEC = ovec, BIAS = 0, RESIDUAL = 0, RELU = 0 }, Defines::new());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::parse;

    #[test]
    fn every_shader_keeps_to_the_limits_that_all_adapters_have() {
        for shape in SHAPES {
            let rest = defines! { GRAD = 0, VEC = 4, DEEP = 1, OVEC = 1, BIAS = 1, RESIDUAL = 1, RELU = 1 };
            let gather = parse(GATHER, &shape.defines().into_iter().chain(rest).collect()).unwrap();
            let rest = defines! { XVEC = 1, YVEC = 1, ROW = 1 };
            let weight = parse(WEIGHT, &shape.defines().into_iter().chain(rest).collect()).unwrap();
            for interface in [gather.interface("tiled").unwrap(), weight.interface("tiled_weight").unwrap()] {
                let invocations: u32 = interface.workgroup_size.iter().product();
                assert!((64..=256).contains(&invocations), "{invocations} invocations");
                assert!(interface.workgroup_bytes <= 16 << 10, "{} bytes", interface.workgroup_bytes);
                // Every block of a tile has a lane that fetches it.
                let blocks = (shape.tile.rows + shape.tile.columns) / 4 * (shape.terms / 4);
                assert!(blocks <= invocations as usize, "{blocks} blocks, {invocations} lanes");
            }
        }
    }

    #[test]
    fn long_rows_of_groups_are_folded() {
        for groups in [1, 65_535, 65_536, 1_000_000] {
            let [x, y, z] = grid(groups, 3, 65_535);
            assert!(x <= 65_535 && y <= 65_535 && x * y >= groups && x * y < groups + y && z == 3);
        }
    }
}
