//! The variant without workgroup memory: operands straight from memory, sums in registers.

use super::common::{Epilogue, Pass, Tile, geometry};
use crate::gpu::{AdapterClass, Defines, Gpu, Source};
use crate::kernels::PART;
#[cfg(feature = "selftest")]
use crate::kernels::case::Permutation;
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const FORWARD: Source = Source { name: "conv2d/forward", text: include_str!("../../../shaders/conv2d/forward.wgsl") };
const INPUT_GRAD: Source =
    Source { name: "conv2d/input_grad", text: include_str!("../../../shaders/conv2d/input_grad.wgsl") };
const WEIGHT_GRAD: Source =
    Source { name: "conv2d/weight_grad", text: include_str!("../../../shaders/conv2d/weight_grad.wgsl") };

/// The tiles the forward pass and the input gradient are compiled for.
pub(super) const TILES: [Tile; 6] = [
    Tile { rows: 8, columns: 8 },
    Tile { rows: 4, columns: 16 },
    Tile { rows: 2, columns: 16 },
    Tile { rows: 4, columns: 8 },
    Tile { rows: 4, columns: 4 },
    Tile { rows: 4, columns: 1 },
];

/// The tiles the weight gradient is compiled for.
pub(super) const WEIGHT_TILES: [Tile; 5] = [
    Tile { rows: 8, columns: 8 },
    Tile { rows: 4, columns: 16 },
    Tile { rows: 4, columns: 8 },
    Tile { rows: 4, columns: 4 },
    Tile { rows: 1, columns: 1 },
];

/// Whether `tile` may serve `columns_group` columns in each of `groups` groups: with several groups a tile must not
/// straddle two of them.
fn fits(tile: Tile, columns_group: usize, groups: usize) -> bool {
    tile.columns == 1 || groups == 1 || columns_group.is_multiple_of(tile.columns)
}

/// Whether `tile` may serve `pass` of `s`.
pub(super) fn serves(pass: Pass, s: &Conv2d, tile: Tile) -> bool {
    match pass {
        Pass::Forward => TILES.contains(&tile) && fits(tile, s.co / s.groups, s.groups),
        Pass::InputGrad => TILES.contains(&tile) && fits(tile, s.ci / s.groups, s.groups),
        Pass::WeightGrad => WEIGHT_TILES.contains(&tile) && fits(tile, s.co / s.groups, s.groups),
    }
}

/// The tile for `pass` of `s` on adapters of `class`.
pub(super) fn choose(pass: Pass, s: &Conv2d, class: AdapterClass) -> Tile {
    match pass {
        Pass::Forward => choose_tile(s.n * s.oh() * s.ow(), s.co / s.groups, s.groups, class),
        Pass::InputGrad => {
            let pixels = s.n * s.h.div_ceil(s.stride) * s.w.div_ceil(s.stride);
            choose_tile(pixels, s.ci / s.groups, s.groups, class)
        }
        Pass::WeightGrad => {
            let (ci, co) = (s.ci / s.groups, s.co / s.groups);
            let usable = |t: &&Tile| fits(**t, co, s.groups) && t.columns <= co && (t.rows <= ci || t.rows == 1);
            WEIGHT_TILES.iter().find(usable).copied().unwrap_or(WEIGHT_TILES[4])
        }
    }
}

/// The widest tile that wastes no column, as tall as the pixels fill: with few pixels a shorter tile keeps more lanes
/// busy.
fn choose_tile(pixels: usize, columns: usize, groups: usize, class: AdapterClass) -> Tile {
    let lanes = if class == AdapterClass::Software { 128 } else { 1 << 15 };
    let usable = |t: &&Tile| fits(**t, columns, groups) && (t.columns <= columns || t.columns <= 4);
    let whole = |t: &Tile| columns.div_ceil(t.columns) * t.columns - columns;
    let busy = |t: &Tile| pixels.div_ceil(t.rows) * columns.div_ceil(t.columns) >= lanes;
    let best = TILES.iter().filter(usable).min_by_key(|t| (whole(t) * 8 > columns, !busy(t)));
    best.copied().unwrap_or(TILES[5])
}

/// Splits of the weight gradient's sum: enough workgroups to fill the adapter.
fn weight_splits(s: &Conv2d, tile: Tile, class: AdapterClass) -> usize {
    let groups = (s.kh * s.kw * (s.ci / s.groups).div_ceil(tile.rows)).div_ceil(64) * s.co.div_ceil(tile.columns);
    let wanted = if class == AdapterClass::Software { 8 } else { 1024 };
    let rows = s.n * s.oh();
    (wanted / groups).clamp(1, rows.div_ceil(4)).max(rows.div_ceil(most_rows(s)))
}

/// Rows of the output that an invocation may add up, see [`PART`].
pub(super) fn most_rows(s: &Conv2d) -> usize {
    (PART / (s.ow() + 1)).max(1)
}

/// The permutation of the forward shader for `s`.
fn forward_defines(s: &Conv2d, epilogue: &Epilogue, tile: Tile) -> Defines {
    let vec = if (s.ci / s.groups).is_multiple_of(4) { 4 } else { 1 };
    let ovec = s.co.is_multiple_of(4) && tile.columns.is_multiple_of(4);
    defines! {
        TM = tile.rows, TN = tile.columns, VEC = vec, OVEC = ovec,
        BIAS = epilogue.bias.is_some(), RESIDUAL = epilogue.residual.is_some(), RELU = epilogue.relu,
    }
}

/// Turns of the loops over the taps and, four at a time where they come in fours, `channels`.
fn turns(s: &Conv2d, channels: usize) -> usize {
    let vectors = if channels.is_multiple_of(4) { channels / 4 } else { channels };
    s.kh * (1 + s.kw * (1 + vectors))
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
    let pixels = s.n * s.oh() * s.ow();
    let tiles = s.co.div_ceil(tile.columns);
    let mut launch = gpu
        .launch(FORWARD, "forward", &forward_defines(s, &epilogue, tile))?
        .bind("x", x)
        .bind("w", w)
        .bind("y", y)
        .u32("pixels", pixels)
        .u32("tiles", tiles)
        .turns(turns(s, s.ci / s.groups))
        .cost(2 * s.macs());
    if let Some(bias) = epilogue.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = epilogue.residual {
        launch = launch.bind("residual", residual);
    }
    geometry(launch, s).groups(tiles * pixels.div_ceil(64 * tile.rows))
}

fn input_grad_defines(s: &Conv2d, tile: Tile) -> Defines {
    let vec = if (s.co / s.groups).is_multiple_of(4) { 4 } else { 1 };
    let wvec = tile.columns.is_multiple_of(4) && (s.ci / s.groups).is_multiple_of(tile.columns);
    defines! { TM = tile.rows, TN = tile.columns, VEC = vec, WVEC = wvec }
}

pub(super) fn input_grad(gpu: &Gpu, s: &Conv2d, dy: &Tensor, w: &Tensor, out: &GradTarget, tile: Tile) -> Result<()> {
    let (rows, columns) = (s.h.div_ceil(s.stride), s.w.div_ceil(s.stride));
    let pixels = s.n * rows * columns;
    let tiles = s.groups * (s.ci / s.groups).div_ceil(tile.columns);
    let launch = gpu
        .launch(INPUT_GRAD, "input_grad", &input_grad_defines(s, tile))?
        .bind("dy", dy)
        .bind("w", w)
        .bind("dx", &out.tensor)
        .u32("n", s.n)
        .u32("rows", rows)
        .u32("columns", columns)
        .u32("pixels", pixels)
        .u32("tiles", tiles)
        .u32("accumulate", out.flag())
        .turns(turns(s, s.co / s.groups))
        .cost(2 * s.macs());
    let groups = tiles * pixels.div_ceil(64 * tile.rows);
    let max = gpu.profile().max_groups as usize;
    let fold = groups.div_ceil(max).max(1);
    geometry(launch, s).grid([groups.div_ceil(fold), fold, s.stride * s.stride])
}

fn weight_grad_defines(s: &Conv2d, tile: Tile) -> Defines {
    let (ci, co) = (s.ci / s.groups, s.co / s.groups);
    let ivec = tile.rows.is_multiple_of(4) && ci.is_multiple_of(tile.rows);
    let ovec = tile.columns.is_multiple_of(4) && co.is_multiple_of(tile.columns);
    defines! { TI = tile.rows, TO = tile.columns, IVEC = ivec, OVEC = ovec }
}

pub(super) fn weight_grad(gpu: &Gpu, s: &Conv2d, x: &Tensor, dy: &Tensor, out: &GradTarget, tile: Tile) -> Result<()> {
    weight_grad_split(gpu, s, x, dy, out, tile, weight_splits(s, tile, gpu.profile().class))
}

/// [`weight_grad`] with a given number of splits of its sum.
pub(super) fn weight_grad_split(
    gpu: &Gpu,
    s: &Conv2d,
    x: &Tensor,
    dy: &Tensor,
    out: &GradTarget,
    tile: Tile,
    splits: usize,
) -> Result<()> {
    let input_tiles = (s.ci / s.groups).div_ceil(tile.rows);
    let tiles = s.co.div_ceil(tile.columns);
    let lanes = s.kh * s.kw * input_tiles;
    let rows = s.n * s.oh();
    let chunk = rows.div_ceil(splits.max(1));
    let splits = rows.div_ceil(chunk);
    let size = out.tensor.len();
    let direct = splits == 1 && !out.accumulate;
    let part = if direct { out.tensor.clone() } else { Tensor::empty(gpu, &[splits, size])? };
    let defines = weight_grad_defines(s, tile);
    let launch = gpu
        .launch(WEIGHT_GRAD, "weight_grad", &defines)?
        .bind("x", x)
        .bind("dy", dy)
        .bind("part", &part)
        .u32("rows", rows)
        .u32("tiles", tiles)
        .u32("input_tiles", input_tiles)
        .u32("lanes", lanes)
        .u32("chunk", chunk)
        .turns(chunk * (s.ow() + 1))
        .cost(2 * s.macs());
    geometry(launch, s).grid([tiles * lanes.div_ceil(64), 1, splits])?;
    if direct {
        return Ok(());
    }
    sum_parts(gpu, &part, out)
}

/// `out (+)= Σ part[z]`, `[splits, …]` → `[…]`, in the order of z.
pub(super) fn sum_parts(gpu: &Gpu, part: &Tensor, out: &GradTarget) -> Result<()> {
    let size = out.tensor.len();
    gpu.launch(WEIGHT_GRAD, "sum_parts", &defines! { TI = 1, TO = 1, IVEC = 0, OVEC = 0 })?
        .bind("parts", part)
        .bind("total", &out.tensor)
        .u32("size", size)
        .u32("parts", part.len() / size)
        .u32("accumulate", out.flag())
        .turns(part.len() / size)
        .threads(size)
}

/// Every way the three shaders are compiled.
#[cfg(feature = "selftest")]
pub(super) fn permutations() -> Vec<Permutation> {
    let mut all = Vec::new();
    let both = [0, 1];
    for tile in TILES {
        let vector = usize::from(tile.columns.is_multiple_of(4));
        for (vec, ovec) in [1, 4].into_iter().flat_map(|v| (0..=vector).map(move |o| (v, o))) {
            for (bias, residual, relu) in
                both.into_iter().flat_map(|b| both.into_iter().flat_map(move |r| both.map(|a| (b, r, a))))
            {
                let defines = defines! {
                    TM = tile.rows, TN = tile.columns, VEC = vec, OVEC = ovec, BIAS = bias, RESIDUAL = residual, RELU = relu,
                };
                all.push(Permutation { source: FORWARD, defines });
            }
            let defines = defines! { TM = tile.rows, TN = tile.columns, VEC = vec, WVEC = ovec };
            all.push(Permutation { source: INPUT_GRAD, defines });
        }
    }
    for tile in WEIGHT_TILES {
        let (i, o) = (i64::from(tile.rows.is_multiple_of(4)), i64::from(tile.columns.is_multiple_of(4)));
        for (ivec, ovec) in (0..=i).flat_map(|i| (0..=o).map(move |o| (i, o))) {
            let defines = defines! { TI = tile.rows, TO = tile.columns, IVEC = ivec, OVEC = ovec };
            all.push(Permutation { source: WEIGHT_GRAD, defines });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::MAX_TURNS;

    const CLASSES: [AdapterClass; 5] = [
        AdapterClass::DiscreteMatrix,
        AdapterClass::Discrete,
        AdapterClass::Apple,
        AdapterClass::Integrated,
        AdapterClass::Software,
    ];

    #[test]
    fn chosen_tiles_never_straddle_groups() {
        for class in CLASSES {
            for (ci, co, groups) in [(8, 8, 8), (16, 32, 2), (6, 9, 3), (64, 64, 1), (1, 16, 1), (3, 7, 1), (48, 24, 2)]
            {
                for (n, size) in [(1, 1), (2, 9), (64, 32), (128, 224)] {
                    let s = Conv2d { groups, ..Conv2d::square(n, size, size, ci, co, 1, 1, 0) };
                    assert!(serves(Pass::Forward, &s, choose(Pass::Forward, &s, class)), "{s:?}");
                    assert!(serves(Pass::InputGrad, &s, choose(Pass::InputGrad, &s, class)), "{s:?}");
                    let tile = choose(Pass::WeightGrad, &s, class);
                    assert!(serves(Pass::WeightGrad, &s, tile) && weight_splits(&s, tile, class) >= 1, "{s:?}");
                }
            }
        }
    }

    #[test]
    fn no_part_of_a_weight_gradient_is_longer_than_an_invocation_may_loop() {
        for (n, size) in [(64, 32), (1 << 12, 32), (1 << 12, 224), (1, 1 << 12), (2, 40_000)] {
            let s = Conv2d::square(n, size, size, 3, 16, 3, 1, 1);
            for (tile, class) in WEIGHT_TILES.into_iter().flat_map(|t| CLASSES.map(|c| (t, c))) {
                let chunk = (n * size).div_ceil(weight_splits(&s, tile, class));
                assert!(chunk * (size + 1) <= MAX_TURNS, "{s:?}: {chunk} rows");
            }
            assert!(most_rows(&s) >= 1 && most_rows(&s) * (size + 1) <= MAX_TURNS);
        }
    }

    #[test]
    fn narrow_outputs_get_narrow_tiles() {
        let s = Conv2d::square(64, 32, 32, 16, 4, 3, 1, 1);
        assert_eq!(choose(Pass::Forward, &s, AdapterClass::Software).columns, 4);
        let s = Conv2d::square(64, 32, 32, 16, 64, 3, 1, 1);
        assert_eq!(choose(Pass::Forward, &s, AdapterClass::Software), Tile { rows: 8, columns: 8 });
    }
}
