//! From bytes to normalised floats, with the shift, mirroring and noise that each sample drew.

use super::case::{Case, Check, Permutation, f64s};
use super::rows::expect;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines, twin};

const SOURCE: Source = Source { name: "augment", text: include_str!("../../shaders/augment.wgsl") };

/// `(pixel / 255 − mean[c]) / std[c]` as `[n, h, w, c]` of `f32`.
///
/// `pixels`: the bytes `[n, h, w, c]`, four to a word ([`Tensor::from_bytes`]); one `mean` and `std` for each of at most
/// four channels, in units of 0..1.
pub fn normalise(gpu: &Gpu, pixels: &Tensor, shape: [usize; 4], mean: &[f32], std: &[f32]) -> Result<Tensor> {
    run(gpu, pixels, shape, None, mean, std, 0.0)
}

/// [`normalise`] of the augmented images: `draws` `[n, 4]` words, each row `dx, dy` (`i32`), `flip`, `noise_seed`; the
/// result shows `image[y + dy, x' + dx]` (zeros outside), `x' = w − 1 − x` where mirrored, with normal noise of deviation `noise` (units of 0..1).
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

/// Compiled apart, as software adapters work through both sides of every branch.
fn variant_defines(draws: bool, noise: bool) -> Defines {
    defines! { DRAWS = draws, NOISE = noise }
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
        .launch(SOURCE, "augment", &variant_defines(draws.is_some(), noise != 0.0))?
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
    if let Some(draws) = draws {
        expect("augment", "draws", draws, &[n, 4])?;
        launch = launch.bind("draws", draws);
    }
    launch.threads(n * h * w)?;
    Ok(out)
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = [(false, false), (true, false), (true, true)];
    all.map(|(draws, noise)| Permutation { source: SOURCE, defines: variant_defines(draws, noise) }).into()
}

/// Odd and even sizes, one to four channels, shifts in both directions and beyond the image, mirrored or not.
pub fn cases() -> Vec<Case> {
    let shapes = [[1, 1, 1, 1], [3, 8, 8, 1], [5, 7, 5, 3], [2, 33, 17, 4], [17, 3, 5, 2]];
    let all = shapes.iter().flat_map(|s| [0.0, 0.1].map(|noise| (*s, noise)));
    all.map(|(s, noise)| Case::new(format!("{s:?} noise {noise}"), move |gpu| try_one(gpu, s, noise))).collect()
}

fn try_one(gpu: &Gpu, shape: [usize; 4], noise: f32) -> Result<Vec<Check>> {
    let [n, h, w, c] = shape;
    let pixels: Vec<u8> = (0..n * h * w * c).map(|i| (i * 37 + i / 7 * 11) as u8).collect();
    // Shifts around zero; of several samples the last is shifted out of sight.
    let draw = |i: i32| [i % 5 - 2, 2 * i % 7 - 3, i % 2, 12_345 - 99_999 * i];
    let mut draws: Vec<[i32; 4]> = (0..n as i32).map(draw).collect();
    if let [_, .., last] = draws.as_mut_slice() {
        *last = [w as i32, i32::MAX, 1, -1];
    }
    let words: Vec<u32> = draws.as_flattened().iter().map(|v| v.cast_unsigned()).collect();
    let (mean, std) = ([0.5, 0.4, 0.3, 0.2], [0.25, 0.5, 0.3, 0.2]);
    let (mean, std): (&[f32], &[f32]) = (&mean[..c], &std[..c]);
    let twin =
        |draws: &[[i32; 4]]| twin::augment::forward(&pixels, n, h, w, c, draws, &f64s(mean), &f64s(std), noise.into());
    let pixels_gpu = Tensor::from_bytes(gpu, &pixels)?;
    let draws_gpu = Tensor::from_u32(gpu, &words, &[n, 4])?;
    let got = augment(gpu, &pixels_gpu, shape, &draws_gpu, mean, std, noise)?.to_f32(gpu)?;
    let mut checks = vec![Check::sum("augmented", got, twin(&draws), 1)];
    if noise == 0.0 {
        let got = normalise(gpu, &pixels_gpu, shape, mean, std)?.to_f32(gpu)?;
        checks.push(Check::sum("normalised", got, twin(&vec![[0; 4]; n]), 1));
    }
    Ok(checks)
}
