//! What is tried of `binary_cross_entropy`.

use super::*;
use crate::gpu::AdapterClass;
use crate::kernels::case::{Case, Check, Permutation, Prepared, Size, Workload, fused, timed, values};
use crate::reference;

/// Every variant.
fn variants() -> Vec<(RowParallelism, Counting)> {
    RowParallelism::ALL.iter().flat_map(|r| Counting::ALL.map(|c| (*r, c))).collect()
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let ways = [(false, false), (false, true), (true, false), (true, true)];
    let all = variants().into_iter().flat_map(|v| ways.map(|(positive, grad)| variant_defines(v, positive, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even sizes, every fifth target missing, or all of them; more elements than are counted in passing.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 3), (5, 10), (17, 100), (33, 65), (65, 3), (5, 1000)];
    let mut cases: Vec<Case> = shapes.iter().map(|&(b, c)| case(b, c, "a fifth missing", |i| i % 5 == 3)).collect();
    cases.push(case(3, 5, "all missing", |_| true));
    cases
}

fn case(b: usize, c: usize, which: &str, missing: fn(usize) -> bool) -> Case {
    Case::new(format!("[{b}, {c}], {which}"), move |gpu| run(gpu, b, c, missing))
}

/// The loss and its gradient as the reference has them, which knows the elements that have a target only.
fn definition(z: &[f32], targets: &[f32], positive_weights: Option<&[f32]>) -> (f64, Vec<f64>) {
    let present: Vec<usize> = (0..z.len()).filter(|&i| targets[i] >= 0.0).collect();
    let pick = |all: &[f32]| present.iter().map(|&i| f64::from(all[i])).collect::<Vec<f64>>();
    let (said, wanted) = (pick(z), pick(targets));
    let (loss, grad) = match positive_weights {
        None => (
            reference::binary_cross_entropy::forward(&said, &wanted),
            reference::binary_cross_entropy::grad(&said, &wanted),
        ),
        Some(weights) => {
            let each: Vec<f64> = present.iter().map(|i| f64::from(weights[i % weights.len()])).collect();
            (
                reference::binary_cross_entropy::forward_weighted(&said, &wanted, &each),
                reference::binary_cross_entropy::grad_weighted(&said, &wanted, &each),
            )
        }
    };
    let mut dz = vec![0.0; z.len()];
    present.iter().zip(grad).for_each(|(&i, g)| dz[i] = g);
    (loss, dz)
}

fn run(gpu: &Gpu, b: usize, c: usize, missing: fn(usize) -> bool) -> Result<Vec<Check>> {
    let z: Vec<f32> = values(1, b * c).iter().map(|v| 4.0 * v).collect();
    // Hard and soft targets.
    let target = |i: usize| if missing(i) { MISSING } else { [0.0, 1.0, 0.25][i % 3] };
    let targets: Vec<f32> = (0..b * c).map(target).collect();
    let weight = 0.75;
    let positive: Vec<f32> = (0..c).map(|j| 0.5 + j as f32 / c as f32).collect();
    let (plain, weighted) = (definition(&z, &targets, None), definition(&z, &targets, Some(&positive)));
    let (z, targets) = (Tensor::from_f32(gpu, &z, &[b, c])?, Tensor::from_f32(gpu, &targets, &[b, c])?);
    let positive = Tensor::from_f32(gpu, &positive, &[c])?;
    let mut checks = Vec::new();
    for variant in variants() {
        for (weights, (loss, dz)) in [(None, &plain), (Some(&positive), &weighted)] {
            let what = format!("{variant:?}, positive weights {}", weights.is_some());
            checks.extend(fused(gpu, &what, (&[b, c], b), weight, (*loss, dz), c, |out| {
                binary_cross_entropy_with(gpu, &z, &targets, weights, out, variant)
            })?);
        }
    }
    Ok(checks)
}

/// 40 attributes of 4096 samples, of 1024 on software adapters, without positive weights and with.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let (rows, c) = (if gpu.profile().class == AdapterClass::Software { 1024 } else { 4096 }, 40);
    let workload = |positive: bool| Workload {
        name: format!("{rows}x{c}{}", if positive { "/positive-weights" } else { "" }),
        variant: None,
        // Of each element magnitude, exponential, logarithm of one plus it (2), maximum, product and two sums; quotient (2), difference
        // and weight of its gradient. Positive weights: the other maximum and three products more, and a product in the gradient.
        flops: (if positive { 17 } else { 12 }) * (rows * c) as u64,
        // Logits and targets are read, the gradient and each row's loss are written.
        bytes: 4 * (3 * rows * c + rows + if positive { c } else { 0 }) as u64,
        prepare: Box::new(move |gpu| prepare(gpu, rows, c, positive)),
    };
    [false, true].map(workload).into()
}

pub(super) fn prepare(gpu: &Gpu, rows: usize, c: usize, positive: bool) -> Result<Prepared> {
    let logits: Vec<f32> = values(1, rows * c).iter().map(|v| 4.0 * v).collect();
    let target = |i: usize| if i % 16 == 3 { MISSING } else { [0.0, 1.0, 0.25][i % 3] };
    let wanted: Vec<f32> = (0..rows * c).map(target).collect();
    let weights: Vec<f32> = (0..c).map(|j| 0.5 + j as f32 / c as f32).collect();
    let (z, targets) = (Tensor::from_f32(gpu, &logits, &[rows, c])?, Tensor::from_f32(gpu, &wanted, &[rows, c])?);
    let on_gpu = Tensor::from_f32(gpu, &weights, &[c])?;
    let run = move |gpu: &Gpu, out: LossOut| binary_cross_entropy(gpu, &z, &targets, positive.then_some(&on_gpu), out);
    timed(gpu, (&[rows, c], rows), c, run, move || definition(&logits, &wanted, positive.then_some(&weights)))
}
