//! Focal loss over classes with class weights, fused with its gradient.

mod workloads;

pub use workloads::workloads;

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{Counting, RowParallelism, bind_gradient, counted, expect, flag, fused};
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

const SOURCE: Source = Source { name: "focal", text: include_str!("../../shaders/focal.wgsl") };

/// The label of a sample that has none for this task.
pub const MISSING: u32 = u32::MAX;

/// `weight ·` the mean over the labelled rows, each counting with its class's weight, of `(1 − p[y])^γ (−log p[y])`, `p = softmax(z)`
/// (Lin et al. 2017, over a softmax). γ of 0 is cross entropy with class weights in PyTorch's form.
///
/// `z` `[rows, classes]`; `labels` `[rows]` of `u32`, [`MISSING`] where there is none; `class_weights` `[classes]`, none below 0; `dz`
/// (like `z`) receives `weight ·` the gradient; `row_loss` `[rows]` the weighted shares, whose sum is the loss (all 0 where nothing
/// counts). γ between 0 and 1 is refused: its gradient has no bound.
pub fn focal(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    gamma: f32,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let variant =
        (RowParallelism::choose(z.columns(), gpu.profile().class), Counting::choose(z.rows(), gpu.profile().class));
    focal_with(gpu, z, labels, class_weights, gamma, weight, dz, row_loss, variant)
}

/// The same with `ε (1 − p[y])` added to the cross entropy of each row: Poly-1 (Leng et al. 2022, arXiv 2204.12511).
pub fn poly1(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    epsilon: f32,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let class = gpu.profile().class;
    let variant = (RowParallelism::choose(z.columns(), class), Counting::choose(z.rows(), class));
    poly1_with(gpu, z, labels, class_weights, epsilon, weight, dz, row_loss, variant)
}

fn variant_defines((rows, counting): (RowParallelism, Counting), grad: bool, poly: bool) -> Defines {
    defines! { WIDE = rows.wide(), FUSED = counting.fused(), GRAD = grad, POLY = poly }
}

/// [`poly1`] in a given variant.
pub fn poly1_with(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    epsilon: f32,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    launch(gpu, z, labels, class_weights, (0.0, Some(epsilon)), weight, dz, row_loss, variant)
}

/// [`focal`] in a given variant.
pub fn focal_with(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    gamma: f32,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    launch(gpu, z, labels, class_weights, (gamma, None), weight, dz, row_loss, variant)
}

fn launch<'a>(
    gpu: &'a Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    (gamma, epsilon): (f32, Option<f32>),
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    if !(gamma == 0.0 || (gamma.is_finite() && gamma >= 1.0)) {
        return Err(Error::Invalid(format!("focal: gamma is {gamma}; it must be 0 or at least 1")));
    }
    expect("focal", "labels", labels, &[z.rows()])?;
    expect("focal", "class_weights", class_weights, &[z.columns()])?;
    expect("focal", "row_loss", row_loss, &[z.rows()])?;
    if let Some(dz) = dz {
        expect("focal", "dz", &dz.tensor, z.shape())?;
    }
    let defines = variant_defines(variant, dz.is_some(), epsilon.is_some());
    let prepare = |launch: Launch<'a>| {
        launch
            .bind("labels", labels)
            .bind("class_weights", class_weights)
            .u32("rows", z.rows())
            .u32("columns", z.columns())
            .u32("samples", z.rows())
            .u32("accumulate", flag(dz))
            .f32("gamma", gamma)
            .f32("epsilon", epsilon.unwrap_or(0.0))
            .f32("weight", weight)
    };
    let (rows, counting) = variant;
    let count = counting.count(gpu, SOURCE, &defines, z.rows(), prepare)?;
    let launch = prepare(gpu.launch(SOURCE, "focal", &defines)?)
        .bind("z", z)
        .bind("row_loss", row_loss)
        .cost(40 * z.len() as u64);
    let launch = counted(bind_gradient(launch, "dz", dz), count.as_ref());
    rows.dispatch(launch, [z.rows(), z.columns()])
}

/// Every variant.
fn variants() -> Vec<(RowParallelism, Counting)> {
    RowParallelism::ALL.iter().flat_map(|r| Counting::ALL.map(|c| (*r, c))).collect()
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let kinds = [(false, false), (true, false), (false, true), (true, true)];
    let all = variants().into_iter().flat_map(|v| kinds.map(|(grad, poly)| variant_defines(v, grad, poly)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even rows and classes, without focus and with, every fourth label missing or all of them, classes that do not count.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 3), (5, 10), (17, 100), (33, 65), (5, 1000), (5000, 2)];
    let all = shapes.iter().flat_map(|s| [0.0, 1.0, 2.0].map(|gamma| (*s, gamma)));
    let mut cases: Vec<Case> =
        all.map(|((b, c), gamma)| case(b, c, gamma, "a quarter missing", |i| i % 4 == 3)).collect();
    cases.push(case(5, 10, 2.0, "all missing", |_| true));
    cases
}

fn case(b: usize, c: usize, gamma: f32, which: &str, missing: fn(usize) -> bool) -> Case {
    Case::new(format!("[{b}, {c}] gamma {gamma}, {which}"), move |gpu| run(gpu, b, c, gamma, missing))
}

fn run(gpu: &Gpu, b: usize, c: usize, gamma: f32, missing: fn(usize) -> bool) -> Result<Vec<Check>> {
    let z: Vec<f32> = values(1, b * c).iter().map(|v| 3.0 * v).collect();
    let labels: Vec<u32> = (0..b).map(|i| if missing(i) { MISSING } else { (i * 7 % c) as u32 }).collect();
    // Every fifth class but the first counts nothing.
    let class_weights: Vec<f32> = (0..c).map(|j| if j % 5 == 4 { 0.0 } else { 0.5 + j as f32 / c as f32 }).collect();
    let weight = 0.75;
    let (zs, ws) = (f64s(&z), f64s(&class_weights));
    let loss = reference::focal::forward(&zs, &labels, &ws, gamma.into());
    let dz = reference::focal::grad(&zs, &labels, &ws, gamma.into());
    let poly = [-1.0f32, 2.0].map(|epsilon| {
        let loss = reference::focal::poly1(&zs, &labels, &ws, epsilon.into());
        (epsilon, (loss, reference::focal::poly1_grad(&zs, &labels, &ws, epsilon.into())))
    });
    let (z, labels) = (Tensor::from_f32(gpu, &z, &[b, c])?, Tensor::from_u32(gpu, &labels, &[b])?);
    let class_weights = Tensor::from_f32(gpu, &class_weights, &[c])?;
    let mut checks = Vec::new();
    for variant in variants() {
        let what = format!("{variant:?}");
        checks.extend(fused(gpu, &what, (&[b, c], b), weight, (loss, &dz), c, |out, row_loss| {
            focal_with(gpu, &z, &labels, &class_weights, gamma, weight, out, row_loss, variant)
        })?);
        if gamma == 0.0 {
            for (epsilon, (loss, dz)) in &poly {
                let what = format!("poly-1, epsilon {epsilon}, {what}");
                checks.extend(fused(gpu, &what, (&[b, c], b), weight, (*loss, dz), c, |out, row_loss| {
                    poly1_with(gpu, &z, &labels, &class_weights, *epsilon, weight, out, row_loss, variant)
                })?);
            }
        }
    }
    Ok(checks)
}
