//! Decoupled distillation (Zhao et al. 2022), fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::rows::{RowParallelism, bind_gradient, expect, flag};
use super::softmax::check_temperature;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "dkd", text: include_str!("../../shaders/dkd.wgsl") };

/// The settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// T.
    pub temperature: f32,
    /// Weight of the target against all others.
    pub alpha: f32,
    /// Weight of the others among themselves.
    pub beta: f32,
}

/// `weight ·` the loss of `zs` against `zt`, both `[n, c]`, with `labels` `[n]` (`u32`; beyond the classes: none); `row_loss` `[n]`
/// receives the samples' shares, `dzs` the gradient.
pub fn dkd(
    gpu: &Gpu,
    (zs, zt, labels): (&Tensor, &Tensor, &Tensor),
    settings: Settings,
    weight: f32,
    dzs: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let rows = RowParallelism::choose(zs.columns(), gpu.profile().class);
    dkd_with(gpu, (zs, zt, labels), settings, weight, dzs, row_loss, rows)
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`dkd`] with rows worked through in a given way.
pub fn dkd_with(
    gpu: &Gpu,
    (zs, zt, labels): (&Tensor, &Tensor, &Tensor),
    settings: Settings,
    weight: f32,
    dzs: Option<&GradTarget>,
    row_loss: &Tensor,
    rows: RowParallelism,
) -> Result<()> {
    check_temperature("dkd", settings.temperature)?;
    expect("dkd", "the teacher's logits", zt, zs.shape())?;
    expect("dkd", "labels", labels, &[zs.rows()])?;
    expect("dkd", "row_loss", row_loss, &[zs.rows()])?;
    if let Some(dzs) = dzs {
        expect("dkd", "dzs", &dzs.tensor, zs.shape())?;
    }
    if zs.columns() < 2 {
        return Err(Error::Shape(format!("dkd: {:?} has no class beside the target", zs.shape())));
    }
    let launch = gpu
        .launch(SOURCE, "dkd", &variant(rows, dzs.is_some()))?
        .bind("zs", zs)
        .bind("zt", zt)
        .bind("labels", labels)
        .bind("row_loss", row_loss)
        .u32("rows", zs.rows())
        .u32("columns", zs.columns())
        .u32("accumulate", flag(dzs))
        .f32("temperature", settings.temperature)
        .f32("alpha", settings.alpha)
        .f32("beta", settings.beta)
        .f32("weight", weight)
        .cost(80 * zs.len() as u64);
    rows.dispatch(bind_gradient(launch, "dzs", dzs), [zs.rows(), zs.columns()])
}
