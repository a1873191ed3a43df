//! Contrastive distillation (Tian et al. 2020), fused with its gradients.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{RowParallelism, added, bind_gradient, destination, expect, flag, total};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines, reference};

const SOURCE: Source = Source { name: "contrast", text: include_str!("../../shaders/contrast.wgsl") };

/// What is contrasted: embeddings of length 1.
#[derive(Debug, Clone, Copy)]
pub struct Contrast<'a> {
    /// Those that are judged, `[n, d]`.
    pub anchors: &'a Tensor,
    /// Those of the same samples on the other side, `[n, d]`.
    pub positives: &'a Tensor,
    /// The products of the anchors with the bank, `[n, k]`.
    pub scores: &'a Tensor,
    /// The samples' classes, `[n]` (`u32`; `u32::MAX`: none).
    pub labels: &'a Tensor,
    /// The classes of the bank's entries, `[k]` (−1: none).
    pub classes: &'a Tensor,
    /// The temperature.
    pub tau: f32,
}

/// `weight ·` the loss; `row_loss` `[n]`. The gradient of the scores `[n, k]` is written, that of the anchors without it is
/// added to or written over the target.
pub fn contrast(
    gpu: &Gpu,
    what: Contrast,
    weight: f32,
    targets: Option<(&Tensor, &GradTarget)>,
    row_loss: &Tensor,
) -> Result<()> {
    let rows = RowParallelism::choose(what.scores.columns(), gpu.profile().class);
    contrast_with(gpu, what, weight, targets, row_loss, rows)
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`contrast`] with rows worked through in a given way.
pub fn contrast_with(
    gpu: &Gpu,
    what: Contrast,
    weight: f32,
    targets: Option<(&Tensor, &GradTarget)>,
    row_loss: &Tensor,
    rows: RowParallelism,
) -> Result<()> {
    let Contrast { anchors, positives, scores, labels, classes, tau } = what;
    let (n, d, k) = (anchors.rows(), anchors.columns(), classes.len());
    expect("contrast", "the positives", positives, anchors.shape())?;
    expect("contrast", "the scores", scores, &[n, k])?;
    expect("contrast", "the labels", labels, &[n])?;
    expect("contrast", "row_loss", row_loss, &[n])?;
    let ds = targets.map(|(_, ds)| ds);
    let mut launch = gpu
        .launch(SOURCE, "contrast", &variant(rows, targets.is_some()))?
        .bind("s", anchors)
        .bind("t", positives)
        .bind("scores", scores)
        .bind("labels", labels)
        .bind("classes", classes)
        .bind("row_loss", row_loss)
        .u32("rows", n)
        .u32("columns", k)
        .u32("depth", d)
        .u32("accumulate", flag(ds))
        .f32("weight", weight)
        .f32("per_tau", 1.0 / tau)
        .f32("log_z", 1.0 / (2.0 * d as f32 * tau * tau))
        .cost(30 * scores.len() as u64);
    if let Some((dscores, ds)) = targets {
        expect("contrast", "dscores", dscores, &[n, k])?;
        expect("contrast", "the anchors' gradient", &ds.tensor, anchors.shape())?;
        launch = bind_gradient(launch, "ds", Some(ds)).bind("dscores", dscores);
    }
    rows.dispatch(launch, [n, k.max(d)])
}

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
            contrast_with(gpu, what, 0.75, gradient.map(|_| (&own, &out)), &row_loss, rows)?;
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
