//! Labels of pixels, moved as the images they belong to.

mod workloads;

pub use workloads::workloads;

use super::augment::{shifted, turned, upload};
use super::case::{Case, Check, Permutation};
use super::rows::expect;
use crate::geometry::Warp;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = [(true, true), (true, false), (false, true), (false, false)];
    all.map(|(b, d)| Permutation { source: SOURCE, defines: variant_defines(b, d) }).into()
}

/// Odd and even sizes, shifts in both directions and out of sight, mirrored or not, turned, four that meet, pixels without a label.
pub fn cases() -> Vec<Case> {
    let shapes = [[1, 1, 1], [3, 8, 8], [5, 7, 5], [2, 33, 17], [17, 3, 5]];
    shapes.map(|s| Case::new(format!("{s:?}"), move |gpu| try_one(gpu, s))).into()
}

fn try_one(gpu: &Gpu, shape: [usize; 3]) -> Result<Vec<Check>> {
    let [n, h, w] = shape;
    let bytes: Vec<u8> = (0..n * h * w).map(|i| if i % 9 == 4 { 255 } else { (i * 37 % 254) as u8 }).collect();
    let numbers_in: Vec<f32> = (0..n * h * w).map(|i| i as f32 * 0.25 - 3.0).collect();
    let bytes_gpu = Tensor::from_bytes(gpu, &bytes)?;
    let numbers_gpu = Tensor::from_f32(gpu, &numbers_in, &shape)?;
    // −1 stands for a class that is not there, so that both sides are plain numbers.
    let class = |c: u32| if c == MISSING { -1.0 } else { c as f32 };
    let still = (0..n as u32).map(Warp::still).collect();
    let mut checks = Vec::new();
    for (name, warps) in [("still", still), ("shifted", shifted(n, w)), ("turned", turned(n, [h, w]))] {
        let uploaded = upload(gpu, &warps)?;
        let on_gpu = (name != "still").then_some(&uploaded);
        let got = classes(gpu, &bytes_gpu, shape, on_gpu)?.to_u32(gpu)?.into_iter().map(class).collect();
        let want = reference::relabel::forward(&bytes, h, w, &warps, 255);
        let want = want.into_iter().map(|c| if c == 255 { -1.0 } else { f64::from(c) }).collect();
        checks.push(Check { tolerance: 0.0, ..Check::sum(format!("classes, {name}"), got, want, 1) });
        let got = numbers(gpu, &numbers_gpu, shape, on_gpu, -99.0)?.to_f32(gpu)?;
        let want = reference::relabel::forward(&numbers_in, h, w, &warps, -99.0);
        let want = want.into_iter().map(f64::from).collect();
        checks.push(Check { tolerance: 0.0, ..Check::sum(format!("numbers, {name}"), got, want, 1) });
    }
    Ok(checks)
}
