//! What is tried of `gramian`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    (1..=4).map(|tile| Permutation { source: SOURCE, defines: tiles(tile) }).collect()
}

/// One task to many, short gradients and long ones.
pub fn cases() -> Vec<Case> {
    let shapes =
        [(1, 1), (1, 70), (2, 64), (2, 100_003), (3, 65), (4, 4096), (5, 1000), (9, 33), (17, 130), (2, 5_000_000)];
    shapes.into_iter().map(|(k, d)| Case::new(format!("{k} x {d}"), move |gpu| run(gpu, k, d))).collect()
}

fn run(gpu: &Gpu, k: usize, d: usize) -> Result<Vec<Check>> {
    let (j, w) = (values(1, k * d), values(2, k + 3));
    let rows = GradientRows::new(gpu, k, d)?;
    for (i, row) in j.chunks_exact(d).enumerate() {
        rows.row(i, &[d])?.copy_from(gpu, &Tensor::from_f32(gpu, row, &[d])?)?;
    }
    let (j, w64) = (f64s(&j), f64s(&w));
    let w = Tensor::from_f32(gpu, &w, &[k + 3])?;
    let mut checks = Vec::new();
    for accumulate in [false, true] {
        for tile in 1..=k.min(4) {
            let (out, there) = destination(gpu, &[k, k], accumulate)?;
            rows.products_with(gpu, &out, tile)?;
            let want = reference::gramian::products(&j, k).iter().zip(&there).map(|(a, b)| a + b).collect();
            let what = format!("products, tile {tile}, accumulate {accumulate}");
            checks.push(Check::sum(what, out.tensor.to_f32(gpu)?, want, 16));
        }
        let (out, there) = destination(gpu, &[d], accumulate)?;
        rows.combine_from(gpu, &w, 3, &out)?;
        let want = reference::gramian::combine(&j, &w64[3..]).iter().zip(&there).map(|(a, b)| a + b).collect();
        checks.push(Check::sum(format!("combine, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, k));
    }
    Ok(checks)
}
