//! Contrastive distillation (Tian et al. 2020), fused with its gradients.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::LossOut;
use super::rows::{RowParallelism, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

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

/// The loss of the anchors, in shares `[n]`. With their gradient (without what reaches them through the scores) that of the scores is
/// written to `dscores` `[n, k]`; the two are wanted together or not at all.
pub fn contrast(gpu: &Gpu, what: Contrast, out: LossOut, dscores: Option<&Tensor>) -> Result<()> {
    let rows = RowParallelism::choose(what.scores.columns(), gpu.profile().class);
    contrast_with(gpu, what, out, dscores, rows)
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`contrast`] with rows worked through in a given way.
pub fn contrast_with(
    gpu: &Gpu,
    what: Contrast,
    out: LossOut,
    dscores: Option<&Tensor>,
    rows: RowParallelism,
) -> Result<()> {
    let Contrast { anchors, positives, scores, labels, classes, tau } = what;
    let (n, d, k) = (anchors.rows(), anchors.columns(), classes.len());
    expect("contrast", "the positives", positives, anchors.shape())?;
    expect("contrast", "the scores", scores, &[n, k])?;
    expect("contrast", "the labels", labels, &[n])?;
    out.check("contrast", anchors, n)?;
    if out.grad.is_some() != dscores.is_some() {
        return Err(Error::Invalid("contrast: the gradients of anchors and scores are computed together".into()));
    }
    let mut launch = gpu
        .launch(SOURCE, "contrast", &variant(rows, dscores.is_some()))?
        .bind("s", anchors)
        .bind("t", positives)
        .bind("scores", scores)
        .bind("labels", labels)
        .bind("classes", classes)
        .u32("rows", n)
        .u32("columns", k)
        .u32("depth", d)
        .f32("per_tau", 1.0 / tau)
        .f32("log_z", 1.0 / (2.0 * d as f32 * tau * tau))
        .cost(30 * scores.len() as u64);
    if let Some(dscores) = dscores {
        expect("contrast", "dscores", dscores, &[n, k])?;
        launch = launch.bind("dscores", dscores);
    }
    rows.dispatch(out.bind(out.set(launch), "ds"), [n, k.max(d)])
}
