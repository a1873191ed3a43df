//! Attention maps: the mean of the squares over the channels (Zagoruyko & Komodakis 2017), and their gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::rows::{RowParallelism, expect};
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines};

const SOURCE: Source = Source { name: "attention", text: include_str!("../../shaders/attention.wgsl") };

/// `Σ_c f² / c` of `f` `[.., c]`, `[rows]`.
pub fn attention(gpu: &Gpu, f: &Tensor) -> Result<Tensor> {
    attention_with(gpu, f, RowParallelism::choose(f.columns(), gpu.profile().class))
}

/// [`attention`] with rows worked through in a given way.
pub fn attention_with(gpu: &Gpu, f: &Tensor, rows: RowParallelism) -> Result<Tensor> {
    let a = Tensor::empty(gpu, &[f.rows()])?;
    let launch = gpu
        .launch(SOURCE, "attention", &defines! { WIDE = rows.wide() })?
        .bind("f", f)
        .bind("a", &a)
        .u32("rows", f.rows())
        .u32("columns", f.columns())
        .u32("accumulate", 0)
        .cost(2 * f.len() as u64);
    rows.dispatch(launch, [f.rows(), f.columns()])?;
    Ok(a)
}

/// `df (+)= 2 f da / c`.
pub fn attention_grad(gpu: &Gpu, f: &Tensor, da: &Tensor, df: &GradTarget) -> Result<()> {
    expect("attention", "da", da, &[f.rows()])?;
    expect("attention", "df", &df.tensor, f.shape())?;
    gpu.launch(SOURCE, "attention_grad", &defines! { WIDE = 0 })?
        .bind("f", f)
        .bind("da", da)
        .bind("df", &df.tensor)
        .u32("rows", f.rows())
        .u32("columns", f.columns())
        .u32("accumulate", df.flag())
        .threads(f.len())
}
