//! Distillation on logits (Hinton, Vinyals and Dean 2015), with logit standardisation (Sun et al. 2024) where wanted,
//! fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::rows::{RowParallelism, bind_gradient, expect, flag};
use super::softmax::check_temperature;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "distill_kl", text: include_str!("../../shaders/distill_kl.wgsl") };

/// `weight · T²/b Σ KL(softmax(zt / T) ‖ softmax(zs / T))` over the `b` rows.
///
/// `zs`, `zt` and `dzs` `[b, classes]`; `standardise` is the ε of `z ← (z − mean) / (std + ε)`, applied to both logits
/// first; `dzs` receives `weight ·` the gradient, `row_loss` `[b]` the weighted shares, whose sum is the loss.
pub fn distill_kl(
    gpu: &Gpu,
    zs: &Tensor,
    zt: &Tensor,
    temperature: f32,
    standardise: Option<f32>,
    weight: f32,
    dzs: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    distill_kl_with(
        gpu,
        zs,
        zt,
        temperature,
        standardise,
        weight,
        dzs,
        row_loss,
        RowParallelism::choose(zs.columns(), gpu.profile().class),
    )
}

fn variant_defines(rows: RowParallelism, standardise: bool, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), STANDARDISE = standardise, GRAD = grad }
}

/// [`distill_kl`] with rows worked through in a given way.
pub fn distill_kl_with(
    gpu: &Gpu,
    zs: &Tensor,
    zt: &Tensor,
    temperature: f32,
    standardise: Option<f32>,
    weight: f32,
    dzs: Option<&GradTarget>,
    row_loss: &Tensor,
    rows: RowParallelism,
) -> Result<()> {
    check_temperature("distill_kl", temperature)?;
    expect("distill_kl", "the teacher's logits", zt, zs.shape())?;
    expect("distill_kl", "row_loss", row_loss, &[zs.rows()])?;
    if let Some(dzs) = dzs {
        expect("distill_kl", "dzs", &dzs.tensor, zs.shape())?;
    }
    if standardise.is_some() && zs.columns() < 2 {
        return Err(Error::Shape(format!("distill_kl: {:?} cannot be standardised, it needs 2 classes", zs.shape())));
    }
    let launch = gpu
        .launch(SOURCE, "distill_kl", &variant_defines(rows, standardise.is_some(), dzs.is_some()))?
        .bind("zs", zs)
        .bind("zt", zt)
        .bind("row_loss", row_loss)
        .u32("rows", zs.rows())
        .u32("columns", zs.columns())
        .u32("accumulate", flag(dzs))
        .f32("temperature", temperature)
        .f32("eps", standardise.unwrap_or(0.0))
        .f32("weight", weight)
        .cost(80 * zs.len() as u64);
    rows.dispatch(bind_gradient(launch, "dzs", dzs), [zs.rows(), zs.columns()])
}
