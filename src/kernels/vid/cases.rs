//! What is tried of `vid`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, total, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [false, true].map(|grad| variant(*r, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even rows and channels.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 5), (65, 16), (33, 100), (9, 513)];
    shapes.into_iter().map(|(m, c)| Case::new(format!("[{m}, {c}]"), move |gpu| run(gpu, m, c))).collect()
}

fn run(gpu: &Gpu, n: usize, c: usize) -> Result<Vec<Check>> {
    let (m, t) = (values(1, n * c), values(2, n * c));
    let rho: Vec<f32> = values(3, c).iter().map(|v| 4.0 * v).collect();
    let (m64, t64, rho64) = (f64s(&m), f64s(&t), f64s(&rho));
    let loss = reference::vid::forward(&m64, &t64, &rho64, EPS.into());
    let (dm, drho) = reference::vid::grad(&m64, &t64, &rho64, EPS.into());
    let (m, t) = (Tensor::from_f32(gpu, &m, &[n, c])?, Tensor::from_f32(gpu, &t, &[n, c])?);
    let rho = Tensor::from_f32(gpu, &rho, &[c])?;
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        for accumulate in [false, true] {
            let what = format!("{rows:?}, accumulate {accumulate}");
            let (out, there) = destination(gpu, &[n, c], accumulate)?;
            let (out_rho, there_rho) = destination(gpu, &[c], accumulate)?;
            let row_loss = Tensor::empty(gpu, &[n])?;
            let to = LossOut { weight: 0.75, grad: Some(&out), row_loss: &row_loss };
            vid_with(gpu, (&m, &t, &rho), to, Some(&out_rho), rows)?;
            let want = vec![0.75 * loss];
            checks.push(Check::sum(format!("loss, {what}"), total(gpu, &row_loss)?, want, n * c));
            let want = added(&there, 0.75, &dm);
            checks.push(Check::sum(format!("dm, {what}"), out.tensor.to_f32(gpu)?, want, 4));
            let want = added(&there_rho, 0.75, &drho);
            checks.push(Check::sum(format!("drho, {what}"), out_rho.tensor.to_f32(gpu)?, want, 16 * n));
        }
        let row_loss = Tensor::empty(gpu, &[n])?;
        let to = LossOut { weight: 0.75, grad: None, row_loss: &row_loss };
        vid_with(gpu, (&m, &t, &rho), to, None, rows)?;
        checks.push(Check::sum(format!("loss alone, {rows:?}"), total(gpu, &row_loss)?, vec![0.75 * loss], n * c));
    }
    Ok(checks)
}
