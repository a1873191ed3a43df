//! Probabilistic knowledge transfer (Passalis & Tefas 2018) between matrices of cosine similarities, fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::LossOut;
use super::rows::{RowParallelism, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "pkt", text: include_str!("../../shaders/pkt.wgsl") };

/// Added to the probabilities (RepDistiller).
const EPS: f32 = 1e-7;

/// The loss of `s` against `t`, both `[n, n]`, in shares `[n]`. The gradient is written, never added: a target that accumulates is
/// refused.
pub fn pkt(gpu: &Gpu, s: &Tensor, t: &Tensor, out: LossOut) -> Result<()> {
    pkt_with(gpu, s, t, out, RowParallelism::choose(s.columns(), gpu.profile().class))
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`pkt`] with rows worked through in a given way.
pub fn pkt_with(gpu: &Gpu, s: &Tensor, t: &Tensor, out: LossOut, rows: RowParallelism) -> Result<()> {
    if s.rows() != s.columns() {
        return Err(Error::Shape(format!("pkt: similarities {:?} are not square", s.shape())));
    }
    expect("pkt", "the teacher's similarities", t, s.shape())?;
    out.check("pkt", s, s.rows())?;
    if out.grad.is_some_and(|grad| grad.accumulate) {
        return Err(Error::Invalid("pkt: its gradient can only be written, not added".into()));
    }
    let launch = gpu
        .launch(SOURCE, "pkt", &variant(rows, out.grad.is_some()))?
        .bind("s", s)
        .bind("t", t)
        .u32("rows", s.rows())
        .u32("columns", s.columns())
        .f32("eps", EPS)
        .f32("weight", out.weight)
        .cost(40 * s.len() as u64);
    rows.dispatch(out.bind(launch, "ds"), [s.rows(), s.columns()])
}
