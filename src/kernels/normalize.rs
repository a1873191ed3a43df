//! Rows of length 1, and the gradient through it.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{RowParallelism, added, destination, expect};
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines, reference};

const SOURCE: Source = Source { name: "normalize", text: include_str!("../../shaders/normalize.wgsl") };

/// `x / max(‖x‖, eps)` by rows of `x` `[.., c]`.
pub fn normalize(gpu: &Gpu, x: &Tensor, eps: f32) -> Result<Tensor> {
    normalize_with(gpu, x, eps, RowParallelism::choose(x.columns(), gpu.profile().class))
}

/// [`normalize`] with rows worked through in a given way.
pub fn normalize_with(gpu: &Gpu, x: &Tensor, eps: f32, rows: RowParallelism) -> Result<Tensor> {
    let y = Tensor::empty(gpu, x.shape())?;
    let launch = gpu
        .launch(SOURCE, "normalize_rows", &defines! { WIDE = rows.wide() })?
        .bind("x", x)
        .bind("y", &y)
        .u32("rows", x.rows())
        .u32("columns", x.columns())
        .u32("accumulate", 0)
        .f32("eps", eps);
    rows.dispatch(launch, [x.rows(), x.columns()])?;
    Ok(y)
}

/// The gradient of [`normalize`] with respect to `x`, from `x` and `dy`.
pub fn normalize_grad(gpu: &Gpu, x: &Tensor, dy: &Tensor, eps: f32, dx: &GradTarget) -> Result<()> {
    normalize_grad_with(gpu, x, dy, eps, dx, RowParallelism::choose(x.columns(), gpu.profile().class))
}

/// [`normalize_grad`] with rows worked through in a given way.
pub fn normalize_grad_with(
    gpu: &Gpu,
    x: &Tensor,
    dy: &Tensor,
    eps: f32,
    dx: &GradTarget,
    rows: RowParallelism,
) -> Result<()> {
    expect("normalize", "dy", dy, x.shape())?;
    expect("normalize", "dx", &dx.tensor, x.shape())?;
    let launch = gpu
        .launch(SOURCE, "normalize_grad", &defines! { WIDE = rows.wide() })?
        .bind("x", x)
        .bind("dy", dy)
        .bind("dx", &dx.tensor)
        .u32("rows", x.rows())
        .u32("columns", x.columns())
        .u32("accumulate", dx.flag())
        .f32("eps", eps);
    rows.dispatch(launch, [x.rows(), x.columns()])
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    RowParallelism::ALL.iter().map(|r| Permutation { source: SOURCE, defines: defines! { WIDE = r.wide() } }).collect()
}

/// Odd and even sizes; rows shorter than eps.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 5), (65, 16), (33, 100), (9, 1000)];
    let all = shapes.iter().flat_map(|s| [1e-8, 3.0].map(|eps| (*s, eps)));
    all.map(|((m, c), eps)| Case::new(format!("[{m}, {c}] eps {eps}"), move |gpu| run(gpu, m, c, eps))).collect()
}

fn run(gpu: &Gpu, m: usize, c: usize, eps: f32) -> Result<Vec<Check>> {
    let (x, dy) = (values(1, m * c), values(2, m * c));
    let (x64, dy64) = (f64s(&x), f64s(&dy));
    let (x, dy) = (Tensor::from_f32(gpu, &x, &[m, c])?, Tensor::from_f32(gpu, &dy, &[m, c])?);
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        let want = reference::normalize::forward(&x64, c, eps.into());
        checks.push(Check::sum(format!("y, {rows:?}"), normalize_with(gpu, &x, eps, rows)?.to_f32(gpu)?, want, c));
        for accumulate in [false, true] {
            let (out, there) = destination(gpu, &[m, c], accumulate)?;
            normalize_grad_with(gpu, &x, &dy, eps, &out, rows)?;
            let want = added(&there, 1.0, &reference::normalize::grad(&x64, &dy64, c, eps.into()));
            checks.push(Check::sum(format!("dx, {rows:?}, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, c));
        }
    }
    Ok(checks)
}
