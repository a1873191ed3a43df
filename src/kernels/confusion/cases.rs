//! What is tried of `confusion`.

use super::*;
use crate::gpu::AdapterClass;
use crate::kernels::case::{Case, Check, Permutation, Prepared, Size, Workload, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: Defines::new() }]
}

/// Odd and even rows and classes, equal logits, labels missing, rows beyond the valid ones, counts added to.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2, 1), (3, 3, 2), (5, 10, 5), (65, 10, 33), (17, 100, 17), (33, 1000, 32), (65, 2, 0)];
    let case = |(b, c, valid)| Case::new(format!("[{b}, {c}], {valid} valid"), move |gpu| run(gpu, b, c, valid));
    shapes.into_iter().map(case).collect()
}

/// The first of the largest in each row of `z` `[rows, c]`.
pub(super) fn largest(z: &[f32], c: usize) -> Vec<u32> {
    let first = |row: &[f32]| (1..c).fold(0, |best, j| if row[j] > row[best] { j } else { best }) as u32;
    z.chunks_exact(c).map(first).collect()
}

fn exact(what: &str, got: Vec<u32>, want: Vec<u32>) -> Check {
    let got = got.into_iter().map(|v| v as f32).collect();
    Check { what: what.into(), got, want: want.into_iter().map(f64::from).collect(), tolerance: 0.0 }
}

fn run(gpu: &Gpu, b: usize, c: usize, valid: usize) -> Result<Vec<Check>> {
    // Rounded, so that some rows have several largest logits; without −0, which some orders put below 0.
    let z: Vec<f32> = values(1, b * c).iter().map(|v| (2.0 * v).round() + 0.0).collect();
    let labels: Vec<u32> = (0..b).map(|i| if i % 4 == 3 { u32::MAX } else { (i * 7 % c) as u32 }).collect();
    let there: Vec<u32> = (0..c * c).map(|i| (i % 5) as u32).collect();
    let mut want = there.clone();
    let counted = reference::confusion::counts(&f64s(&z)[..valid * c], &labels[..valid], c);
    want.iter_mut().zip(counted).for_each(|(w, n)| *w += n as u32);
    let best = largest(&z, c);
    let z = Tensor::from_f32(gpu, &z, &[b, c])?;
    let labels = Tensor::from_u32(gpu, &labels, &[b])?;
    let counts = Tensor::from_u32(gpu, &there, &[c, c])?;
    confusion(gpu, &z, &labels, valid, &counts)?;
    Ok(vec![exact("counts", counts.to_u32(gpu)?, want), exact("argmax", argmax(gpu, &z)?.to_u32(gpu)?, best)])
}

/// Counts and predictions of maps of 128x128 pixels of 21 classes: 8 of them, 2 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let images = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let (rows, c) = (images * 128 * 128, 21);
    let workload = |(name, bytes, counted): (&str, usize, bool)| Workload {
        name: format!("{images}x128x128x{c}/{name}"),
        variant: None,
        // A comparison of each logit.
        flops: (rows * c) as u64,
        bytes: bytes as u64,
        prepare: Box::new(move |gpu| if counted { counts(gpu, rows, c) } else { predictions(gpu, rows, c) }),
    };
    // Logits are read, with their labels and each count written anew; or a prediction of each row is written.
    [("counts", 4 * (rows * c + rows) + 8 * c * c, true), ("argmax", 4 * (rows * c + rows), false)].map(workload).into()
}

pub(super) fn counts(gpu: &Gpu, rows: usize, c: usize) -> Result<Prepared> {
    let logits = values(1, rows * c);
    let truth: Vec<u32> = (0..rows).map(|i| if i % 16 == 3 { u32::MAX } else { (i / 64 % c) as u32 }).collect();
    let (z, labels) = (Tensor::from_f32(gpu, &logits, &[rows, c])?, Tensor::from_u32(gpu, &truth, &[rows])?);
    let (again, counts) = ((z.clone(), labels.clone()), Tensor::from_u32(gpu, &vec![0; c * c], &[c, c])?);
    Ok(Prepared {
        run: Box::new(move |gpu| confusion(gpu, &z, &labels, rows, &counts)),
        check: Box::new(move |gpu| {
            // Of their own, as the others are added to with every run.
            let counts = Tensor::from_u32(gpu, &vec![0; c * c], &[c, c])?;
            confusion(gpu, &again.0, &again.1, rows, &counts)?;
            let want = reference::confusion::counts(&f64s(&logits), &truth, c).into_iter().map(|n| n as u32).collect();
            Ok(vec![exact("counts", counts.to_u32(gpu)?, want)])
        }),
    })
}

pub(super) fn predictions(gpu: &Gpu, rows: usize, c: usize) -> Result<Prepared> {
    let logits = values(1, rows * c);
    let z = Tensor::from_f32(gpu, &logits, &[rows, c])?;
    let again = z.clone();
    Ok(Prepared {
        run: Box::new(move |gpu| argmax(gpu, &z).map(|_| ())),
        check: Box::new(move |gpu| Ok(vec![exact("argmax", argmax(gpu, &again)?.to_u32(gpu)?, largest(&logits, c))])),
    })
}
