//! What is tried of `fuse`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    RowParallelism::ALL.iter().map(|r| Permutation { source: SOURCE, defines: defines! { WIDE = r.wide() } }).collect()
}

/// Odd and even rows and channels.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 5), (65, 16), (33, 100), (9, 513)];
    shapes.into_iter().map(|(m, c)| Case::new(format!("[{m}, {c}]"), move |gpu| run(gpu, m, c))).collect()
}

fn run(gpu: &Gpu, m: usize, c: usize) -> Result<Vec<Check>> {
    let small = |seed, n| values(seed, n).iter().map(|v| v / (c as f32).sqrt()).collect::<Vec<f32>>();
    let (x, y, dz) = (values(1, m * c), values(2, m * c), values(3, m * c));
    let (wx, wy, bias) = (small(4, 2 * c), small(5, 2 * c), values(6, 2));
    let all = [&x, &y, &wx, &wy, &bias].map(|v| f64s(v));
    let (want, _) = reference::fuse::forward([&all[0], &all[1], &all[2], &all[3], &all[4]]);
    let grads = reference::fuse::grad([&all[0], &all[1], &all[2], &all[3], &all[4]], &f64s(&dz));
    let [x, y, dz] = [&x, &y, &dz].map(|v| Tensor::from_f32(gpu, v, &[m, c]));
    let (x, y, dz) = (x?, y?, dz?);
    let (wx, wy) = (Tensor::from_f32(gpu, &wx, &[2, c])?, Tensor::from_f32(gpu, &wy, &[2, c])?);
    let bias = Tensor::from_f32(gpu, &bias, &[2])?;
    let attention = Attention { wx: &wx, wy: &wy, bias: &bias };
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        let (z, gates) = fuse_with(gpu, &x, &y, attention, rows)?;
        checks.push(Check::sum(format!("z, {rows:?}"), z.to_f32(gpu)?, want.clone(), c));
        for accumulate in [false, true] {
            let shapes: [&[usize]; 5] = [&[m, c], &[m, c], &[2, c], &[2, c], &[2]];
            let out = shapes.map(|shape| destination(gpu, shape, accumulate));
            let out = out.into_iter().collect::<Result<Vec<_>>>()?;
            let targets =
                FuseTargets { dx: &out[0].0, dy: &out[1].0, dwx: &out[2].0, dwy: &out[3].0, dbias: &out[4].0 };
            fuse_grad_with(gpu, (&x, &y), attention, &gates, &dz, targets, rows)?;
            for ((name, (target, there)), grad) in ["dx", "dy", "dwx", "dwy", "dbias"].iter().zip(&out).zip(&grads) {
                let what = format!("{name}, {rows:?}, accumulate {accumulate}");
                checks.push(Check::sum(what, target.tensor.to_f32(gpu)?, added(there, 1.0, grad), 4 * m * c));
            }
        }
    }
    Ok(checks)
}
