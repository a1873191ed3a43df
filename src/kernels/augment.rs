//! From bytes to normalised floats, with the shift, mirroring and noise that each sample drew.

use super::case::{Case, Permutation};
use super::rows::expect;
use crate::gpu::{Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "augment", text: include_str!("../../shaders/augment.wgsl") };

/// `(pixel / 255 − mean[c]) / std[c]` as `[n, h, w, c]` of `f32`.
///
/// `pixels`: the bytes `[n, h, w, c]`, four to a word ([`Tensor::from_bytes`]); one `mean` and `std` for each of at most
/// four channels, in units of 0..1.
pub fn normalise(gpu: &Gpu, pixels: &Tensor, shape: [usize; 4], mean: &[f32], std: &[f32]) -> Result<Tensor> {
    run(gpu, pixels, shape, None, mean, std, 0.0)
}

/// [`normalise`] of the augmented images: `draws` `[n, 4]` words, each row `dx, dy` (`i32`), `flip`, `noise_seed`; the
/// result shows `mirrored[y + dy, x + dx]` (zeros outside) with normal noise of deviation `noise` (units of 0..1).
pub fn augment(
    gpu: &Gpu,
    pixels: &Tensor,
    shape: [usize; 4],
    draws: &Tensor,
    mean: &[f32],
    std: &[f32],
    noise: f32,
) -> Result<Tensor> {
    run(gpu, pixels, shape, Some(draws), mean, std, noise)
}

fn run(
    gpu: &Gpu,
    pixels: &Tensor,
    shape: [usize; 4],
    draws: Option<&Tensor>,
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
        .launch(SOURCE, "augment", &defines! { DRAWS = draws.is_some() })?
        .bind("pixels", pixels)
        .bind("out", &out)
        .u32("total", total)
        .u32("h", h)
        .u32("w", w)
        .u32("c", c)
        .f32("noise", noise)
        .cost(30 * total as u64);
    const NAMES: [(&str, &str); 4] = [("mean0", "scale0"), ("mean1", "scale1"), ("mean2", "scale2"), ("mean3", "scale3")];
    for (at, (m, s)) in NAMES.into_iter().enumerate() {
        launch = launch.f32(m, mean.get(at).copied().unwrap_or(0.0));
        launch = launch.f32(s, std.get(at).map_or(1.0, |s| 1.0 / s));
    }
    if let Some(draws) = draws {
        expect("augment", "draws", draws, &[n, 4])?;
        launch = launch.bind("draws", draws);
    }
    launch.threads(total)?;
    Ok(out)
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    [false, true].map(|draws| Permutation { source: SOURCE, defines: defines! { DRAWS = draws } }).into()
}

/// What the kernel is tried with.
pub fn cases() -> Vec<Case> {
    Vec::new()
}
