//! Variational information distillation (Ahn et al. 2019), fused with its gradients.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::reduce;
use super::rows::{RowParallelism, bind_gradient, expect, flag};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source = Source { name: "vid", text: include_str!("../../shaders/vid.wgsl") };

/// Added to the variance.
pub const EPS: f32 = 1e-5;

/// `weight ·` the loss of `m` against `t`, both `[.., c]`, with variances from `rho` `[c]`; `row_loss` has a value for each row. The
/// gradients of `m` and of `rho` are added to or written over `targets`.
pub fn vid(
    gpu: &Gpu,
    (m, t, rho): (&Tensor, &Tensor, &Tensor),
    weight: f32,
    targets: Option<(&GradTarget, &GradTarget)>,
    row_loss: &Tensor,
) -> Result<()> {
    vid_with(gpu, (m, t, rho), weight, targets, row_loss, RowParallelism::choose(m.columns(), gpu.profile().class))
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`vid`] with rows worked through in a given way.
pub fn vid_with(
    gpu: &Gpu,
    (m, t, rho): (&Tensor, &Tensor, &Tensor),
    weight: f32,
    targets: Option<(&GradTarget, &GradTarget)>,
    row_loss: &Tensor,
    rows: RowParallelism,
) -> Result<()> {
    expect("vid", "the teacher's features", t, m.shape())?;
    expect("vid", "rho", rho, &[m.columns()])?;
    expect("vid", "row_loss", row_loss, &[m.rows()])?;
    let dm = targets.map(|(dm, _)| dm);
    let mut launch = gpu
        .launch(SOURCE, "vid", &variant(rows, dm.is_some()))?
        .bind("m", m)
        .bind("t", t)
        .bind("rho", rho)
        .bind("row_loss", row_loss)
        .u32("rows", m.rows())
        .u32("columns", m.columns())
        .u32("accumulate", flag(dm))
        .f32("eps", EPS)
        .f32("weight", weight)
        .cost(40 * m.len() as u64);
    let size = [m.rows(), m.columns()];
    let Some((dm, drho)) = targets else { return rows.dispatch(launch, size) };
    expect("vid", "dm", &dm.tensor, m.shape())?;
    expect("vid", "drho", &drho.tensor, rho.shape())?;
    let terms = Tensor::empty(gpu, &size)?;
    launch = bind_gradient(launch, "dm", Some(dm)).bind("terms", &terms);
    rows.dispatch(launch, size)?;
    reduce::column_sum(gpu, &terms, 1.0, drho)
}
