//! 2-D convolution: forward with a fused epilogue, and both gradients.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{added, destination};
use crate::gpu::{AdapterClass, Defines, Gpu, Source};
use crate::shape::Conv2d;
use crate::tensor::{Target, Tensor};
use crate::{Error, Result, defines, twin};

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

/// The tiles the forward pass and the input gradient are compiled for.
pub const TILES: [Tile; 6] = [
    Tile { rows: 8, columns: 8 },
    Tile { rows: 4, columns: 16 },
    Tile { rows: 2, columns: 16 },
    Tile { rows: 4, columns: 8 },
    Tile { rows: 4, columns: 4 },
    Tile { rows: 4, columns: 1 },
];

/// The tiles the weight gradient is compiled for.
pub const WEIGHT_TILES: [Tile; 5] = [
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

/// The forward tile for `s` on adapters of `class`.
pub fn choose_forward(s: &Conv2d, class: AdapterClass) -> Tile {
    choose(s.n * s.oh() * s.ow(), s.co / s.groups, s.groups, class)
}

/// The input gradient's tile for `s`.
pub fn choose_input_grad(s: &Conv2d, class: AdapterClass) -> Tile {
    let pixels = s.n * s.h.div_ceil(s.stride) * s.w.div_ceil(s.stride);
    choose(pixels, s.ci / s.groups, s.groups, class)
}

/// The widest tile that wastes no column, as tall as the pixels fill: with few pixels a shorter tile keeps more lanes
/// busy.
fn choose(pixels: usize, columns: usize, groups: usize, class: AdapterClass) -> Tile {
    let lanes = if class == AdapterClass::Software { 128 } else { 1 << 15 };
    let usable = |t: &&Tile| fits(**t, columns, groups) && (t.columns <= columns || t.columns <= 4);
    let whole = |t: &Tile| columns.div_ceil(t.columns) * t.columns - columns;
    let busy = |t: &Tile| pixels.div_ceil(t.rows) * columns.div_ceil(t.columns) >= lanes;
    let best = TILES.iter().filter(usable).min_by_key(|t| (whole(t) * 8 > columns, !busy(t)));
    best.copied().unwrap_or(TILES[5])
}

/// The weight gradient's tile and the number of splits of its sum.
pub fn choose_weight_grad(s: &Conv2d, class: AdapterClass) -> (Tile, usize) {
    let (ci, co) = (s.ci / s.groups, s.co / s.groups);
    let usable = |t: &&Tile| fits(**t, co, s.groups) && t.columns <= co && (t.rows <= ci || t.rows == 1);
    let tile = WEIGHT_TILES.iter().find(usable).copied().unwrap_or(WEIGHT_TILES[4]);
    let groups = (s.kh * s.kw * ci.div_ceil(tile.rows)).div_ceil(64) * s.co.div_ceil(tile.columns);
    let wanted = if class == AdapterClass::Software { 8 } else { 1024 };
    let rows = s.n * s.oh();
    (tile, (wanted / groups).clamp(1, rows.div_ceil(4)))
}

fn check(s: &Conv2d, what: &str, tensor: &Tensor, shape: [usize; 4]) -> Result<()> {
    if tensor.len() == shape.iter().product::<usize>() {
        return Ok(());
    }
    Err(Error::Shape(format!("conv2d {s:?}: {what} is {:?}, expected {shape:?}", tensor.shape())))
}

/// `y = relu(conv(x, w) + bias + residual)`, `[n, oh, ow, co]`; see [`Epilogue`] for the optional parts.
pub fn forward(gpu: &Gpu, s: &Conv2d, x: &Tensor, w: &Tensor, epilogue: Epilogue) -> Result<Tensor> {
    forward_with(gpu, s, x, w, epilogue, choose_forward(s, gpu.profile().class))
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

/// [`forward`] with a given tile.
pub fn forward_with(gpu: &Gpu, s: &Conv2d, x: &Tensor, w: &Tensor, epilogue: Epilogue, tile: Tile) -> Result<Tensor> {
    s.check()?;
    check(s, "x", x, s.x_shape())?;
    check(s, "w", w, s.w_shape())?;
    let y = Tensor::empty(gpu, &s.y_shape())?;
    let pixels = s.n * s.oh() * s.ow();
    let tiles = s.co.div_ceil(tile.columns);
    let mut launch = gpu
        .launch(FORWARD, "forward", &forward_defines(s, &epilogue, tile))?
        .bind("x", x)
        .bind("w", w)
        .bind("y", &y)
        .u32("pixels", pixels)
        .u32("tiles", tiles)
        .cost(2 * s.macs());
    if let Some(bias) = epilogue.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = epilogue.residual {
        check(s, "residual", residual, s.y_shape())?;
        launch = launch.bind("residual", residual);
    }
    geometry(launch, s).groups(tiles * pixels.div_ceil(64 * tile.rows))?;
    Ok(y)
}

/// The parameters all three shaders have.
fn geometry<'a>(launch: crate::gpu::Launch<'a>, s: &Conv2d) -> crate::gpu::Launch<'a> {
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

/// The gradient with respect to `x` from `dy` `[n, oh, ow, co]`.
pub fn input_grad(gpu: &Gpu, s: &Conv2d, dy: &Tensor, w: &Tensor, out: &Target) -> Result<()> {
    input_grad_with(gpu, s, dy, w, out, choose_input_grad(s, gpu.profile().class))
}

fn input_grad_defines(s: &Conv2d, tile: Tile) -> Defines {
    let vec = if (s.co / s.groups).is_multiple_of(4) { 4 } else { 1 };
    let wvec = tile.columns.is_multiple_of(4) && (s.ci / s.groups).is_multiple_of(tile.columns);
    defines! { TM = tile.rows, TN = tile.columns, VEC = vec, WVEC = wvec }
}

/// [`input_grad`] with a given tile.
pub fn input_grad_with(gpu: &Gpu, s: &Conv2d, dy: &Tensor, w: &Tensor, out: &Target, tile: Tile) -> Result<()> {
    s.check()?;
    check(s, "dy", dy, s.y_shape())?;
    check(s, "w", w, s.w_shape())?;
    check(s, "dx", &out.tensor, s.x_shape())?;
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
        .cost(2 * s.macs());
    let groups = tiles * pixels.div_ceil(64 * tile.rows);
    let max = gpu.profile().max_groups as usize;
    let fold = groups.div_ceil(max).max(1);
    geometry(launch, s).grid([groups.div_ceil(fold), fold, s.stride * s.stride])
}

/// The gradient with respect to `w` from `x` and `dy`.
pub fn weight_grad(gpu: &Gpu, s: &Conv2d, x: &Tensor, dy: &Tensor, out: &Target) -> Result<()> {
    let (tile, splits) = choose_weight_grad(s, gpu.profile().class);
    weight_grad_with(gpu, s, x, dy, out, tile, splits)
}

fn weight_grad_defines(s: &Conv2d, tile: Tile) -> Defines {
    let (ci, co) = (s.ci / s.groups, s.co / s.groups);
    let ivec = tile.rows.is_multiple_of(4) && ci.is_multiple_of(tile.rows);
    let ovec = tile.columns.is_multiple_of(4) && co.is_multiple_of(tile.columns);
    defines! { TI = tile.rows, TO = tile.columns, IVEC = ivec, OVEC = ovec }
}

/// [`weight_grad`] with a given tile and number of splits.
pub fn weight_grad_with(
    gpu: &Gpu,
    s: &Conv2d,
    x: &Tensor,
    dy: &Tensor,
    out: &Target,
    tile: Tile,
    splits: usize,
) -> Result<()> {
    s.check()?;
    check(s, "x", x, s.x_shape())?;
    check(s, "dy", dy, s.y_shape())?;
    check(s, "dw", &out.tensor, s.w_shape())?;
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
        .cost(2 * s.macs());
    geometry(launch, s).grid([tiles * lanes.div_ceil(64), 1, splits])?;
    if direct {
        return Ok(());
    }
    gpu.launch(WEIGHT_GRAD, "sum_parts", &defines)?
        .bind("parts", &part)
        .bind("total", &out.tensor)
        .u32("size", size)
        .u32("parts", splits)
        .u32("accumulate", out.flag())
        .threads(size)
}

/// Every way the three shaders are compiled.
pub fn permutations() -> Vec<Permutation> {
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

/// Odd sizes, strides, paddings, dilation, groups, thin and wide channels.
pub fn cases() -> Vec<Case> {
    let square = Conv2d::square;
    let shapes = [
        square(2, 9, 7, 3, 16, 3, 1, 1),
        square(3, 17, 13, 16, 32, 3, 2, 1),
        square(1, 8, 8, 64, 20, 3, 1, 1),
        square(2, 9, 11, 5, 7, 5, 1, 2),
        square(2, 7, 7, 32, 64, 1, 2, 0),
        square(1, 33, 35, 3, 8, 7, 2, 3),
        Conv2d { dilation: 2, ..square(2, 10, 10, 12, 12, 3, 1, 2) },
        Conv2d { groups: 8, ..square(2, 9, 9, 8, 8, 3, 1, 1) },
        Conv2d { groups: 2, ..square(2, 6, 5, 16, 32, 3, 2, 1) },
        Conv2d { groups: 3, ..square(1, 5, 5, 6, 9, 3, 1, 1) },
        square(5, 5, 3, 1, 4, 3, 1, 0),
        square(1, 1, 1, 1, 1, 1, 1, 0),
        square(65, 3, 3, 10, 100, 3, 1, 1),
        square(1, 12, 9, 4, 4, 3, 3, 2),
        Conv2d { kw: 1, ..square(2, 8, 6, 8, 12, 5, 2, 2) },
    ];
    shapes.into_iter().map(|s| Case::new(format!("{s:?}"), move |gpu| run(gpu, &s))).collect()
}

fn run(gpu: &Gpu, s: &Conv2d) -> Result<Vec<Check>> {
    let random = |seed, shape: &[usize]| {
        let data = values(seed, shape.iter().product());
        Ok::<_, Error>((f64s(&data), Tensor::from_f32(gpu, &data, shape)?))
    };
    let ((x64, x), (w64, w)) = (random(1, &s.x_shape())?, random(2, &s.w_shape())?);
    let ((b64, b), (r64, r)) = (random(3, &[s.co])?, random(4, &s.y_shape())?);
    let (dy64, dy) = random(5, &s.y_shape())?;
    let k = s.kh * s.kw * s.ci / s.groups;
    let plain = twin::conv2d::forward(s, &x64, &w64, None);
    let fused =
        twin::elementwise::relu(&twin::elementwise::add(&twin::conv2d::forward(s, &x64, &w64, Some(&b64)), &r64));
    let dx64 = twin::conv2d::input_grad(s, &dy64, &w64);
    let dw64 = twin::conv2d::weight_grad(s, &x64, &dy64);
    let mut checks = Vec::new();
    for tile in TILES {
        let name = |what: &str| format!("{what}, tile {}x{}", tile.rows, tile.columns);
        if fits(tile, s.co / s.groups, s.groups) {
            let y = forward_with(gpu, s, &x, &w, Epilogue::default(), tile)?;
            checks.push(Check::sum(name("y"), y.to_f32(gpu)?, plain.clone(), k));
            let epilogue = Epilogue { bias: Some(&b), residual: Some(&r), relu: true };
            let y = forward_with(gpu, s, &x, &w, epilogue, tile)?;
            checks.push(Check::sum(name("relu(y + bias + residual)"), y.to_f32(gpu)?, fused.clone(), k));
        }
        if fits(tile, s.ci / s.groups, s.groups) {
            for accumulate in [false, true] {
                let (out, there) = destination(gpu, &s.x_shape(), accumulate)?;
                input_grad_with(gpu, s, &dy, &w, &out, tile)?;
                let what = name(&format!("dx, accumulate {accumulate}"));
                checks.push(Check::sum(
                    what,
                    out.tensor.to_f32(gpu)?,
                    added(&there, 1.0, &dx64),
                    s.kh * s.kw * s.co / s.groups,
                ));
            }
        }
    }
    for tile in WEIGHT_TILES.into_iter().filter(|t| fits(*t, s.co / s.groups, s.groups)) {
        for (splits, accumulate) in [(1, false), (1, true), (3, false), (7, true)] {
            let (out, there) = destination(gpu, &s.w_shape(), accumulate)?;
            weight_grad_with(gpu, s, &x, &dy, &out, tile, splits)?;
            let what = format!("dw, tile {}x{}, {splits} splits, accumulate {accumulate}", tile.rows, tile.columns);
            checks.push(Check::sum(what, out.tensor.to_f32(gpu)?, added(&there, 1.0, &dw64), s.n * s.oh() * s.ow()));
        }
    }
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    assert!(fits(choose_forward(&s, class), co / groups, groups), "{s:?}");
                    assert!(fits(choose_input_grad(&s, class), ci / groups, groups), "{s:?}");
                    let (tile, splits) = choose_weight_grad(&s, class);
                    assert!(fits(tile, co / groups, groups) && splits >= 1, "{s:?}");
                }
            }
        }
    }

    #[test]
    fn narrow_outputs_get_narrow_tiles() {
        let s = Conv2d::square(64, 32, 32, 16, 4, 3, 1, 1);
        assert_eq!(choose_forward(&s, AdapterClass::Software).columns, 4);
        let s = Conv2d::square(64, 32, 32, 16, 64, 3, 1, 1);
        assert_eq!(choose_forward(&s, AdapterClass::Software), Tile { rows: 8, columns: 8 });
    }
}
