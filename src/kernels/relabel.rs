//! Labels of pixels, moved as the images they belong to.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::rows::expect;
use crate::geometry::Warp;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Result, defines};

const SOURCE: Source = Source { name: "relabel", text: include_str!("../../shaders/relabel.wgsl") };

/// The class of a pixel that has none, as losses and metrics take it.
const MISSING: u32 = u32::MAX;

/// Classes of pixels as losses take them, `[n, h, w]` of `u32`: `labels` are the bytes `[n, h, w]`, four to a word
/// ([`Tensor::from_bytes`]), 255 where there is none. With `warps` `[n, 16]` they are moved as [`augment`](super::augment::augment)
/// moves the pixels; what comes from outside has no class (`u32::MAX`).
pub fn classes(gpu: &Gpu, labels: &Tensor, shape: [usize; 3], warps: Option<&Tensor>) -> Result<Tensor> {
    expect("relabel", "the words of the labels", labels, &[shape.iter().product::<usize>().div_ceil(4)])?;
    run(gpu, labels, shape, warps, true, MISSING)
}

/// Numbers of pixels `[n, h, w]`, moved in the same way; what comes from outside is `missing`.
pub fn numbers(gpu: &Gpu, labels: &Tensor, shape: [usize; 3], warps: Option<&Tensor>, missing: f32) -> Result<Tensor> {
    expect("relabel", "labels", labels, &shape)?;
    run(gpu, labels, shape, warps, false, missing.to_bits())
}

fn variant_defines(bytes: bool, moved: bool) -> Defines {
    defines! { BYTES = bytes, MOVED = moved }
}

fn run(
    gpu: &Gpu,
    labels: &Tensor,
    shape: [usize; 3],
    warps: Option<&Tensor>,
    bytes: bool,
    missing: u32,
) -> Result<Tensor> {
    let [n, h, w] = shape;
    let out = Tensor::empty(gpu, &shape)?;
    let launch = gpu
        .launch(SOURCE, "relabel", &variant_defines(bytes, warps.is_some()))?
        .bind("labels", labels)
        .bind("out", &out)
        .u32("pixels", n * h * w)
        .u32("h", h)
        .u32("w", w)
        .u32("missing", missing as usize)
        .cost(10 * (n * h * w) as u64);
    match warps {
        Some(warps) => {
            expect("relabel", "warps", warps, &[n, Warp::WORDS])?;
            launch.bind("warps", warps).threads(n * h * w)?;
        }
        None => launch.threads(n * h * w)?,
    }
    Ok(out)
}
