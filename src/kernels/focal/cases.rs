//! What is tried of `focal`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, f64s, fused, values};
use crate::reference;

/// Every variant.
fn variants() -> Vec<(RowParallelism, Counting)> {
    RowParallelism::ALL.iter().flat_map(|r| Counting::ALL.map(|c| (*r, c))).collect()
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let kinds = [(false, false), (true, false), (false, true), (true, true)];
    let all = variants().into_iter().flat_map(|v| kinds.map(|(grad, poly)| variant_defines(v, grad, poly)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even rows and classes, without focus and with, every fourth label missing or all of them, classes that do not count.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 3), (5, 10), (17, 100), (33, 65), (5, 1000), (5000, 2)];
    let all = shapes.iter().flat_map(|s| [0.0, 1.0, 2.0].map(|gamma| (*s, gamma)));
    let mut cases: Vec<Case> =
        all.map(|((b, c), gamma)| case(b, c, gamma, "a quarter missing", |i| i % 4 == 3)).collect();
    cases.push(case(5, 10, 2.0, "all missing", |_| true));
    cases
}

fn case(b: usize, c: usize, gamma: f32, which: &str, missing: fn(usize) -> bool) -> Case {
    Case::new(format!("[{b}, {c}] gamma {gamma}, {which}"), move |gpu| run(gpu, b, c, gamma, missing))
}

fn run(gpu: &Gpu, b: usize, c: usize, gamma: f32, missing: fn(usize) -> bool) -> Result<Vec<Check>> {
    let z: Vec<f32> = values(1, b * c).iter().map(|v| 3.0 * v).collect();
    let labels: Vec<u32> = (0..b).map(|i| if missing(i) { MISSING } else { (i * 7 % c) as u32 }).collect();
    // Every fifth class but the first counts nothing.
    let class_weights: Vec<f32> = (0..c).map(|j| if j % 5 == 4 { 0.0 } else { 0.5 + j as f32 / c as f32 }).collect();
    let weight = 0.75;
    let (zs, ws) = (f64s(&z), f64s(&class_weights));
    let loss = reference::focal::forward(&zs, &labels, &ws, gamma.into());
    let dz = reference::focal::grad(&zs, &labels, &ws, gamma.into());
    let poly = [-1.0f32, 2.0].map(|epsilon| {
        let loss = reference::focal::poly1(&zs, &labels, &ws, epsilon.into());
        (epsilon, (loss, reference::focal::poly1_grad(&zs, &labels, &ws, epsilon.into())))
    });
    let (z, labels) = (Tensor::from_f32(gpu, &z, &[b, c])?, Tensor::from_u32(gpu, &labels, &[b])?);
    let class_weights = Tensor::from_f32(gpu, &class_weights, &[c])?;
    let mut checks = Vec::new();
    for variant in variants() {
        let what = format!("{variant:?}");
        checks.extend(fused(gpu, &what, (&[b, c], b), weight, (loss, &dz), c, |out| {
            focal_with(gpu, &z, &labels, &class_weights, gamma, out, variant)
        })?);
        if gamma == 0.0 {
            for (epsilon, (loss, dz)) in &poly {
                let what = format!("poly-1, epsilon {epsilon}, {what}");
                checks.extend(fused(gpu, &what, (&[b, c], b), weight, (*loss, dz), c, |out| {
                    poly1_with(gpu, &z, &labels, &class_weights, *epsilon, out, variant)
                })?);
            }
        }
    }
    Ok(checks)
}
