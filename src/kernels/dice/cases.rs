//! What is tried of `dice`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, f64s, fused, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    RowParallelism::ALL.map(|rows| Permutation { source: SOURCE, defines: variant_defines(rows) }).into()
}

/// Odd and even pixels and classes, chunks of many lengths, without smoothing and with; every fourth pixel without a label, or all of
/// them; classes that do not occur, and classes that do not count; maps that are all but right.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 3), (17, 100), (65, 5), (33, 65), (5, 1000), (5000, 2), (4099, 21)];
    let all = shapes.iter().flat_map(|s| [0.0, 1.0].map(|smoothing| (*s, smoothing)));
    let mut cases: Vec<Case> = all
        .map(|((b, c), s)| {
            case(b, c, s, "a quarter missing", |i, c| if i % 4 == 3 { MISSING } else { (i * 7 % c) as u32 })
        })
        .collect();
    cases.push(case(65, 10, 1e-5, "all missing", |_, _| MISSING));
    cases.push(case(65, 10, 0.0, "all missing, no smoothing", |_, _| MISSING));
    cases.push(case(65, 10, 1e-5, "two classes of ten", |i, _| [2, 7][i % 2]));
    // Class 4 counts nothing.
    cases.push(case(65, 10, 1e-5, "nothing that counts", |_, _| 4));
    cases.push(case(300, 4, 1e-5, "one pixel of a class", |i, _| if i == 123 { 3 } else { (i % 2) as u32 }));
    cases
}

fn case(b: usize, c: usize, smoothing: f32, which: &str, label: fn(usize, usize) -> u32) -> Case {
    Case::new(format!("[{b}, {c}] smoothing {smoothing}, {which}"), move |gpu| run(gpu, b, c, smoothing, label))
}

fn run(gpu: &Gpu, b: usize, c: usize, smoothing: f32, label: fn(usize, usize) -> u32) -> Result<Vec<Check>> {
    let labels: Vec<u32> = (0..b).map(|i| label(i, c)).collect();
    // Every fifth class but the first counts nothing.
    let class_weights: Vec<f32> = (0..c).map(|j| if j % 5 == 4 { 0.0 } else { 0.5 + j as f32 / c as f32 }).collect();
    let (ws, weight) = (f64s(&class_weights), 0.75);
    let class_weights = Tensor::from_f32(gpu, &class_weights, &[c])?;
    let truth = Tensor::from_u32(gpu, &labels, &[b])?;
    let mut checks = Vec::new();
    // What says little, and what is nearly right: there the loss is a small rest.
    for right in [0.0, 12.0] {
        let hit = |i: usize| labels[i / c] as usize == i % c;
        let said = values(1, b * c).into_iter().enumerate();
        let z: Vec<f32> = said.map(|(i, v)| 3.0 * v + if hit(i) { right } else { 0.0 }).collect();
        let (loss, grad) = (
            reference::dice::forward(&f64s(&z), &labels, &ws, smoothing.into()),
            reference::dice::grad(&f64s(&z), &labels, &ws, smoothing.into()),
        );
        let z = Tensor::from_f32(gpu, &z, &[b, c])?;
        for variant in RowParallelism::ALL {
            let what = format!("{variant:?}, right by {right}");
            checks.extend(fused(gpu, &what, (&[b, c], c), weight, (loss, &grad), c, |out| {
                dice_with(gpu, &z, &truth, &class_weights, smoothing, out, variant)
            })?);
        }
    }
    Ok(checks)
}
