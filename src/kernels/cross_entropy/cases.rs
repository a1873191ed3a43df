//! What is tried of `cross_entropy`.

use super::*;
use crate::gpu::AdapterClass;
use crate::kernels::case::{Case, Check, Permutation, Prepared, Size, Workload, f64s, fused, timed, values};
use crate::reference;

/// Every variant.
fn variants() -> Vec<(RowParallelism, Counting)> {
    RowParallelism::ALL.iter().flat_map(|r| Counting::ALL.map(|c| (*r, c))).collect()
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = variants().into_iter().flat_map(|v| [false, true].map(|grad| variant_defines(v, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even rows and classes, every fourth label missing, or all of them; more rows than are counted in passing.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 3), (5, 10), (17, 100), (33, 65), (65, 10), (5, 1000), (5000, 2)];
    let all = shapes.iter().flat_map(|s| [0.0, 0.1].map(|e| (*s, e)));
    let mut cases: Vec<Case> = all.map(|((b, c), e)| case(b, c, e, "a quarter missing", |i| i % 4 == 3)).collect();
    cases.push(case(5, 10, 0.1, "all missing", |_| true));
    cases
}

fn case(b: usize, c: usize, smoothing: f32, which: &str, missing: fn(usize) -> bool) -> Case {
    Case::new(format!("[{b}, {c}] smoothing {smoothing}, {which}"), move |gpu| run(gpu, b, c, smoothing, missing))
}

fn run(gpu: &Gpu, b: usize, c: usize, smoothing: f32, missing: fn(usize) -> bool) -> Result<Vec<Check>> {
    let z: Vec<f32> = values(1, b * c).iter().map(|v| 3.0 * v).collect();
    let labels: Vec<u32> = (0..b).map(|i| if missing(i) { MISSING } else { (i * 7 % c) as u32 }).collect();
    let loss = reference::cross_entropy::forward(&f64s(&z), &labels, c, smoothing.into());
    let dz = reference::cross_entropy::grad(&f64s(&z), &labels, c, smoothing.into());
    let (z, labels) = (Tensor::from_f32(gpu, &z, &[b, c])?, Tensor::from_u32(gpu, &labels, &[b])?);
    let mut checks = Vec::new();
    for variant in variants() {
        checks.extend(fused(gpu, &format!("{variant:?}"), (&[b, c], b), 0.75, (loss, &dz), c, |out| {
            cross_entropy_with(gpu, &z, &labels, smoothing, out, variant)
        })?);
    }
    Ok(checks)
}

/// Maps of 128x128 pixels of 21 classes: 8 of them, 2 on software adapters; and a classifier's batch of 1024 samples, 128 there, of 1000
/// classes with label smoothing.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let (images, batch) = if gpu.profile().class == AdapterClass::Software { (2, 128) } else { (8, 1024) };
    let workload = |(name, rows, c, smoothing): (String, usize, usize, f32)| Workload {
        name,
        variant: None,
        // Of each logit maximum, difference, exponential and two sums, one of them for the smoothing; quotient, difference and weight
        // of its gradient.
        flops: 8 * (rows * c) as u64,
        // Logits and labels are read, the gradient and each row's loss are written.
        bytes: 4 * (2 * rows * c + 2 * rows) as u64,
        prepare: Box::new(move |gpu| prepare(gpu, rows, c, smoothing)),
    };
    let pixels = (format!("{images}x128x128x21"), images * 128 * 128, 21, 0.0);
    [pixels, (format!("{batch}x1000/smoothing-0.1"), batch, 1000, 0.1)].map(workload).into()
}

pub(super) fn prepare(gpu: &Gpu, rows: usize, c: usize, smoothing: f32) -> Result<Prepared> {
    let logits: Vec<f32> = values(1, rows * c).iter().map(|v| 3.0 * v).collect();
    let labels: Vec<u32> = (0..rows).map(|i| if i % 16 == 3 { MISSING } else { (i * 7 % c) as u32 }).collect();
    let (z, truth) = (Tensor::from_f32(gpu, &logits, &[rows, c])?, Tensor::from_u32(gpu, &labels, &[rows])?);
    let run = move |gpu: &Gpu, out: LossOut| cross_entropy(gpu, &z, &truth, smoothing, out);
    timed(gpu, (&[rows, c], rows), c, run, move || {
        let (z, smoothing) = (f64s(&logits), f64::from(smoothing));
        (
            reference::cross_entropy::forward(&z, &labels, c, smoothing),
            reference::cross_entropy::grad(&z, &labels, c, smoothing),
        )
    })
}
