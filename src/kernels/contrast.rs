//! Contrastive distillation (Tian et al. 2020), fused with its gradients.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::rows::{RowParallelism, bind_gradient, expect, flag};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

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
