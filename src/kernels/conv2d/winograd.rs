//! Winograd's minimal filtering for 3x3 convolutions at stride 1: 2.25 (F(2x2, 3x3)) or 4 times (F(4x4, 3x3)) fewer
//! multiplications, as products of transformed tiles. Lavin & Gray 2016, arXiv 1509.09308.

use super::common::{Epilogue, Pass};
use super::products::{self, Product};
use crate::gpu::{AdapterClass, Gpu, Profile, Source};
#[cfg(feature = "selftest")]
use crate::kernels::case::Permutation;
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source = Source { name: "conv2d/winograd", text: include_str!("../../../shaders/conv2d/winograd.wgsl") };

/// Output pixels of a tile, in each direction.
pub(super) const SIZES: [usize; 2] = [4, 2];

/// Bytes of a transformed map on a software adapter, about what its caches hold; a GPU is given eight times as much to keep it
/// busy.
const SCRATCH: usize = 8 << 20;

/// How a map of `h` x `w` pixels is cut into tiles.
struct Tiling {
    n: usize,
    h: usize,
    w: usize,
    size: usize,
}

impl Tiling {
    fn rows(&self) -> usize {
        self.h.div_ceil(self.size)
    }

    fn columns(&self) -> usize {
        self.w.div_ceil(self.size)
    }

    fn tiles(&self) -> usize {
        self.n * self.rows() * self.columns()
    }

    /// Values of a tile in the transformed space.
    fn frequencies(&self) -> usize {
        (self.size + 2) * (self.size + 2)
    }
}

/// The tiles of `pass`: those of the map it writes, or of the output for the weight gradient.
fn tiling(pass: Pass, s: &Conv2d, size: usize) -> Tiling {
    match pass {
        Pass::InputGrad => Tiling { n: s.n, h: s.h, w: s.w, size },
        Pass::Forward | Pass::WeightGrad => Tiling { n: s.n, h: s.oh(), w: s.ow(), size },
    }
}

/// The products of `pass` as `count` convolutions of one pixel a tile.
fn product(pass: Pass, s: &Conv2d, size: usize) -> Product {
    let t = tiling(pass, s, size);
    let (tiles, width) = (t.tiles(), row_width(t.tiles()));
    Product { count: t.frequencies(), shape: Conv2d::square(1, tiles / width, width, s.ci, s.co, 1, 1, 0) }
}

/// The width of the image that `tiles` tiles are laid out as: the weight gradient walks along rows and is split between
/// them, so neither long ones nor many.
fn row_width(tiles: usize) -> usize {
    (1..=32).rev().find(|w| tiles.is_multiple_of(*w)).unwrap_or(1)
}

/// Whether F(size x size, 3 x 3) may compute `pass` of `s`.
pub(super) fn serves(pass: Pass, s: &Conv2d, size: usize, profile: &Profile) -> bool {
    let three = (s.kh, s.kw, s.stride, s.dilation, s.groups) == (3, 3, 1, 1, 1);
    if !three || s.padding > 2 || !s.ci.is_multiple_of(4) || !s.co.is_multiple_of(4) || !SIZES.contains(&size) {
        return false;
    }
    let product = product(pass, s, size);
    let largest = tiling(pass, s, size).tiles().max(s.co) * s.ci.max(s.co) * product.count;
    (largest as u64) * 4 <= profile.max_binding
}

/// The tile's size for `pass` of `s`; `None` where another family is better.
pub(super) fn choose(pass: Pass, s: &Conv2d, profile: &Profile) -> Option<usize> {
    // The weight gradient transforms two maps, and without Winograd its taps share their loads.
    let weight = pass == Pass::WeightGrad;
    let (channels, pixels) = (s.ci.min(s.co), s.n * s.oh() * s.ow());
    // Few channels pay where they hide the transform of the weights.
    let pays = pixels >= 512 && channels >= if weight { 128 } else { 64 };
    let pays = pays || !weight && pixels >= 4096 && channels >= 32;
    // With few tiles its products are small beside the sums over the frequencies.
    let size = if weight && tiling(pass, s, 4).tiles() < 64 { 2 } else { 4 };
    let pays = pays && products::shares_loads(profile);
    Some(size).filter(|size| pays && serves(pass, s, *size, profile))
}

/// `u[f, co, ci]` from the taps.
fn weights(gpu: &Gpu, s: &Conv2d, w: &Tensor, size: usize, flip: bool) -> Result<Tensor> {
    let u = Tensor::empty(gpu, &[(size + 2) * (size + 2), s.co, s.ci])?;
    gpu.launch(
        SOURCE,
        "weights",
        &defines! { M = size, FLIP = flip, BIAS = 0, RESIDUAL = 0, RELU = 0, INT64 = gpu.profile().int64 },
    )?
    .bind("w", w)
    .bind("u", &u)
    .u32("co", s.co)
    .u32("ci", s.ci)
    .threads(s.co * s.ci / 4)?;
    Ok(u)
}

/// `v[f, tile, c]` from the map `x` `[n, h, w, channels]` by the entry `inputs` or `gradients`.
fn transform(
    gpu: &Gpu,
    entry: &'static str,
    t: &Tiling,
    x: &Tensor,
    (h, w, channels): (usize, usize, usize),
    padding: usize,
) -> Result<Tensor> {
    let v = Tensor::empty(gpu, &[t.frequencies(), t.tiles(), channels])?;
    gpu.launch(
        SOURCE,
        entry,
        &defines! { M = t.size, FLIP = 0, BIAS = 0, RESIDUAL = 0, RELU = 0, INT64 = gpu.profile().int64 },
    )?
    .bind("x", x)
    .bind("v", &v)
    .u32("n", t.n)
    .u32("h", h)
    .u32("w", w)
    .u32("channels", channels)
    .u32("rows", t.rows())
    .u32("columns", t.columns())
    .u32("padding", padding)
    .u32("accumulate", 0)
    .threads(t.tiles() * channels / 4)?;
    Ok(v)
}

/// The map from `m[f, tile, c]`.
fn outputs(
    gpu: &Gpu,
    t: &Tiling,
    m: &Tensor,
    epilogue: Epilogue,
    sums: Option<&Tensor>,
    out: &GradTarget,
) -> Result<()> {
    let channels = m.columns();
    let defines = defines! {
        M = t.size, FLIP = 0, INT64 = gpu.profile().int64,
        BIAS = epilogue.bias.is_some(), RESIDUAL = epilogue.residual.is_some(), RELU = epilogue.relu,
        STATS = sums.is_some(),
    };
    let mut launch = gpu
        .launch(SOURCE, "outputs", &defines)?
        .bind("m", m)
        .bind("y", &out.tensor)
        .u32("n", t.n)
        .u32("h", t.h)
        .u32("w", t.w)
        .u32("channels", channels)
        .u32("rows", t.rows())
        .u32("columns", t.columns())
        .u32("padding", 0)
        .u32("accumulate", out.flag());
    if let Some(bias) = epilogue.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = epilogue.residual {
        launch = launch.bind("residual", residual);
    }
    if let Some(sums) = sums {
        launch = launch.bind("sums", sums);
    }
    launch.threads(t.tiles() * channels / 4)
}

/// Rows of the partial sums that [`forward`] can leave for the batch norm after it; `None` where tiles overhang.
pub(super) fn stats_rows(s: &Conv2d, size: usize) -> Option<usize> {
    (s.oh().is_multiple_of(size) && s.ow().is_multiple_of(size)).then_some(size * size)
}

/// The bytes that a transformed map may take.
pub(super) fn scratch(gpu: &Gpu) -> usize {
    if gpu.profile().class == AdapterClass::Software { SCRATCH } else { 8 * SCRATCH }
}

/// The images of `pass` in groups whose transformed tiles take no more than `scratch` bytes: what one kernel writes, the next
/// still finds in the cache, and the memory beside the activations stays small. One group where a slice could not be bound.
fn groups(pass: Pass, s: &Conv2d, size: usize, scratch: usize) -> Vec<(usize, usize)> {
    let one = Conv2d { n: 1, ..*s };
    let t = tiling(pass, &one, size);
    let image = t.frequencies() * t.tiles() * s.ci.max(s.co) * 4;
    let strides = [s.h * s.w * s.ci, s.oh() * s.ow() * s.co, 2 * t.tiles() * s.co];
    let whole = strides.iter().any(|stride| !stride.is_multiple_of(64));
    let count = if whole { s.n } else { (scratch / image).clamp(1, s.n) };
    (0..s.n).step_by(count).map(|first| (first, count.min(s.n - first))).collect()
}

/// Images `first` to `first + n` of a map `[…, h, w, c]`.
fn images(map: &Tensor, (first, n): (usize, usize), [_, h, w, c]: [usize; 4]) -> Result<Tensor> {
    map.slice(first * h * w * c, &[n, h, w, c])
}

pub(super) fn forward(
    gpu: &Gpu,
    s: &Conv2d,
    x: &Tensor,
    w: &Tensor,
    (epilogue, sums): (Epilogue, Option<&Tensor>),
    y: &Tensor,
    (size, scratch): (usize, usize),
) -> Result<()> {
    let u = weights(gpu, s, w, size, false)?;
    for group in groups(Pass::Forward, s, size, scratch) {
        let (first, n) = group;
        let part = Conv2d { n, ..*s };
        let t = tiling(Pass::Forward, &part, size);
        let product = product(Pass::Forward, &part, size);
        let v = transform(gpu, "inputs", &t, &images(x, group, s.x_shape())?, (s.h, s.w, s.ci), s.padding)?;
        let m = Tensor::empty(gpu, &[product.count, t.tiles(), s.co])?;
        products::forward(gpu, &product, &v, &u, &m)?;
        let residual = epilogue.residual.map(|r| images(r, group, s.y_shape())).transpose()?;
        let sums = sums.map(|all| all.slice(first * (t.tiles() / n) * 2 * s.co, &[t.tiles(), 2, s.co])).transpose()?;
        let y = GradTarget::fresh(images(y, group, s.y_shape())?);
        outputs(gpu, &t, &m, Epilogue { residual: residual.as_ref(), ..epilogue }, sums.as_ref(), &y)?;
    }
    Ok(())
}

pub(super) fn input_grad(
    gpu: &Gpu,
    s: &Conv2d,
    dy: &Tensor,
    w: &Tensor,
    out: &GradTarget,
    (size, scratch): (usize, usize),
) -> Result<()> {
    // The gradient is a convolution of dy with the taps turned round.
    let u = weights(gpu, s, w, size, true)?;
    for group in groups(Pass::InputGrad, s, size, scratch) {
        let part = Conv2d { n: group.1, ..*s };
        let t = tiling(Pass::InputGrad, &part, size);
        let product = product(Pass::InputGrad, &part, size);
        let dy = images(dy, group, s.y_shape())?;
        let v = transform(gpu, "inputs", &t, &dy, (s.oh(), s.ow(), s.co), 2 - s.padding)?;
        let m = Tensor::empty(gpu, &[product.count, t.tiles(), s.ci])?;
        products::input_grad(gpu, &product, &v, &u, &m)?;
        let dx = GradTarget { tensor: images(&out.tensor, group, s.x_shape())?, accumulate: out.accumulate };
        outputs(gpu, &t, &m, Epilogue::default(), None, &dx)?;
    }
    Ok(())
}

pub(super) fn weight_grad(gpu: &Gpu, s: &Conv2d, x: &Tensor, dy: &Tensor, out: &GradTarget, size: usize) -> Result<()> {
    let t = tiling(Pass::WeightGrad, s, size);
    let product = product(Pass::WeightGrad, s, size);
    let v = transform(gpu, "inputs", &t, x, (s.h, s.w, s.ci), s.padding)?;
    let d = transform(gpu, "gradients", &t, dy, (s.oh(), s.ow(), s.co), 0)?;
    let part = products::weight_grad_parts(gpu, &product, &v, &d)?;
    gpu.launch(
        SOURCE,
        "taps",
        &defines! { M = size, FLIP = 0, BIAS = 0, RESIDUAL = 0, RELU = 0, INT64 = gpu.profile().int64 },
    )?
    .bind("part", &part)
    .bind("dw", &out.tensor)
    .u32("co", s.co)
    .u32("ci", s.ci)
    .u32("parts", part.shape()[0])
    .u32("accumulate", out.flag())
    .turns(part.shape()[0])
    .threads(s.co * s.ci / 4)
}

/// Every way the shader is compiled.
#[cfg(feature = "selftest")]
pub(super) fn permutations() -> Vec<Permutation> {
    let epilogues = (0..8).map(|bits| [bits & 1, bits >> 1 & 1, bits >> 2 & 1]);
    let all = epilogues.flat_map(|e| SIZES.into_iter().flat_map(move |size| [0, 1].map(|flip| (e, size, flip))));
    // The taps are turned round only where there is no epilogue.
    all.filter(|(e, _, flip)| *flip == 0 || *e == [0; 3])
        .flat_map(|([bias, residual, relu], size, flip)| {
            [0, 1].map(|int64| Permutation {
                source: SOURCE,
                defines: defines! {
                    M = size, FLIP = flip, BIAS = bias, RESIDUAL = residual, RELU = relu, INT64 = int64,
                },
            })
        })
        .chain(SIZES.into_iter().flat_map(|size| {
            [0, 1].map(|int64| Permutation { source: SOURCE, defines: defines! { M = size, STATS = 1, INT64 = int64 } })
        }))
        .collect()
}
