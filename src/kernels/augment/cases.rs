//! What is tried of `augment`.

use super::*;
use crate::gpu::AdapterClass;
use crate::kernels::case::{Case, Check, Permutation, Prepared, Size, Workload, f64s};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all =
        [(false, false, false), (true, false, false), (true, false, true), (true, true, false), (true, true, true)];
    all.map(|(m, b, n)| Permutation { source: SOURCE, defines: variant_defines(m, b, n) }).into()
}

/// Odd and even sizes, one to four channels, shifts in both directions and beyond the image, mirrored or not; turned, stretched and
/// four that meet.
pub fn cases() -> Vec<Case> {
    let shapes = [[1, 1, 1, 1], [3, 8, 8, 1], [5, 7, 5, 3], [2, 33, 17, 4], [17, 3, 5, 2]];
    let all = shapes.iter().flat_map(|s| [0.0, 0.1].map(|noise| (*s, noise)));
    all.map(|(s, noise)| Case::new(format!("{s:?} noise {noise}"), move |gpu| try_one(gpu, s, noise))).collect()
}

/// Shifts around zero, mirrored or not; of several samples the last is shifted out of sight.
pub(in crate::kernels) fn shifted(n: usize, w: usize) -> Vec<Warp> {
    let one = |i: i32| {
        let (dx, dy) = (i % 5 - 2, 2 * i % 7 - 3);
        let (a, c) = if i % 2 == 1 { (-1.0, w as f32) } else { (1.0, 0.0) };
        let matrix = [a, 0.0, c + dx as f32, 0.0, 1.0, dy as f32];
        Warp { matrix, noise_seed: (12_345 - 99_999 * i).cast_unsigned(), ..Warp::still(i as u32) }
    };
    let mut all: Vec<Warp> = (0..n as i32).map(one).collect();
    if let [_, .., last] = all.as_mut_slice() {
        last.matrix = [-1.0, 0.0, 2.0 * w as f32, 0.0, 1.0, i32::MAX as f32];
    }
    all
}

/// Turned and stretched by odd numbers, so that no point falls between two pixels; every other one is a mosaic.
pub(in crate::kernels) fn turned(n: usize, [h, w]: [usize; 2]) -> Vec<Warp> {
    let one = |i: usize| {
        let (sin, cos) = (0.37 + i as f32).sin_cos();
        let zoom = 0.61 + 0.173 * (i % 5) as f32;
        let matrix = [cos / zoom, sin / zoom, 0.123 * w as f32, -sin / zoom, cos / zoom, 0.217 * h as f32];
        let row = |k: usize| ((i + k) % n) as u32;
        let whole = Warp { matrix, noise_seed: i as u32 + 1, ..Warp::still(row(0)) };
        let [x, y] = [(w / 2) as f32, (h / 3) as f32];
        let rows = [row(1), row(0), Warp::NOTHING, row(2)];
        if i.is_multiple_of(2) { whole } else { Warp { centre: [x, y], rows, ..whole } }
    };
    (0..n).map(one).collect()
}

/// As the kernels read them, `[n, 16]`.
pub(in crate::kernels) fn upload(gpu: &Gpu, warps: &[Warp]) -> Result<Tensor> {
    Tensor::from_u32(gpu, bytemuck::cast_slice(warps), &[warps.len(), Warp::WORDS])
}

fn try_one(gpu: &Gpu, shape: [usize; 4], noise: f32) -> Result<Vec<Check>> {
    let [n, h, w, c] = shape;
    let pixels: Vec<u8> = (0..n * h * w * c).map(|i| (i * 37 + i / 7 * 11) as u8).collect();
    let (mean, std) = ([0.5, 0.4, 0.3, 0.2], [0.25, 0.5, 0.3, 0.2]);
    let (mean, std): (&[f32], &[f32]) = (&mean[..c], &std[..c]);
    let reference = |warps: &[Warp], bilinear| {
        reference::augment::forward(&pixels, [h, w, c], warps, &f64s(mean), &f64s(std), noise.into(), bilinear)
    };
    let pixels_gpu = Tensor::from_bytes(gpu, &pixels)?;
    let mut checks = Vec::new();
    for (name, warps) in [("shifted", shifted(n, w)), ("turned", turned(n, [h, w]))] {
        let warps_gpu = upload(gpu, &warps)?;
        for bilinear in [false, true] {
            let moves = WarpParams { warps: &warps_gpu, bilinear };
            let got = augment(gpu, &pixels_gpu, shape, moves, mean, std, noise)?.to_f32(gpu)?;
            // Weights of the blend lose bits where the coordinates they come from are large.
            let terms = if bilinear { 64 } else { 1 };
            checks.push(Check::sum(format!("{name}, bilinear {bilinear}"), got, reference(&warps, bilinear), terms));
        }
    }
    if noise == 0.0 {
        let got = normalize(gpu, &pixels_gpu, shape, mean, std)?.to_f32(gpu)?;
        let still: Vec<Warp> = (0..n as u32).map(Warp::still).collect();
        checks.push(Check::sum("normalised", got, reference(&still, false), 1));
    }
    Ok(checks)
}

/// Images of 64x64 pixels of 3 channels, shifted and mirrored by whole pixels, and turned and stretched, one or four that meet, with
/// pixels blended: 32 of them, 8 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let n = if gpu.profile().class == AdapterClass::Software { 8 } else { 32 };
    let workload = |(name, bilinear): (&str, bool)| {
        let (pixels, c) = ((n * 64 * 64) as u64, 3);
        Workload {
            name: format!("{n}x64x64x{c}/{name}"),
            variant: None,
            // Of each pixel the point it comes from (4 products, 4 sums), of each value quotient, difference and scale; blended, three
            // interpolations of it.
            flops: 8 * pixels + (if bilinear { 12 } else { 3 }) * pixels * c,
            // A byte of each value is read and a float written, beside the warp of each image.
            bytes: 5 * pixels * c + (4 * n * Warp::WORDS) as u64,
            prepare: Box::new(move |gpu| prepare(gpu, [n, 64, 64, c as usize], bilinear)),
        }
    };
    [("shifted", false), ("turned-bilinear", true)].map(workload).into()
}

fn prepare(gpu: &Gpu, shape: [usize; 4], bilinear: bool) -> Result<Prepared> {
    const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    const STD: [f32; 3] = [0.229, 0.224, 0.225];
    let [n, h, w, c] = shape;
    let bytes: Vec<u8> = (0..n * h * w * c).map(|i| (i * 37 + i / 7 * 11) as u8).collect();
    let all = if bilinear { turned(n, [h, w]) } else { shifted(n, w) };
    let (pixels, warps) = (Tensor::from_bytes(gpu, &bytes)?, upload(gpu, &all)?);
    let again = (pixels.clone(), warps.clone());
    Ok(Prepared {
        run: Box::new(move |gpu| {
            augment(gpu, &pixels, shape, WarpParams { warps: &warps, bilinear }, &MEAN, &STD, 0.0).map(|_| ())
        }),
        check: Box::new(move |gpu| {
            let moves = WarpParams { warps: &again.1, bilinear };
            let got = augment(gpu, &again.0, shape, moves, &MEAN, &STD, 0.0)?.to_f32(gpu)?;
            let want = reference::augment::forward(&bytes, [h, w, c], &all, &f64s(&MEAN), &f64s(&STD), 0.0, bilinear);
            // As in the cases: weights of the blend lose bits where the coordinates they come from are large.
            Ok(vec![Check::sum("augmented", got, want, if bilinear { 64 } else { 1 })])
        }),
    })
}
