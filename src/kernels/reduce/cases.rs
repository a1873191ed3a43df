//! What is tried of `reduce`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Odd rows and columns, one chunk and many, more rows than 64 invocations may see, and more columns than a row of workgroups has.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 5), (17, 33), (65, 3), (1000, 10), (5, 1000), (40_000, 3), (9216, 16), (4_200_000, 1)];
    shapes
        .into_iter()
        .chain([(2, 4_200_000)])
        .map(|(m, c)| Case::new(format!("{m} x {c}"), move |gpu| run(gpu, m, c)))
        .collect()
}

fn run(gpu: &Gpu, m: usize, c: usize) -> Result<Vec<Check>> {
    let x = values(5, m * c);
    let x64 = f64s(&x);
    let x = Tensor::from_f32(gpu, &x, &[m, c])?;
    let mut checks = Vec::new();
    for accumulate in [false, true] {
        let (out, there) = destination(gpu, &[c], accumulate)?;
        column_sum(gpu, &x, 0.5, &out)?;
        let want = added(&there, 0.5, &reference::reduce::column_sum(&x64, c));
        checks.push(Check::sum(format!("column_sum, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, m));
    }
    // The places beside the one that is written keep what they have; a row that is not there is not written.
    let places = Tensor::from_f32(gpu, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])?;
    let cursor = Tensor::from_u32(gpu, &[1], &[1])?;
    total(gpu, &x, 2.0, &GradTarget::fresh(places.clone()), &cursor, 1)?;
    total(gpu, &x, 0.5, &GradTarget { tensor: places.clone(), accumulate: true }, &cursor, 2)?;
    cursor.write_u32(gpu, &[2])?;
    total(gpu, &x, 2.0, &GradTarget::fresh(places.clone()), &cursor, 0)?;
    let sum = reference::reduce::sum(&x64);
    let want = vec![1.0, 2.0, 3.0, 4.0, 2.0 * sum, 6.0 + 0.5 * sum];
    checks.push(Check::sum("total", places.to_f32(gpu)?, want, m * c));
    Ok(checks)
}
