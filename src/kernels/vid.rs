//! Variational information distillation (Ahn et al. 2019), fused with its gradients.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::LossOut;
use super::reduce;
use super::rows::{RowParallelism, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "vid", text: include_str!("../../shaders/vid.wgsl") };

/// Added to the variance.
pub const EPS: f32 = 1e-5;

/// The loss of `m` against `t`, both `[.., c]`, with variances from `rho` `[c]`; one share of each row. One kernel computes both gradients:
/// that of `rho`, added to or written over `drho`, is wanted with that of `m`, and where that is not wanted `drho` stays as it is.
pub fn vid(gpu: &Gpu, (m, t, rho): (&Tensor, &Tensor, &Tensor), out: LossOut, drho: Option<&GradTarget>) -> Result<()> {
    vid_with(gpu, (m, t, rho), out, drho, RowParallelism::choose(m.columns(), gpu.profile().class))
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`vid`] with rows worked through in a given way.
pub fn vid_with(
    gpu: &Gpu,
    (m, t, rho): (&Tensor, &Tensor, &Tensor),
    out: LossOut,
    drho: Option<&GradTarget>,
    rows: RowParallelism,
) -> Result<()> {
    expect("vid", "the teacher's features", t, m.shape())?;
    expect("vid", "rho", rho, &[m.columns()])?;
    match (out.grad, drho) {
        (None, _) => launch(gpu, (m, t, rho), out, None, rows),
        (Some(_), None) => {
            Err(Error::Invalid("vid: the gradients of features and variances are computed together".into()))
        }
        (Some(_), Some(drho)) => {
            expect("vid", "drho", &drho.tensor, rho.shape())?;
            let terms = Tensor::empty(gpu, &[m.rows(), m.columns()])?;
            launch(gpu, (m, t, rho), out, Some(&terms), rows)?;
            reduce::column_sum(gpu, &terms, 1.0, drho)
        }
    }
}

fn launch(
    gpu: &Gpu,
    (m, t, rho): (&Tensor, &Tensor, &Tensor),
    out: LossOut,
    terms: Option<&Tensor>,
    rows: RowParallelism,
) -> Result<()> {
    let launch = out
        .launch(gpu, (SOURCE, "vid"), &variant(rows, out.grad.is_some()), m, "dm")?
        .bind("m", m)
        .bind("t", t)
        .bind("rho", rho)
        .f32("eps", EPS)
        .cost(40 * m.len() as u64);
    let launch = match terms {
        Some(terms) => launch.bind("terms", terms),
        None => launch,
    };
    rows.dispatch(launch, [m.rows(), m.columns()])
}
