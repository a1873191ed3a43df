//! Distillation of independent attributes, fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::LossOut;
use super::rows::{RowParallelism, expect};
use super::softmax::check_temperature;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Result, defines};

const SOURCE: Source = Source { name: "sigmoid_kl", text: include_str!("../../shaders/sigmoid_kl.wgsl") };

/// `T² · mean over samples of Σ_attributes KL(σ(zt / T) ‖ σ(zs / T))`; `zs` and `zt` `[n, a]`, shares `[n]`.
pub fn sigmoid_kl(gpu: &Gpu, (zs, zt): (&Tensor, &Tensor), temperature: f32, out: LossOut) -> Result<()> {
    let rows = RowParallelism::choose(zs.columns(), gpu.profile().class);
    sigmoid_kl_with(gpu, (zs, zt), temperature, out, rows)
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`sigmoid_kl`] with rows worked through in a given way.
pub fn sigmoid_kl_with(
    gpu: &Gpu,
    (zs, zt): (&Tensor, &Tensor),
    temperature: f32,
    out: LossOut,
    rows: RowParallelism,
) -> Result<()> {
    check_temperature("sigmoid_kl", temperature)?;
    expect("sigmoid_kl", "the teacher's logits", zt, zs.shape())?;
    let launch = out
        .launch(gpu, (SOURCE, "sigmoid_kl"), &variant(rows, out.grad.is_some()), zs, "dzs")?
        .bind("zs", zs)
        .bind("zt", zt)
        .f32("temperature", temperature)
        .cost(40 * zs.len() as u64);
    rows.dispatch(launch, [zs.rows(), zs.columns()])
}
