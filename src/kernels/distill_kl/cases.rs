//! What is tried of `distill_kl`.

use super::*;
use crate::gpu::AdapterClass;
use crate::kernels::case::{Case, Check, Permutation, Prepared, Size, Workload, f64s, fused, timed, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL
        .iter()
        .flat_map(|r| [(false, false), (false, true), (true, false), (true, true)].map(|p| (*r, p)));
    all.map(|(rows, (std, grad))| Permutation { source: SOURCE, defines: variant_defines(rows, std, grad) }).collect()
}

/// Odd and even rows and classes, plain and standardised (but not two classes: those standardise to ±√½ whatever they
/// are, and the gradient is all rounding).
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 3), (5, 10), (17, 100), (33, 65), (65, 10), (5, 1000)];
    let settings = [(1.0, None), (4.0, None), (2.0, Some(1e-7)), (4.0, Some(1e-2))];
    let all = shapes.iter().flat_map(|s| settings.map(|x| (*s, x)));
    let all = all.filter(|((_, c), (_, standardise))| *c > 2 || standardise.is_none());
    let case =
        |((b, c), (t, e))| Case::new(format!("[{b}, {c}] T {t}, standardise {e:?}"), move |g| run(g, b, c, t, e));
    all.map(case).collect()
}

fn run(gpu: &Gpu, b: usize, c: usize, temperature: f32, standardise: Option<f32>) -> Result<Vec<Check>> {
    let scaled = |seed| values(seed, b * c).iter().map(|v| 3.0 * v + 1.0).collect::<Vec<f32>>();
    let (zs, zt) = (scaled(1), scaled(2));
    let (t, eps) = (f64::from(temperature), standardise.map(f64::from));
    let loss = reference::distill_kl::forward(&f64s(&zs), &f64s(&zt), c, t, eps);
    let dzs = reference::distill_kl::grad(&f64s(&zs), &f64s(&zt), c, t, eps);
    let (zs, zt) = (Tensor::from_f32(gpu, &zs, &[b, c])?, Tensor::from_f32(gpu, &zt, &[b, c])?);
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        checks.extend(fused(gpu, &format!("{rows:?}"), (&[b, c], b), 0.75, (loss, &dzs), c, |out| {
            distill_kl_with(gpu, (&zs, &zt), temperature, standardise, out, rows)
        })?);
    }
    Ok(checks)
}

/// Maps of 128x128 pixels of 21 classes, plain and standardised: 8 of them, 2 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let images = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let workload = |standardise: Option<f32>| {
        let (rows, c) = (images * 128 * 128, 21);
        Workload {
            name: format!("{images}x128x128x{c}{}", if standardise.is_some() { "/standardised" } else { "" }),
            variant: None,
            // Of both logits maximum, difference, scale, exponential, sum and quotient; difference, product and sum of the divergence;
            // difference and weight of the gradient. Standardised: of both mean, difference, square and sum; in the gradient difference,
            // two products, sum and difference.
            flops: (if standardise.is_some() { 30 } else { 17 }) * (rows * c) as u64,
            // Both logits are read, the gradient and each row's loss are written.
            bytes: 4 * (3 * rows * c + rows) as u64,
            prepare: Box::new(move |gpu| prepare(gpu, rows, c, standardise)),
        }
    };
    [None, Some(1e-7)].map(workload).into()
}

fn prepare(gpu: &Gpu, rows: usize, c: usize, standardise: Option<f32>) -> Result<Prepared> {
    let scaled = |seed| values(seed, rows * c).iter().map(|v| 3.0 * v + 1.0).collect::<Vec<f32>>();
    let (student, teacher) = (scaled(1), scaled(2));
    let (zs, zt) = (Tensor::from_f32(gpu, &student, &[rows, c])?, Tensor::from_f32(gpu, &teacher, &[rows, c])?);
    let run = move |gpu: &Gpu, out: LossOut| distill_kl(gpu, (&zs, &zt), 4.0, standardise, out);
    timed(gpu, (&[rows, c], rows), c, run, move || {
        let (zs, zt, eps) = (f64s(&student), f64s(&teacher), standardise.map(f64::from));
        (reference::distill_kl::forward(&zs, &zt, c, 4.0, eps), reference::distill_kl::grad(&zs, &zt, c, 4.0, eps))
    })
}
