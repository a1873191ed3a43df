//! Decoupled distillation (Zhao et al. 2022), fused with its gradient.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{RowParallelism, bind_gradient, expect, flag, fused};
use super::softmax::check_temperature;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

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

/// `weight ·` the loss of `zs` against `zt`, both `[n, c]`, with `labels` `[n]` (`u32`; beyond the classes: none); `row_loss` `[n]`
/// receives the samples' shares, `dzs` the gradient.
pub fn dkd(
    gpu: &Gpu,
    (zs, zt, labels): (&Tensor, &Tensor, &Tensor),
    settings: Settings,
    weight: f32,
    dzs: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let rows = RowParallelism::choose(zs.columns(), gpu.profile().class);
    dkd_with(gpu, (zs, zt, labels), settings, weight, dzs, row_loss, rows)
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`dkd`] with rows worked through in a given way.
pub fn dkd_with(
    gpu: &Gpu,
    (zs, zt, labels): (&Tensor, &Tensor, &Tensor),
    settings: Settings,
    weight: f32,
    dzs: Option<&GradTarget>,
    row_loss: &Tensor,
    rows: RowParallelism,
) -> Result<()> {
    check_temperature("dkd", settings.temperature)?;
    expect("dkd", "the teacher's logits", zt, zs.shape())?;
    expect("dkd", "labels", labels, &[zs.rows()])?;
    expect("dkd", "row_loss", row_loss, &[zs.rows()])?;
    if let Some(dzs) = dzs {
        expect("dkd", "dzs", &dzs.tensor, zs.shape())?;
    }
    if zs.columns() < 2 {
        return Err(Error::Shape(format!("dkd: {:?} has no class beside the target", zs.shape())));
    }
    let launch = gpu
        .launch(SOURCE, "dkd", &variant(rows, dzs.is_some()))?
        .bind("zs", zs)
        .bind("zt", zt)
        .bind("labels", labels)
        .bind("row_loss", row_loss)
        .u32("rows", zs.rows())
        .u32("columns", zs.columns())
        .u32("accumulate", flag(dzs))
        .f32("temperature", settings.temperature)
        .f32("alpha", settings.alpha)
        .f32("beta", settings.beta)
        .f32("weight", weight)
        .cost(80 * zs.len() as u64);
    rows.dispatch(bind_gradient(launch, "dzs", dzs), [zs.rows(), zs.columns()])
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [false, true].map(|grad| variant(*r, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even rows and classes, rows without labels, and a student that is sure.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 3), (5, 10), (17, 100), (33, 65), (65, 10), (5, 1000)];
    let all = shapes.iter().flat_map(|s| [3.0, 40.0].map(|scale| (*s, scale)));
    all.map(|((b, c), scale)| Case::new(format!("[{b}, {c}] scale {scale}"), move |g| run(g, b, c, scale))).collect()
}

fn run(gpu: &Gpu, b: usize, c: usize, scale: f32) -> Result<Vec<Check>> {
    let scaled = |seed| values(seed, b * c).iter().map(|v| scale * v).collect::<Vec<f32>>();
    let (zs, zt) = (scaled(1), scaled(2));
    let labels: Vec<u32> = (0..b).map(|i| if i % 3 == 2 { u32::MAX } else { (7 * i % c) as u32 }).collect();
    let settings = Settings { temperature: 4.0, alpha: 1.0, beta: 8.0 };
    let (zs64, zt64) = (f64s(&zs), f64s(&zt));
    let loss = reference::dkd::forward(&zs64, &zt64, &labels, c, 4.0, 1.0, 8.0);
    let grad = reference::dkd::grad(&zs64, &zt64, &labels, c, 4.0, 1.0, 8.0);
    let (zs, zt) = (Tensor::from_f32(gpu, &zs, &[b, c])?, Tensor::from_f32(gpu, &zt, &[b, c])?);
    let labels = Tensor::from_u32(gpu, &labels, &[b])?;
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        checks.extend(fused(gpu, &format!("{rows:?}"), (&[b, c], b), 0.75, (loss, &grad), c, |target, row_loss| {
            dkd_with(gpu, (&zs, &zt, &labels), settings, 0.75, target, row_loss, rows)
        })?);
    }
    Ok(checks)
}
