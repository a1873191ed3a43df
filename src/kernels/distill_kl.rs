//! Distillation on logits (Hinton, Vinyals and Dean 2015), with logit standardisation (Sun et al. 2024) where wanted,
//! fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::LossOut;
use super::rows::{RowParallelism, expect};
use super::softmax::check_temperature;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "distill_kl", text: include_str!("../../shaders/distill_kl.wgsl") };

/// `T²/b Σ KL(softmax(zt / T) ‖ softmax(zs / T))` over the `b` rows.
///
/// `zs` and `zt` `[b, classes]`; `standardise` is the ε of `z ← (z − mean) / (std + ε)`, applied to both logits first; shares `[b]`.
pub fn distill_kl(
    gpu: &Gpu,
    (zs, zt): (&Tensor, &Tensor),
    temperature: f32,
    standardise: Option<f32>,
    out: LossOut,
) -> Result<()> {
    let rows = RowParallelism::choose(zs.columns(), gpu.profile().class);
    distill_kl_with(gpu, (zs, zt), temperature, standardise, out, rows)
}

fn variant_defines(rows: RowParallelism, standardise: bool, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), STANDARDISE = standardise, GRAD = grad }
}

/// [`distill_kl`] with rows worked through in a given way.
pub fn distill_kl_with(
    gpu: &Gpu,
    (zs, zt): (&Tensor, &Tensor),
    temperature: f32,
    standardise: Option<f32>,
    out: LossOut,
    rows: RowParallelism,
) -> Result<()> {
    check_temperature("distill_kl", temperature)?;
    expect("distill_kl", "the teacher's logits", zt, zs.shape())?;
    if standardise.is_some() && zs.columns() < 2 {
        return Err(Error::Shape(format!("distill_kl: {:?} cannot be standardised, it needs 2 classes", zs.shape())));
    }
    let defines = variant_defines(rows, standardise.is_some(), out.grad.is_some());
    let launch = out
        .launch(gpu, (SOURCE, "distill_kl"), &defines, zs, "dzs")?
        .bind("zs", zs)
        .bind("zt", zt)
        .f32("temperature", temperature)
        .f32("eps", standardise.unwrap_or(0.0))
        .cost(80 * zs.len() as u64);
    rows.dispatch(launch, [zs.rows(), zs.columns()])
}
