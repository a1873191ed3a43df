//! What is tried of `feature_loss`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, Prepared, Size, Workload, f64s, fused, timed, values};
use crate::reference;

/// Every variant that can serve `channels`.
fn variants(channels: usize) -> Vec<(usize, RowParallelism)> {
    let all = [1, 4].iter().flat_map(|vec| RowParallelism::ALL.map(|rows| (*vec, rows)));
    all.filter(|(vec, _)| channels.is_multiple_of(*vec)).collect()
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let distances = [Distance::Squared, Distance::Normalised { eps: 0.0 }];
    let all = variants(4).into_iter().flat_map(|v| distances.map(|d| (d, v)));
    let all = all.flat_map(|(d, v)| [false, true].map(|grad| variant_defines(d, v, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even pixels and channels, and pixels that are zero in the teacher.
pub fn cases() -> Vec<Case> {
    let shapes =
        [[1, 1, 1, 1], [1, 3, 1, 3], [5, 1, 1, 10], [1, 3, 11, 8], [2, 4, 8, 64], [1, 3, 3, 100], [1, 5, 1, 513]];
    let all = shapes.iter().flat_map(|s| [Distance::Squared, Distance::Normalised { eps: 1e-6 }].map(|d| (*s, d)));
    let mut cases: Vec<Case> =
        all.map(|(s, d)| Case::new(format!("{s:?} {d:?}"), move |gpu| run(gpu, s, d, false))).collect();
    let eps = Distance::Normalised { eps: 0.5 };
    cases.push(Case::new("zero and short rows", move |gpu| run(gpu, [1, 3, 5, 12], eps, true)));
    cases
}

/// The loss and its gradient as the reference has them.
fn definition(s: &[f32], t: &[f32], c: usize, distance: Distance) -> (f64, Vec<f64>) {
    let (s, t) = (f64s(s), f64s(t));
    match distance {
        Distance::Squared => (reference::feature_loss::mse(&s, &t), reference::feature_loss::mse_grad(&s, &t)),
        Distance::Normalised { eps } => {
            let eps = f64::from(eps);
            (
                reference::feature_loss::normalised(&s, &t, c, eps),
                reference::feature_loss::normalised_grad(&s, &t, c, eps),
            )
        }
    }
}

fn run(gpu: &Gpu, shape: [usize; 4], distance: Distance, short: bool) -> Result<Vec<Check>> {
    let [n, h, w, c] = shape;
    let (rows, len) = (n * h * w, n * h * w * c);
    let (mut s, mut t) = (values(1, len), values(2, len));
    if short {
        s.chunks_mut(c).step_by(3).flatten().for_each(|v| *v *= 0.01);
        t.chunks_mut(c).step_by(2).flatten().for_each(|v| *v = 0.0);
    }
    let (loss, ds) = definition(&s, &t, c, distance);
    let (s, t) = (Tensor::from_f32(gpu, &s, &shape)?, Tensor::from_f32(gpu, &t, &shape)?);
    let mut checks = Vec::new();
    for variant in variants(c) {
        checks.extend(fused(gpu, &format!("{variant:?}"), (&shape, rows), 0.75, (loss, &ds), c, |out| {
            feature_loss_with(gpu, (&s, &t), distance, out, variant)
        })?);
    }
    Ok(checks)
}

/// Maps of 32x32 pixels of 256 channels, squared and normalised: 8 of them, 2 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let images = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let workload = |(name, distance, flops): (&str, Distance, u64)| {
        let shape = [images, 32, 32, 256];
        let (len, rows) = (shape.iter().product::<usize>() as u64, (images * 32 * 32) as u64);
        Workload {
            name: format!("{images}x32x32x256/{name}"),
            variant: None,
            flops: flops * len,
            // Both maps are read, the gradient and each row's loss are written.
            bytes: 4 * (3 * len + rows),
            prepare: Box::new(move |gpu| prepare(gpu, shape, distance)),
        }
    };
    [
        // Difference, square and sum; weight of the gradient.
        ("squared", Distance::Squared, 4),
        // Square, sum and quotient of both; difference, square, product with the student's and their sums; in the gradient a product, a
        // difference and the weight.
        ("normalised", Distance::Normalised { eps: 1e-6 }, 14),
    ]
    .map(workload)
    .into()
}

fn prepare(gpu: &Gpu, shape: [usize; 4], distance: Distance) -> Result<Prepared> {
    let [n, h, w, c] = shape;
    let (student, teacher) = (values(1, n * h * w * c), values(2, n * h * w * c));
    let (s, t) = (Tensor::from_f32(gpu, &student, &shape)?, Tensor::from_f32(gpu, &teacher, &shape)?);
    let run = move |gpu: &Gpu, out: LossOut| match distance {
        Distance::Squared => mse(gpu, &s, &t, out),
        Distance::Normalised { eps } => normalised(gpu, &s, &t, eps, out),
    };
    timed(gpu, (&shape, n * h * w), c, run, move || definition(&student, &teacher, c, distance))
}
