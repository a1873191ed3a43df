//! Probabilistic knowledge transfer (Passalis & Tefas 2018) between matrices of cosine similarities, fused with its gradient.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{RowParallelism, bind_gradient, expect, fused};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [false, true].map(|grad| variant(*r, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even batches.
pub fn cases() -> Vec<Case> {
    [2, 3, 17, 64, 100].map(|n| Case::new(format!("{n} samples"), move |gpu| run(gpu, n))).into()
}

fn run(gpu: &Gpu, n: usize) -> Result<Vec<Check>> {
    // Cosines of vectors of their own, so that each is 1 with itself.
    let cosines = |seed: u64| -> Vec<f32> {
        let e = reference::normalize::forward(&f64s(&values(seed, n * 6)), 6, 1e-8);
        reference::gramian::products(&e, n).into_iter().map(|v| v as f32).collect()
    };
    let (s, t) = (cosines(1), cosines(2));
    let loss = reference::pkt::forward(&f64s(&s), &f64s(&t), n, EPS.into());
    let grad = reference::pkt::grad(&f64s(&s), &f64s(&t), n, EPS.into());
    let (s, t) = (Tensor::from_f32(gpu, &s, &[n, n])?, Tensor::from_f32(gpu, &t, &[n, n])?);
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        // The loss is a sum of differences of logarithms, small against each of them.
        let all = fused(gpu, &format!("{rows:?}"), (&[n, n], n), 0.75, (loss, &grad), 16 * n, |target, row_loss| {
            pkt_with(gpu, &s, &t, 0.75, target.map(|t| &t.tensor), row_loss, rows)
        })?;
        checks.extend(all.into_iter().filter(|c| !c.what.contains("gradient") || !c.what.contains("Some(true)")));
    }
    Ok(checks)
}
