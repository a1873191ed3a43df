//! What is tried of `sigmoid_kl`.

use super::*;
use crate::gpu::AdapterClass;
use crate::kernels::case::{Case, Check, Permutation, Prepared, Size, Workload, f64s, fused, timed, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [false, true].map(|grad| variant(*r, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even rows and attributes, modest logits and sure ones.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 3), (5, 10), (33, 65), (5, 1000)];
    let all = shapes.iter().flat_map(|s| [2.0, 30.0].map(|scale| (*s, scale)));
    all.map(|((b, c), scale)| Case::new(format!("[{b}, {c}] scale {scale}"), move |g| run(g, b, c, scale))).collect()
}

fn run(gpu: &Gpu, b: usize, c: usize, scale: f32) -> Result<Vec<Check>> {
    let scaled = |seed| values(seed, b * c).iter().map(|v| scale * v).collect::<Vec<f32>>();
    let (zs, zt) = (scaled(1), scaled(2));
    let loss = reference::sigmoid_kl::forward(&f64s(&zs), &f64s(&zt), c, 2.0);
    let grad = reference::sigmoid_kl::grad(&f64s(&zs), &f64s(&zt), c, 2.0);
    let (zs, zt) = (Tensor::from_f32(gpu, &zs, &[b, c])?, Tensor::from_f32(gpu, &zt, &[b, c])?);
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        checks.extend(fused(gpu, &format!("{rows:?}"), (&[b, c], b), 0.75, (loss, &grad), c, |out| {
            sigmoid_kl_with(gpu, (&zs, &zt), 2.0, out, rows)
        })?);
    }
    Ok(checks)
}

/// 40 attributes of 4096 samples, of 1024 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let (rows, c) = (if gpu.profile().class == AdapterClass::Software { 1024 } else { 4096 }, 40);
    vec![Workload {
        name: format!("{rows}x{c}"),
        variant: None,
        // Of both logits the scale, magnitude, exponential, logarithm of one plus it (2) and two differences, of which the logarithms of
        // yes and no come; two exponentials of the teacher's; two differences, products and sums of the divergence; of the gradient
        // two exponentials, difference and weight.
        flops: 26 * (rows * c) as u64,
        // Both logits are read, the gradient and each row's loss are written.
        bytes: 4 * (3 * rows * c + rows) as u64,
        prepare: Box::new(move |gpu| prepare(gpu, rows, c)),
    }]
}

fn prepare(gpu: &Gpu, rows: usize, c: usize) -> Result<Prepared> {
    let scaled = |seed| values(seed, rows * c).iter().map(|v| 4.0 * v).collect::<Vec<f32>>();
    let (student, teacher) = (scaled(1), scaled(2));
    let (zs, zt) = (Tensor::from_f32(gpu, &student, &[rows, c])?, Tensor::from_f32(gpu, &teacher, &[rows, c])?);
    let run = move |gpu: &Gpu, out: LossOut| sigmoid_kl(gpu, (&zs, &zt), 2.0, out);
    timed(gpu, (&[rows, c], rows), c, run, move || {
        let (zs, zt) = (f64s(&student), f64s(&teacher));
        (reference::sigmoid_kl::forward(&zs, &zt, c, 2.0), reference::sigmoid_kl::grad(&zs, &zt, c, 2.0))
    })
}
