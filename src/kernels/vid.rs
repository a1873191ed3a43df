//! Variational information distillation (Ahn et al. 2019), fused with its gradients.

use super::case::{Case, Check, Permutation, f64s, values};
use super::reduce;
use super::rows::{RowParallelism, added, bind_gradient, destination, expect, flag, total};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [false, true].map(|grad| variant(*r, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even rows and channels.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 5), (65, 16), (33, 100), (9, 513)];
    shapes.into_iter().map(|(m, c)| Case::new(format!("[{m}, {c}]"), move |gpu| run(gpu, m, c))).collect()
}

fn run(gpu: &Gpu, n: usize, c: usize) -> Result<Vec<Check>> {
    let (m, t) = (values(1, n * c), values(2, n * c));
    let rho: Vec<f32> = values(3, c).iter().map(|v| 4.0 * v).collect();
    let (m64, t64, rho64) = (f64s(&m), f64s(&t), f64s(&rho));
    let loss = reference::vid::forward(&m64, &t64, &rho64, EPS.into());
    let (dm, drho) = reference::vid::grad(&m64, &t64, &rho64, EPS.into());
    let (m, t) = (Tensor::from_f32(gpu, &m, &[n, c])?, Tensor::from_f32(gpu, &t, &[n, c])?);
    let rho = Tensor::from_f32(gpu, &rho, &[c])?;
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        for accumulate in [false, true] {
            let what = format!("{rows:?}, accumulate {accumulate}");
            let (out, there) = destination(gpu, &[n, c], accumulate)?;
            let (out_rho, there_rho) = destination(gpu, &[c], accumulate)?;
            let row_loss = Tensor::empty(gpu, &[n])?;
            vid_with(gpu, (&m, &t, &rho), 0.75, Some((&out, &out_rho)), &row_loss, rows)?;
            let want = vec![0.75 * loss];
            checks.push(Check::sum(format!("loss, {what}"), total(gpu, &row_loss)?, want, n * c));
            let want = added(&there, 0.75, &dm);
            checks.push(Check::sum(format!("dm, {what}"), out.tensor.to_f32(gpu)?, want, 4));
            let want = added(&there_rho, 0.75, &drho);
            checks.push(Check::sum(format!("drho, {what}"), out_rho.tensor.to_f32(gpu)?, want, 16 * n));
        }
        let row_loss = Tensor::empty(gpu, &[n])?;
        vid_with(gpu, (&m, &t, &rho), 0.75, None, &row_loss, rows)?;
        checks.push(Check::sum(format!("loss alone, {rows:?}"), total(gpu, &row_loss)?, vec![0.75 * loss], n * c));
    }
    Ok(checks)
}
