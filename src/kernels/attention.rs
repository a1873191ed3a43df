//! Attention maps: the mean of the squares over the channels (Zagoruyko & Komodakis 2017), and their gradient.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{RowParallelism, added, destination, expect};
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    RowParallelism::ALL.iter().map(|r| Permutation { source: SOURCE, defines: defines! { WIDE = r.wide() } }).collect()
}

/// Odd and even rows and channels.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 5), (65, 16), (33, 100), (9, 513)];
    shapes.into_iter().map(|(m, c)| Case::new(format!("[{m}, {c}]"), move |gpu| run(gpu, m, c))).collect()
}

fn run(gpu: &Gpu, m: usize, c: usize) -> Result<Vec<Check>> {
    let (f, da) = (values(1, m * c), values(2, m));
    let (f64, da64) = (f64s(&f), f64s(&da));
    let (f, da) = (Tensor::from_f32(gpu, &f, &[m, c])?, Tensor::from_f32(gpu, &da, &[m])?);
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        let got = attention_with(gpu, &f, rows)?.to_f32(gpu)?;
        checks.push(Check::sum(format!("a, {rows:?}"), got, reference::attention::forward(&f64, c), c));
    }
    for accumulate in [false, true] {
        let (out, there) = destination(gpu, &[m, c], accumulate)?;
        attention_grad(gpu, &f, &da, &out)?;
        let want = added(&there, 1.0, &reference::attention::grad(&f64, &da64, c));
        checks.push(Check::sum(format!("df, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, 1));
    }
    Ok(checks)
}
