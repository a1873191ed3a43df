//! Probabilistic knowledge transfer (Passalis & Tefas 2018) between matrices of cosine similarities, fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::rows::{RowParallelism, bind_gradient, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "pkt", text: include_str!("../../shaders/pkt.wgsl") };

/// Added to the probabilities (RepDistiller).
const EPS: f32 = 1e-7;

/// `weight ·` the loss of `s` against `t`, both `[n, n]`; `row_loss` `[n]`. The gradient is written to `ds`, not added.
pub fn pkt(gpu: &Gpu, s: &Tensor, t: &Tensor, weight: f32, ds: Option<&Tensor>, row_loss: &Tensor) -> Result<()> {
    pkt_with(gpu, s, t, weight, ds, row_loss, RowParallelism::choose(s.columns(), gpu.profile().class))
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`pkt`] with rows worked through in a given way.
pub fn pkt_with(
    gpu: &Gpu,
    s: &Tensor,
    t: &Tensor,
    weight: f32,
    ds: Option<&Tensor>,
    row_loss: &Tensor,
    rows: RowParallelism,
) -> Result<()> {
    if s.rows() != s.columns() {
        return Err(Error::Shape(format!("pkt: similarities {:?} are not square", s.shape())));
    }
    expect("pkt", "the teacher's similarities", t, s.shape())?;
    expect("pkt", "row_loss", row_loss, &[s.rows()])?;
    let launch = gpu
        .launch(SOURCE, "pkt", &variant(rows, ds.is_some()))?
        .bind("s", s)
        .bind("t", t)
        .bind("row_loss", row_loss)
        .u32("rows", s.rows())
        .u32("columns", s.columns())
        .f32("eps", EPS)
        .f32("weight", weight)
        .cost(40 * s.len() as u64);
    let target = ds.map(|ds| GradTarget::fresh(ds.clone()));
    rows.dispatch(bind_gradient(launch, "ds", target.as_ref()), [s.rows(), s.columns()])
}
