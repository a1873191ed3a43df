//! What is tried of `contrast`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, total, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [false, true].map(|grad| variant(*r, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Banks smaller and larger than the batch and the depth; samples without a class, and one without negatives.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 3, 1), (4, 8, 7), (9, 130, 5), (33, 16, 300), (3, 5, 1000)];
    shapes
        .into_iter()
        .map(|(n, d, k)| Case::new(format!("[{n}, {d}] bank {k}"), move |gpu| run(gpu, n, d, k)))
        .collect()
}

fn run(gpu: &Gpu, n: usize, d: usize, k: usize) -> Result<Vec<Check>> {
    let (s, t) = (values(1, n * d), values(2, n * d));
    let [s, t] = [s, t].map(|v| v.iter().map(|v| v / (d as f32).sqrt()).collect::<Vec<f32>>());
    let scores: Vec<f32> = values(3, n * k).iter().map(|v| v * 0.5).collect();
    let labels: Vec<u32> = (0..n).map(|i| if i % 4 == 3 { u32::MAX } else { (i % 4) as u32 }).collect();
    let classes: Vec<f32> = (0..k).map(|j| if k == 1 { 0.0 } else { (j % 5) as f32 - 1.0 }).collect();
    let tau = 0.3;
    let [s64, t64, scores64, classes64] = [&s, &t, &scores, &classes].map(|v| f64s(v));
    let what = reference::contrast::Contrast {
        anchors: &s64,
        positives: &t64,
        scores: &scores64,
        labels: &labels,
        classes: &classes64,
        tau: f64::from(tau),
    };
    let (loss, (dscores, ds)) = (reference::contrast::forward(&what), reference::contrast::grad(&what));
    let (s, t) = (Tensor::from_f32(gpu, &s, &[n, d])?, Tensor::from_f32(gpu, &t, &[n, d])?);
    let (scores, classes) = (Tensor::from_f32(gpu, &scores, &[n, k])?, Tensor::from_f32(gpu, &classes, &[k])?);
    let labels = Tensor::from_u32(gpu, &labels, &[n])?;
    let what = Contrast { anchors: &s, positives: &t, scores: &scores, labels: &labels, classes: &classes, tau };
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        for gradient in [None, Some(false), Some(true)] {
            let name = format!("{rows:?}, accumulate {gradient:?}");
            let (out, there) = destination(gpu, &[n, d], gradient == Some(true))?;
            let (own, row_loss) = (Tensor::empty(gpu, &[n, k])?, Tensor::empty(gpu, &[n])?);
            let to = LossOut { weight: 0.75, grad: gradient.map(|_| &out), row_loss: &row_loss };
            contrast_with(gpu, what, to, gradient.map(|_| &own), rows)?;
            checks.push(Check::sum(format!("loss, {name}"), total(gpu, &row_loss)?, vec![0.75 * loss], n * k + d));
            if gradient.is_some() {
                let want = dscores.iter().map(|v| 0.75 * v).collect();
                checks.push(Check::sum(format!("dscores, {name}"), own.to_f32(gpu)?, want, 16));
                let want = added(&there, 0.75, &ds);
                checks.push(Check::sum(format!("ds, {name}"), out.tensor.to_f32(gpu)?, want, 4 * d));
            }
        }
    }
    Ok(checks)
}
