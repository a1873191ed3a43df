//! From bytes to normalised floats, moved and noisy as each sample drew.

#[cfg(feature = "selftest")]
pub(super) mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::rows::expect;
use crate::geometry::Warp;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "augment", text: include_str!("../../shaders/augment.wgsl") };

/// `(pixel / 255 − mean[c]) / std[c]` as `[n, h, w, c]` of `f32`.
///
/// `pixels`: the bytes `[n, h, w, c]`, four to a word ([`Tensor::from_bytes`]); one `mean` and `std` for each of at most
/// four channels, in units of 0..1.
pub fn normalize(gpu: &Gpu, pixels: &Tensor, shape: [usize; 4], mean: &[f32], std: &[f32]) -> Result<Tensor> {
    run(gpu, pixels, shape, None, mean, std, 0.0)
}

/// How images move.
#[derive(Debug, Clone, Copy)]
pub struct WarpParams<'a> {
    /// `[n, 16]` words, a [`Warp`] a row.
    pub warps: &'a Tensor,
    /// Blend the four pixels around a point; without it the one it lies in is taken, which is the same where pixels move by whole ones.
    pub bilinear: bool,
}

/// [`normalize`] of the augmented images, with normal noise of deviation `noise` (units of 0..1) where that is not 0.
pub fn augment(
    gpu: &Gpu,
    pixels: &Tensor,
    shape: [usize; 4],
    moves: WarpParams,
    mean: &[f32],
    std: &[f32],
    noise: f32,
) -> Result<Tensor> {
    run(gpu, pixels, shape, Some(moves), mean, std, noise)
}

/// Compiled apart, as software adapters work through both sides of every branch.
fn variant_defines(moved: bool, blend: bool, noise: bool) -> Defines {
    defines! { MOVED = moved, BLEND = blend, NOISE = noise }
}

fn run(
    gpu: &Gpu,
    pixels: &Tensor,
    shape: [usize; 4],
    moves: Option<WarpParams>,
    mean: &[f32],
    std: &[f32],
    noise: f32,
) -> Result<Tensor> {
    let [n, h, w, c] = shape;
    let total: usize = shape.iter().product();
    if !(1..=4).contains(&c) || mean.len() != c || std.len() != c {
        let (m, s) = (mean.len(), std.len());
        return Err(Error::Shape(format!("augment: {c} channels with {m} means and {s} deviations; 1 to 4 of each")));
    }
    if let Some(bad) = std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        return Err(Error::Invalid(format!("augment: a deviation is {bad}; it must be a finite number > 0")));
    }
    expect("augment", "the words of the pixels", pixels, &[total.div_ceil(4)])?;
    let out = Tensor::empty(gpu, &shape)?;
    let mut launch = gpu
        .launch(SOURCE, "augment", &variant_defines(moves.is_some(), moves.is_some_and(|m| m.bilinear), noise != 0.0))?
        .bind("bytes", pixels)
        .bind("out", &out)
        .u32("pixels", n * h * w)
        .u32("h", h)
        .u32("w", w)
        .u32("c", c)
        .f32("noise", noise)
        .cost(30 * total as u64);
    const NAMES: [(&str, &str); 4] =
        [("mean0", "scale0"), ("mean1", "scale1"), ("mean2", "scale2"), ("mean3", "scale3")];
    for (at, (m, s)) in NAMES.into_iter().enumerate() {
        launch = launch.f32(m, mean.get(at).copied().unwrap_or(0.0));
        launch = launch.f32(s, std.get(at).map_or(1.0, |s| 1.0 / s));
    }
    if let Some(WarpParams { warps, .. }) = moves {
        expect("augment", "warps", warps, &[n, Warp::WORDS])?;
        launch = launch.bind("warps", warps);
    }
    launch.threads(n * h * w)?;
    Ok(out)
}
