//! Decoupled distillation (Zhao et al. 2022), fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::LossOut;
use super::rows::{RowParallelism, expect};
use super::softmax::check_temperature;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
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

/// The loss of `zs` against `zt`, both `[n, c]`, with `labels` `[n]` (`u32`; beyond the classes: none); shares `[n]`.
pub fn dkd(gpu: &Gpu, (zs, zt, labels): (&Tensor, &Tensor, &Tensor), settings: Settings, out: LossOut) -> Result<()> {
    let rows = RowParallelism::choose(zs.columns(), gpu.profile().class);
    dkd_with(gpu, (zs, zt, labels), settings, out, rows)
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`dkd`] with rows worked through in a given way.
pub fn dkd_with(
    gpu: &Gpu,
    (zs, zt, labels): (&Tensor, &Tensor, &Tensor),
    settings: Settings,
    out: LossOut,
    rows: RowParallelism,
) -> Result<()> {
    check_temperature("dkd", settings.temperature)?;
    expect("dkd", "the teacher's logits", zt, zs.shape())?;
    expect("dkd", "labels", labels, &[zs.rows()])?;
    if zs.columns() < 2 {
        return Err(Error::Shape(format!("dkd: {:?} has no class beside the target", zs.shape())));
    }
    let launch = out
        .launch(gpu, (SOURCE, "dkd"), &variant(rows, out.grad.is_some()), zs, "dzs")?
        .bind("zs", zs)
        .bind("zt", zt)
        .bind("labels", labels)
        .f32("temperature", settings.temperature)
        .f32("alpha", settings.alpha)
        .f32("beta", settings.beta)
        .cost(80 * zs.len() as u64);
    rows.dispatch(launch, [zs.rows(), zs.columns()])
}
