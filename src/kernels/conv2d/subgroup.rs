//! The family for software adapters: the lanes of a subgroup load different data and share it by shuffles.
//!
//! A load there is a loop over the lanes, a shuffle with a constant lane is one instruction.

use super::common::{Epilogue, Pass, Tile, geometry};
use super::register::{most_rows, sum_parts};
use crate::gpu::{AdapterClass, Defines, Gpu, Launch, Profile, Source};
#[cfg(feature = "selftest")]
use crate::kernels::case::Permutation;
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const FORWARD: Source =
    Source { name: "conv2d/lanes_forward", text: include_str!("../../../shaders/conv2d/lanes_forward.wgsl") };
const INPUT_GRAD: Source =
    Source { name: "conv2d/lanes_input_grad", text: include_str!("../../../shaders/conv2d/lanes_input_grad.wgsl") };
const WEIGHT_GRAD: Source =
    Source { name: "conv2d/lanes_weight_grad", text: include_str!("../../../shaders/conv2d/lanes_weight_grad.wgsl") };

/// Pixels of a subgroup x channels of a lane, for the forward pass and the input gradient.
pub(super) const TILES: [Tile; 3] =
    [Tile { rows: 32, columns: 8 }, Tile { rows: 32, columns: 4 }, Tile { rows: 32, columns: 2 }];

/// Output channels of a subgroup x units of a lane, for the weight gradient. A unit is four input channels of a tap, or
/// one value where they are no multiple of four; three units are a row of taps that shares its loads ([`WINDOW`]).
pub(super) const WEIGHT_TILES: [Tile; 6] = [
    Tile { rows: 16, columns: WINDOW },
    Tile { rows: 32, columns: WINDOW },
    Tile { rows: 32, columns: 2 },
    Tile { rows: 32, columns: 1 },
    Tile { rows: 16, columns: 2 },
    Tile { rows: 16, columns: 1 },
];

/// Units of a lane that owns a row of taps.
const WINDOW: usize = 3;

/// Pixels of a run, see the forward shader.
const SEGMENTS: [usize; 3] = [32, 16, 8];

/// Invocations of a workgroup.
const WIDTH: usize = 64;

/// Subgroups that keep a processor's threads busy without making their last ones long.
const BUSY: usize = 64;

/// Multiply-adds from which the widest tile pays: with 64 x 64 channels and 256 pixels it is as fast as the next, with 2048 by a
/// tenth faster.
const WIDE: u64 = 4 << 20;

/// Multiply-adds from which a tile pays that is half in vain.
const NARROW: u64 = 1 << 20;

/// The size of every subgroup, where the adapter is software and has but one size that divides the shader's tiles.
pub(super) fn size(profile: &Profile) -> Option<usize> {
    match profile.subgroups {
        Some((min, max)) if min == max && [4, 8].contains(&min) && profile.class == AdapterClass::Software => {
            Some(min as usize)
        }
        _ => None,
    }
}

/// The lanes of an adapter that `serves` has been asked about.
fn lanes_of(gpu: &Gpu) -> usize {
    size(gpu.profile()).unwrap_or(8)
}

/// Whether `tile` may compute `pass` of `s`.
pub(super) fn serves(pass: Pass, s: &Conv2d, tile: Tile, profile: &Profile) -> bool {
    let Some(lanes) = size(profile) else { return false };
    s.groups == 1
        && match pass {
            Pass::Forward => TILES.contains(&tile) && s.ci.is_multiple_of(4),
            Pass::InputGrad => {
                TILES.contains(&tile) && s.co.is_multiple_of(4) && s.ci.is_multiple_of(tile.columns.min(4))
            }
            // A load brings at most one pixel a lane.
            Pass::WeightGrad => {
                let window = (s.kw, s.stride, s.dilation) == (3, 1, 1) && s.ci.is_multiple_of(4);
                WEIGHT_TILES.contains(&tile)
                    && s.co.is_multiple_of(4)
                    && tile.rows <= 4 * lanes
                    && (tile.columns != WINDOW || window)
            }
        }
}

/// What a multiply-add costs with `tile` beside the others, in percent, where none is in vain: wide tiles load less for it. Measured
/// with lavapipe.
fn cost(pass: Pass, tile: Tile) -> usize {
    match (pass, tile.rows, tile.columns) {
        // Wider ones load less still, but their body leaves the processor's cache.
        (Pass::Forward, _, 8) => 150,
        (Pass::Forward, _, 4) => 100,
        (Pass::Forward, ..) => 110,
        (Pass::InputGrad, _, 8) => 87,
        (Pass::InputGrad, _, 4) => 100,
        (Pass::InputGrad, ..) => 128,
        // Taps that share their loads come first, see `choose`.
        (Pass::WeightGrad, 16, WINDOW) => 20,
        (Pass::WeightGrad, _, WINDOW) => 25,
        (Pass::WeightGrad, 32, 2) => 100,
        (Pass::WeightGrad, 32, _) => 115,
        (Pass::WeightGrad, _, 2) => 125,
        (Pass::WeightGrad, ..) => 144,
    }
}

/// Multiply-adds of `pass` of `s` with `tile`, for each pixel and channel (or tap) that all tiles share, with those in vain.
fn padded(pass: Pass, s: &Conv2d, tile: Tile, lanes: usize) -> usize {
    let up = |count: usize, to: usize| count.div_ceil(to) * to;
    match pass {
        Pass::Forward => up(s.co, tile.columns * lanes),
        Pass::InputGrad => up(s.ci, tile.columns * lanes),
        Pass::WeightGrad => {
            let units = s.kh * s.kw * s.ci / vec(s.ci);
            up(s.co, tile.rows) * if tile.columns == WINDOW { units } else { up(units, tile.columns * lanes) }
        }
    }
}

/// The tile for `pass` of `s` that computes it soonest; `None` where another family is better.
pub(super) fn choose(pass: Pass, s: &Conv2d, profile: &Profile) -> Option<Tile> {
    let lanes = size(profile)?;
    let (tiles, pixels, channels) = match pass {
        Pass::Forward => (&TILES[..], s.n * s.oh() * s.ow(), s.co),
        // The widest takes long to compile, and gains nothing where there is little to do.
        Pass::InputGrad => (&TILES[usize::from(s.macs() < WIDE)..], s.n * s.h * s.w, s.ci),
        Pass::WeightGrad => (&WEIGHT_TILES[..], usize::MAX, s.co),
    };
    // With channels for half a tile there must be much to do.
    let worth = pixels >= 32 && (channels >= 16 || channels >= 8 && s.macs() >= NARROW);
    let serving = tiles.iter().copied().filter(|t| worth && serves(pass, s, *t, profile));
    serving.min_by_key(|t| padded(pass, s, *t, lanes) * cost(pass, *t))
}

/// The narrowest tile that serves `pass` of `s` at all.
pub(super) fn narrowest(pass: Pass, s: &Conv2d, profile: &Profile) -> Option<Tile> {
    let tiles = if pass == Pass::WeightGrad { &WEIGHT_TILES[..] } else { &TILES };
    tiles.iter().rev().copied().find(|t| serves(pass, s, *t, profile))
}

fn vec(channels: usize) -> usize {
    if channels.is_multiple_of(4) { 4 } else { 1 }
}

/// Several convolutions of one shape that lie one behind the other.
#[derive(Clone, Copy)]
pub(super) struct Batch(pub usize);

fn forward_defines(s: &Conv2d, epilogue: &Epilogue, tile: Tile, profile: &Profile) -> Defines {
    let lanes = size(profile).unwrap_or(8);
    defines! {
        LANES = lanes, ROWS = tile.rows, COLUMNS = tile.columns, INT64 = profile.int64,
        OVEC = s.co.is_multiple_of(tile.columns.min(4)), POINT = point(s),
        SEGMENT = segment(s, tile), BIAS = epilogue.bias.is_some(), RESIDUAL = epilogue.residual.is_some(), RELU = epilogue.relu,
    }
}

/// Whether there is but one tap.
fn point(s: &Conv2d) -> bool {
    s.kh * s.kw == 1
}

/// The runs of pixels within a row that share their loads between the taps; 0 where they cannot.
fn segment(s: &Conv2d, tile: Tile) -> usize {
    let window = (s.kw, s.stride, s.dilation) == (3, 1, 1) && tile.columns <= 4;
    SEGMENTS.into_iter().find(|run| window && s.ow().is_multiple_of(*run)).unwrap_or(0)
}

/// Records `launch` over `subgroups` subgroups in each of `depth` layers of the grid.
fn dispatch(launch: Launch, gpu: &Gpu, subgroups: usize, depth: usize) -> Result<()> {
    let groups = subgroups.div_ceil(WIDTH / lanes_of(gpu));
    let fold = groups.div_ceil(gpu.profile().max_groups as usize).max(1);
    launch.grid([groups.div_ceil(fold), fold, depth])
}

pub(super) fn forward(
    gpu: &Gpu,
    s: &Conv2d,
    Batch(count): Batch,
    (x, w): (&Tensor, &Tensor),
    (epilogue, sums): (Epilogue, Option<&Tensor>),
    y: &GradTarget,
    tile: Tile,
) -> Result<()> {
    let lanes = lanes_of(gpu);
    let pixels = s.n * s.oh() * s.ow();
    let tiles = s.co.div_ceil(lanes * tile.columns);
    let mut defines = forward_defines(s, &epilogue, tile, gpu.profile());
    // With statistics it would be a kernel more, for small layers alone.
    if sums.is_some() {
        defines.insert("STATS".into(), 1);
        defines.insert("POINT".into(), 0);
    }
    let mut launch = gpu
        .launch(FORWARD, "lanes_forward", &defines)?
        .bind("x", x)
        .bind("w", w)
        .bind("y", &y.tensor)
        .u32("pixels", pixels)
        .u32("tiles", tiles)
        .u32("accumulate", y.flag())
        .turns(s.kh * (1 + s.kw * (1 + s.ci / 4)) + tile.rows)
        .cost(2 * s.macs() * count as u64);
    if let Some(bias) = epilogue.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = epilogue.residual {
        launch = launch.bind("residual", residual);
    }
    if let Some(sums) = sums {
        launch = launch.bind("part", sums);
    }
    dispatch(geometry(launch, s), gpu, tiles * pixels.div_ceil(tile.rows), count)
}

pub(super) fn input_grad(
    gpu: &Gpu,
    s: &Conv2d,
    Batch(count): Batch,
    (dy, w): (&Tensor, &Tensor),
    out: &GradTarget,
    tile: Tile,
) -> Result<()> {
    let lanes = lanes_of(gpu);
    let (rows, columns) = (s.h.div_ceil(s.stride), s.w.div_ceil(s.stride));
    let pixels = s.n * rows * columns;
    let tiles = s.ci.div_ceil(lanes * tile.columns);
    let launch = gpu
        .launch(
            INPUT_GRAD,
            "lanes_input_grad",
            &defines! { LANES = lanes, ROWS = tile.rows, COLUMNS = tile.columns, INT64 = gpu.profile().int64 },
        )?
        .bind("dy", dy)
        .bind("w", w)
        .bind("dx", &out.tensor)
        .u32("n", s.n)
        .u32("rows", rows)
        .u32("columns", columns)
        .u32("pixels", pixels)
        .u32("tiles", tiles)
        .u32("step", s.stride / gcd(s.stride, s.dilation))
        .u32("accumulate", out.flag())
        .turns(s.stride + s.kh * (1 + s.kw * (1 + s.co / 4)) + tile.rows)
        .cost(2 * s.macs() * count as u64);
    dispatch(geometry(launch, s), gpu, tiles * pixels.div_ceil(tile.rows), count * s.stride * s.stride)
}

/// Splits of the weight gradient's sum: enough subgroups to keep the processor busy.
pub(super) fn splits(gpu: &Gpu, s: &Conv2d, Batch(count): Batch, tile: Tile) -> usize {
    let lanes = lanes_of(gpu);
    let tiles = s.co.div_ceil(tile.rows) * (s.kh * s.kw * s.ci / vec(s.ci)).div_ceil(tile.columns * lanes);
    let rows = s.n * s.oh();
    let chunk = rows.div_ceil(BUSY.div_ceil(tiles * count).clamp(1, rows)).min(most_rows(s));
    rows.div_ceil(chunk)
}

/// The weight gradient in `splits` parts, `[splits, count, co, kh, kw, ci]`, whose sum it is.
pub(super) fn weight_grad_parts(
    gpu: &Gpu,
    s: &Conv2d,
    Batch(count): Batch,
    (x, dy): (&Tensor, &Tensor),
    part: &Tensor,
    tile: Tile,
    splits: usize,
) -> Result<()> {
    let lanes = lanes_of(gpu);
    let vec = vec(s.ci);
    let window = tile.columns == WINDOW;
    // A window's unit is a row of taps.
    let (units, of_a_lane) = if window { (s.kh * s.ci / vec, 1) } else { (s.kh * s.kw * s.ci / vec, tile.columns) };
    let (tiles, unit_tiles) = (s.co.div_ceil(tile.rows), units.div_ceil(of_a_lane * lanes));
    let rows = s.n * s.oh();
    let launch = gpu
        .launch(
            WEIGHT_GRAD,
            "lanes_weight_grad",
            &defines! {
                LANES = lanes, ROWS = tile.rows, UNITS = of_a_lane, VEC = vec, WINDOW = window,
                INT64 = gpu.profile().int64,
            },
        )?
        .bind("x", x)
        .bind("dy", dy)
        .bind("part", part)
        .u32("rows", rows)
        .u32("tiles", tiles)
        .u32("units", units)
        .u32("unit_tiles", unit_tiles)
        .u32("splits", splits)
        .u32("chunk", rows.div_ceil(splits))
        .turns(rows.div_ceil(splits) * (1 + s.ow()))
        .cost(2 * s.macs() * count as u64);
    dispatch(geometry(launch, s), gpu, tiles * unit_tiles * splits, count)
}

pub(super) fn weight_grad(gpu: &Gpu, s: &Conv2d, x: &Tensor, dy: &Tensor, out: &GradTarget, tile: Tile) -> Result<()> {
    let splits = splits(gpu, s, Batch(1), tile);
    if splits == 1 && !out.accumulate {
        return weight_grad_parts(gpu, s, Batch(1), (x, dy), &out.tensor, tile, 1);
    }
    let part = Tensor::empty(gpu, &[splits, out.tensor.len()])?;
    weight_grad_parts(gpu, s, Batch(1), (x, dy), &part, tile, splits)?;
    sum_parts(gpu, &part, out)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Every way the shaders are compiled.
#[cfg(feature = "selftest")]
pub(super) fn permutations() -> Vec<Permutation> {
    let mut all = Vec::new();
    let adapters = [4, 8].into_iter().flat_map(|lanes| [0, 1].map(|int64| (lanes, int64)));
    for ((lanes, int64), tile) in adapters.clone().flat_map(|a| TILES.map(|t| (a, t))) {
        for bits in 0..16 {
            let on = |bit: usize| bits >> bit & 1 == 1;
            for segment in [0].into_iter().chain(SEGMENTS).filter(|run| *run == 0 || tile.columns <= 4) {
                for point in [0, 1].into_iter().filter(|point| segment == 0 || *point == 0) {
                    let defines = defines! {
                        LANES = lanes, ROWS = tile.rows, COLUMNS = tile.columns, INT64 = int64, SEGMENT = segment,
                        POINT = point, OVEC = on(0), BIAS = on(1), RESIDUAL = on(2), RELU = on(3),
                    };
                    all.push(Permutation { source: FORWARD, defines });
                }
            }
        }
        let defines = defines! { LANES = lanes, ROWS = tile.rows, COLUMNS = tile.columns, INT64 = int64 };
        all.push(Permutation { source: INPUT_GRAD, defines: defines.clone() });
        for segment in [0].into_iter().chain(SEGMENTS).filter(|run| *run == 0 || tile.columns <= 4) {
            let mut defines = defines.clone();
            for (name, value) in [("STATS", 1), ("SEGMENT", segment as i64), ("OVEC", 1)] {
                defines.insert(name.into(), value);
            }
            for name in ["BIAS", "RESIDUAL", "RELU"] {
                defines.insert(name.into(), 0);
            }
            all.push(Permutation { source: FORWARD, defines });
        }
    }
    for ((lanes, int64), tile) in adapters.flat_map(|a| WEIGHT_TILES.map(|t| (a, t))) {
        let window = tile.columns == WINDOW;
        for vec in [1, 4].into_iter().filter(|vec| tile.rows <= 4 * lanes && (!window || *vec == 4)) {
            let units = if window { 1 } else { tile.columns };
            let defines = defines! {
                LANES = lanes, ROWS = tile.rows, UNITS = units, VEC = vec, WINDOW = window, INT64 = int64,
            };
            all.push(Permutation { source: WEIGHT_GRAD, defines });
        }
    }
    all
}
