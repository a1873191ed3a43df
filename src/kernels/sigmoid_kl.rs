//! Distillation of independent attributes, fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::rows::{RowParallelism, bind_gradient, expect, flag};
use super::softmax::check_temperature;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source = Source { name: "sigmoid_kl", text: include_str!("../../shaders/sigmoid_kl.wgsl") };

/// `weight · T² · mean over samples of Σ_attributes KL(σ(zt / T) ‖ σ(zs / T))`; `zs`, `zt` and `dzs` `[n, a]`, `row_loss` `[n]`.
pub fn sigmoid_kl(
    gpu: &Gpu,
    (zs, zt): (&Tensor, &Tensor),
    temperature: f32,
    weight: f32,
    dzs: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let rows = RowParallelism::choose(zs.columns(), gpu.profile().class);
    sigmoid_kl_with(gpu, (zs, zt), temperature, weight, dzs, row_loss, rows)
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`sigmoid_kl`] with rows worked through in a given way.
pub fn sigmoid_kl_with(
    gpu: &Gpu,
    (zs, zt): (&Tensor, &Tensor),
    temperature: f32,
    weight: f32,
    dzs: Option<&GradTarget>,
    row_loss: &Tensor,
    rows: RowParallelism,
) -> Result<()> {
    check_temperature("sigmoid_kl", temperature)?;
    expect("sigmoid_kl", "the teacher's logits", zt, zs.shape())?;
    expect("sigmoid_kl", "row_loss", row_loss, &[zs.rows()])?;
    if let Some(dzs) = dzs {
        expect("sigmoid_kl", "dzs", &dzs.tensor, zs.shape())?;
    }
    let launch = gpu
        .launch(SOURCE, "sigmoid_kl", &variant(rows, dzs.is_some()))?
        .bind("zs", zs)
        .bind("zt", zt)
        .bind("row_loss", row_loss)
        .u32("rows", zs.rows())
        .u32("columns", zs.columns())
        .u32("accumulate", flag(dzs))
        .f32("temperature", temperature)
        .f32("weight", weight)
        .cost(40 * zs.len() as u64);
    rows.dispatch(bind_gradient(launch, "dzs", dzs), [zs.rows(), zs.columns()])
}
