//! What is tried of `concat`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// One part, several of different lengths, single rows and columns.
pub fn cases() -> Vec<Case> {
    let all: [(usize, usize, &[usize]); 4] = [(1, 1, &[1]), (3, 5, &[7]), (2, 9, &[16, 4, 1]), (5, 3, &[33, 17])];
    all.map(|(n, c, rows)| Case::new(format!("{n} of {rows:?} x {c}"), move |gpu| run(gpu, n, c, rows))).into()
}

fn run(gpu: &Gpu, n: usize, c: usize, rows: &[usize]) -> Result<Vec<Check>> {
    let total: usize = rows.iter().sum();
    let parts: Vec<Vec<f32>> = rows.iter().enumerate().map(|(i, r)| values(i as u64, n * r * c)).collect();
    let on_gpu = parts.iter().zip(rows).map(|(p, r)| Tensor::from_f32(gpu, p, &[n, *r, c]));
    let on_gpu = on_gpu.collect::<Result<Vec<_>>>()?;
    let wide: Vec<Vec<f64>> = parts.iter().map(|p| f64s(p)).collect();
    let references: Vec<(&[f64], usize)> = wide.iter().map(Vec::as_slice).zip(rows.iter().copied()).collect();
    let got = concat(gpu, &on_gpu.iter().collect::<Vec<_>>())?.to_f32(gpu)?;
    let mut checks = vec![Check::sum("whole", got, reference::concat::forward(&references, n, c), 1)];
    let dy = values(99, n * total * c);
    let dy_gpu = Tensor::from_f32(gpu, &dy, &[n, total, c])?;
    let mut offset = 0;
    for r in rows {
        for accumulate in [false, true] {
            let (out, there) = destination(gpu, &[n, *r, c], accumulate)?;
            concat_grad(gpu, &dy_gpu, offset, &out)?;
            let want = added(&there, 1.0, &reference::concat::grad(&f64s(&dy), n, c, (offset, *r, total)));
            checks.push(Check::sum(format!("part at {offset}, {accumulate}"), out.tensor.to_f32(gpu)?, want, 1));
        }
        offset += r;
    }
    Ok(checks)
}
