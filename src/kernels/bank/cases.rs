//! What is tried of `bank`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Several batches, over the end of the ring, and batches larger than it.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1, 1), (3, 5, 8), (4, 7, 4), (70, 3, 128), (9, 2, 4), (200, 16, 33)];
    shapes
        .into_iter()
        .map(|(n, d, k)| Case::new(format!("[{n}, {d}] into {k}"), move |gpu| run(gpu, n, d, k)))
        .collect()
}

fn run(gpu: &Gpu, n: usize, d: usize, k: usize) -> Result<Vec<Check>> {
    let (mut bank64, mut classes64, mut cursor64) = (vec![0.5; k * d], vec![-1.0; k], 0);
    let bank = Tensor::from_f32(gpu, &vec![0.5; k * d], &[k, d])?;
    let (classes, cursor) = (Tensor::from_f32(gpu, &vec![-1.0; k], &[k])?, Tensor::from_f32(gpu, &[0.0], &[1])?);
    let ring = Ring { classes: &classes, cursor: &cursor };
    for batch in 0..3 {
        let x = values(batch, n * d);
        let labels: Vec<u32> = (0..n as u32).map(|i| if i % 5 == 4 { u32::MAX } else { i + batch as u32 }).collect();
        cursor64 = reference::bank::put((&f64s(&x), &labels), &mut bank64, &mut classes64, cursor64);
        put(gpu, &Tensor::from_f32(gpu, &x, &[n, d])?, &bank, ring)?;
        close(gpu, &Tensor::from_u32(gpu, &labels, &[n])?, ring)?;
    }
    Ok(vec![
        Check::sum("bank", bank.to_f32(gpu)?, bank64, 1),
        Check::sum("classes", classes.to_f32(gpu)?, classes64, 1),
        Check::sum("cursor", cursor.to_f32(gpu)?, vec![cursor64 as f64], 1),
    ])
}
