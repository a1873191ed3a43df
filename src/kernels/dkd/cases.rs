//! What is tried of `dkd`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, f64s, fused, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [false, true].map(|grad| variant(*r, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even rows and classes, rows without labels, and a student that is sure.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 3), (5, 10), (17, 100), (33, 65), (65, 10), (5, 1000)];
    let all = shapes.iter().flat_map(|s| [3.0, 40.0].map(|scale| (*s, scale)));
    all.map(|((b, c), scale)| Case::new(format!("[{b}, {c}] scale {scale}"), move |g| run(g, b, c, scale))).collect()
}

fn run(gpu: &Gpu, b: usize, c: usize, scale: f32) -> Result<Vec<Check>> {
    let scaled = |seed| values(seed, b * c).iter().map(|v| scale * v).collect::<Vec<f32>>();
    let (zs, zt) = (scaled(1), scaled(2));
    let labels: Vec<u32> = (0..b).map(|i| if i % 3 == 2 { u32::MAX } else { (7 * i % c) as u32 }).collect();
    let settings = Settings { temperature: 4.0, alpha: 1.0, beta: 8.0 };
    let (zs64, zt64) = (f64s(&zs), f64s(&zt));
    let loss = reference::dkd::forward(&zs64, &zt64, &labels, c, 4.0, 1.0, 8.0);
    let grad = reference::dkd::grad(&zs64, &zt64, &labels, c, 4.0, 1.0, 8.0);
    let (zs, zt) = (Tensor::from_f32(gpu, &zs, &[b, c])?, Tensor::from_f32(gpu, &zt, &[b, c])?);
    let labels = Tensor::from_u32(gpu, &labels, &[b])?;
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        checks.extend(fused(gpu, &format!("{rows:?}"), (&[b, c], b), 0.75, (loss, &grad), c, |out| {
            dkd_with(gpu, (&zs, &zt, &labels), settings, out, rows)
        })?);
    }
    Ok(checks)
}
