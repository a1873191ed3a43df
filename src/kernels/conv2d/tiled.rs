//! The variant for GPUs: tiles of both operands in workgroup memory, sums in registers; see `tiled.wgsl`,
//! `tiled_weight.wgsl` and `shared/tile.wgsl`.

mod plan;

pub(super) use plan::{Plan, Product, TILES, best, choose, in_flight, serves};

#[cfg(any(feature = "selftest", test))]
use plan::SHAPES;
use plan::Shape;

use super::common::{Epilogue, gap, geometry, reach};
use crate::gpu::{Defines, Gpu, Launch, Source};
#[cfg(feature = "selftest")]
use crate::kernels::case::Permutation;
use crate::tensor::{GradTarget, Tensor};
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

/// `sums`: where the partial sums of the batch norm's statistics go, see [`stats_rows`].
pub(super) fn forward(
    gpu: &Gpu,
    plan: &Plan,
    (x, w): (&Tensor, &Tensor),
    (epilogue, sums): (Epilogue, Option<&Tensor>),
    y: &Tensor,
) -> Result<()> {
    let s = plan.s;
    // Parts are plain sums: what follows them follows in the second pass.
    let within = if plan.splits == 1 { epilogue } else { Epilogue::default() };
    let out = GradTarget::fresh(y.clone());
    let part = parts(gpu, plan, &out)?;
    let mut defines = gather_defines(plan.shape, false, s.ci / s.groups, s.co / s.groups, &within);
    defines.insert("STATS".into(), sums.is_some().into());
    let mut launch = gpu.launch(GATHER, "tiled", &defines)?.bind("source", x).bind("w", w).bind("out", &part.tensor);
    if let Some(bias) = within.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = within.residual {
        launch = launch.bind("residual", residual);
    }
    if let Some(sums) = sums {
        launch = launch.bind("part", sums);
    }
    let launch = launch
        .u32("high", s.oh())
        .u32("wide", s.ow())
        .u32("gap", 1)
        .u32("reach", s.dilation)
        .u32("pixels", plan.product.rows)
        .u32("source_size", s.n * s.h * s.w * s.ci);
    dispatch(gpu, launch, plan, &part)?;
    if plan.splits == 1 { Ok(()) } else { sum(gpu, &part.tensor, plan.splits, s.co, epilogue, &out) }
}

/// Rows of the partial sums that [`forward`] can leave for the batch norm after it; `None` where sums are split, so that no
/// workgroup knows a value.
pub(super) fn stats_rows(plan: &Plan) -> Option<usize> {
    (plan.splits == 1 && plan.product.batch == 1).then_some(plan.shape.tile.rows)
}

pub(super) fn input_grad(gpu: &Gpu, plan: &Plan, dy: &Tensor, w: &Tensor, out: &GradTarget) -> Result<()> {
    let s = plan.s;
    let part = parts(gpu, plan, out)?;
    let defines = gather_defines(plan.shape, true, s.co / s.groups, s.ci / s.groups, &Epilogue::default());
    let launch = gpu
        .launch(GATHER, "tiled", &defines)?
        .bind("source", dy)
        .bind("w", w)
        .bind("out", &part.tensor)
        .u32("high", s.h.div_ceil(s.stride))
        .u32("wide", s.w.div_ceil(s.stride))
        .u32("gap", gap(s))
        .u32("reach", reach(s))
        .u32("pixels", plan.product.rows)
        .u32("source_size", s.n * s.oh() * s.ow() * s.co);
    dispatch(gpu, launch, plan, &part)?;
    if plan.splits == 1 { Ok(()) } else { sum(gpu, &part.tensor, plan.splits, s.ci, Epilogue::default(), out) }
}

pub(super) fn weight_grad(gpu: &Gpu, plan: &Plan, x: &Tensor, dy: &Tensor, out: &GradTarget) -> Result<()> {
    let part = parts(gpu, plan, out)?;
    weight_grad_parts(gpu, plan, x, dy, &part)?;
    let channels = plan.s.ci / plan.s.groups;
    if plan.splits == 1 { Ok(()) } else { sum(gpu, &part.tensor, plan.splits, channels, Epilogue::default(), out) }
}

/// The weight gradient as `[splits, batch, co, kh, kw, ci]`, whose sum it is.
pub(super) fn weight_grad_parts(gpu: &Gpu, plan: &Plan, x: &Tensor, dy: &Tensor, part: &GradTarget) -> Result<()> {
    let (s, terms) = (plan.s, plan.shape.terms);
    let (oh, ow) = (s.oh(), s.ow());
    let rest = defines! {
        XVEC = (s.ci / s.groups).is_multiple_of(4), YVEC = (s.co / s.groups).is_multiple_of(4),
    };
    let launch = gpu
        .launch(WEIGHT, "tiled_weight", &plan.shape.defines().into_iter().chain(rest).collect())?
        .bind("x", x)
        .bind("dy", dy)
        .bind("out", &part.tensor)
        .u32("depth", plan.product.terms)
        .u32("rows", plan.product.rows)
        .u32("step_x", terms % ow)
        .u32("step_y", terms / ow % oh)
        .u32("step_n", terms / ow / oh)
        .u32("source_size", s.n * s.h * s.w * s.ci);
    dispatch(gpu, launch, plan, part)
}

/// Where a pass writes: to `out` itself, or each part to its own values.
fn parts(gpu: &Gpu, plan: &Plan, out: &GradTarget) -> Result<GradTarget> {
    match plan.splits {
        1 => Ok(out.clone()),
        splits => Ok(GradTarget::fresh(Tensor::empty(gpu, &[splits, out.tensor.len()])?)),
    }
}

/// Sets what the three passes share, and records the grid: tiles folded over two dimensions; remainders, items and parts
/// in the third.
fn dispatch(gpu: &Gpu, launch: Launch, plan: &Plan, out: &GradTarget) -> Result<()> {
    let p = &plan.product;
    let tiles = p.columns.div_ceil(plan.shape.tile.columns);
    let groups = tiles * p.groups * p.rows.div_ceil(plan.shape.tile.rows);
    geometry(launch, plan.s)
        .u32("tiles", tiles * p.groups)
        .u32("tiles_group", tiles)
        .u32("chunk", plan.chunk)
        .u32("size", p.size)
        .u32("batch", p.batch)
        .u32("accumulate", out.flag())
        .turns(plan.chunk)
        .cost(2 * plan.s.macs() * p.batch as u64)
        .grid(grid(groups, p.classes * p.batch * plan.splits, plan.row.min(gpu.profile().max_groups as usize)))
}

/// `groups` folded into two dimensions of at most `max`, with `deep` in the third.
pub(super) fn grid(groups: usize, deep: usize, max: usize) -> [usize; 3] {
    let fold = groups.div_ceil(max).max(1);
    [groups.div_ceil(fold), fold, deep]
}

fn sum_defines(strands: usize, ovec: bool, epilogue: &Epilogue) -> Defines {
    defines! {
        STRANDS = strands, OVEC = ovec,
        BIAS = epilogue.bias.is_some(), RESIDUAL = epilogue.residual.is_some(), RELU = epilogue.relu,
    }
}

/// `out (+)= epilogue(Σ parts)`, where the last dimension of `out` is `channels`.
pub(super) fn sum(
    gpu: &Gpu,
    part: &Tensor,
    parts: usize,
    channels: usize,
    epilogue: Epilogue,
    out: &GradTarget,
) -> Result<()> {
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
        .u32("accumulate", out.flag())
        .turns(parts);
    if let Some(bias) = epilogue.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = epilogue.residual {
        launch = launch.bind("residual", residual);
    }
    launch.groups(size.div_ceil(if strands > 1 { 32 } else { 64 }))
}

/// Every way the three shaders are compiled.
#[cfg(feature = "selftest")]
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
            let rest =
                defines! { GRAD = 0, VEC = vec, DEEP = deep, OVEC = ovec, BIAS = 0, RESIDUAL = 0, RELU = 0, STATS = 1 };
            push(GATHER, &tile, rest);
        }
        for bits in 0..4 {
            push(WEIGHT, &tile, defines! { XVEC = on(bits, 0), YVEC = on(bits, 1) });
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
            let parsed =
                |source, rest: Defines| parse(source, &shape.defines().into_iter().chain(rest).collect()).unwrap();
            let gather = |grad, epilogue| {
                let rest = defines! {
                    GRAD = grad, VEC = 4, DEEP = 1, OVEC = 1, BIAS = epilogue, RESIDUAL = epilogue, RELU = epilogue,
                };
                parsed(GATHER, rest).interface("tiled").unwrap()
            };
            let stats = defines! {
                GRAD = 0, VEC = 4, DEEP = 1, OVEC = 1, BIAS = 0, RESIDUAL = 0, RELU = 0, STATS = 1,
            };
            let stats = parsed(GATHER, stats).interface("tiled").unwrap();
            // The sums of every line fit where the tiles were.
            let invocations: u32 = stats.workgroup_size.iter().product();
            assert!(invocations as usize * shape.columns * 4 <= stats.workgroup_bytes as usize);
            let weight = parsed(WEIGHT, defines! { XVEC = 1, YVEC = 1 }).interface("tiled_weight").unwrap();
            for interface in [gather(0, 1), gather(1, 0), stats, weight] {
                let invocations: u32 = interface.workgroup_size.iter().product();
                assert!((64..=256).contains(&invocations), "{invocations} invocations");
                assert!(interface.workgroup_bytes <= 16 << 10, "{} bytes", interface.workgroup_bytes);
                // The lanes fetch whole lines of either operand, and all lanes are busy.
                let (width, terms) = (invocations as usize, shape.terms);
                for (lines, line) in [(shape.tile.rows, terms), (shape.tile.columns, terms)] {
                    assert!(width % (line / 4) == 0 && lines % (width / (line / 4)) == 0);
                    assert!(width % (lines / 4) == 0 && terms % (width / (lines / 4)) == 0);
                }
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
