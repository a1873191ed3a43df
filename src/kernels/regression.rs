//! Losses of numbers (squared, absolute, Huber), fused with their gradients.

mod workloads;

pub use workloads::workloads;

use super::case::{Case, Check, Permutation, values};
use super::rows::{Counting, RowParallelism, bind_gradient, counted, expect, flag, fused};
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

const SOURCE: Source = Source { name: "regression", text: include_str!("../../shaders/regression.wgsl") };

/// The target of an element that has none; anything from 1e30 on means the same.
pub const MISSING: f32 = f32::MAX;

/// How an error `e` is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RegressionLoss {
    /// `e²`.
    L2,
    /// `|e|`.
    L1,
    /// `e²/2` up to `delta`, linear beyond (Huber 1964).
    Huber {
        /// Where the parabola ends.
        delta: f32,
    },
}

impl RegressionLoss {
    fn kind(self) -> i64 {
        match self {
            RegressionLoss::L2 => 0,
            RegressionLoss::L1 => 1,
            RegressionLoss::Huber { .. } => 2,
        }
    }

    fn delta(self) -> f32 {
        match self {
            RegressionLoss::Huber { delta } => delta,
            _ => 0.0,
        }
    }
}

/// `weight ·` the mean over the elements with a target of the loss of `z − targets`.
///
/// `z`, `targets` ([`MISSING`]: none) and `dz` `[rows, columns]`; `dz` receives `weight ·` the gradient, `row_loss` `[rows]` the
/// weighted shares, whose sum is the loss (all 0 where nothing has a target).
pub fn regression(
    gpu: &Gpu,
    z: &Tensor,
    targets: &Tensor,
    loss: RegressionLoss,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let class = gpu.profile().class;
    let variant = (RowParallelism::choose(z.columns(), class), Counting::choose(z.len(), class));
    regression_with(gpu, z, targets, loss, weight, dz, row_loss, variant)
}

fn variant_defines(loss: RegressionLoss, (rows, counting): (RowParallelism, Counting), grad: bool) -> Defines {
    defines! { KIND = loss.kind(), WIDE = rows.wide(), FUSED = counting.fused(), GRAD = grad }
}

/// [`regression`] in a given variant.
pub fn regression_with<'a>(
    gpu: &'a Gpu,
    z: &Tensor,
    targets: &Tensor,
    loss: RegressionLoss,
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
    variant: (RowParallelism, Counting),
) -> Result<()> {
    if let RegressionLoss::Huber { delta } = loss
        && !(delta.is_finite() && delta > 0.0)
    {
        return Err(Error::Invalid(format!("regression: Huber's delta is {delta}; it must be above 0")));
    }
    expect("regression", "targets", targets, z.shape())?;
    expect("regression", "row_loss", row_loss, &[z.rows()])?;
    if let Some(dz) = dz {
        expect("regression", "dz", &dz.tensor, z.shape())?;
    }
    let (rows, counting) = variant;
    let defines = variant_defines(loss, variant, dz.is_some());
    let prepare = |launch: Launch<'a>| {
        launch
            .bind("targets", targets)
            .u32("rows", z.rows())
            .u32("columns", z.columns())
            .u32("samples", z.len())
            .u32("accumulate", flag(dz))
            .f32("delta", loss.delta())
            .f32("weight", weight)
    };
    let count = counting.count(gpu, SOURCE, &defines, z.len(), prepare)?;
    let launch = prepare(gpu.launch(SOURCE, "regression", &defines)?)
        .bind("z", z)
        .bind("row_loss", row_loss)
        .cost(8 * z.len() as u64);
    let launch = counted(bind_gradient(launch, "dz", dz), count.as_ref());
    rows.dispatch(launch, [z.rows(), z.columns()])
}

/// Every variant.
fn variants() -> Vec<(RowParallelism, Counting)> {
    RowParallelism::ALL.iter().flat_map(|r| Counting::ALL.map(|c| (*r, c))).collect()
}

const LOSSES: [RegressionLoss; 3] = [RegressionLoss::L2, RegressionLoss::L1, RegressionLoss::Huber { delta: 0.7 }];

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = LOSSES.into_iter().flat_map(|l| variants().into_iter().map(move |v| (l, v)));
    let all = all.flat_map(|(l, v)| [false, true].map(|grad| variant_defines(l, v, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even sizes, every fifth target missing, or all of them; targets that are met exactly.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 3), (65, 1), (17, 100), (5, 1000), (1100, 5)];
    let mut cases: Vec<Case> = Vec::new();
    for loss in LOSSES {
        cases.extend(shapes.map(|(b, c)| case(b, c, loss, "a fifth missing", |i| i % 5 == 3)));
        cases.push(case(3, 5, loss, "all missing", |_| true));
    }
    cases
}

fn case(b: usize, c: usize, loss: RegressionLoss, which: &str, missing: fn(usize) -> bool) -> Case {
    Case::new(format!("[{b}, {c}] {loss:?}, {which}"), move |gpu| run(gpu, b, c, loss, missing))
}

fn run(gpu: &Gpu, b: usize, c: usize, loss: RegressionLoss, missing: fn(usize) -> bool) -> Result<Vec<Check>> {
    let z = values(1, b * c);
    let mut targets = values(2, b * c);
    for (i, t) in targets.iter_mut().enumerate() {
        *t = match i {
            _ if missing(i) => MISSING,
            _ if i % 7 == 1 => z[i],
            _ => *t,
        };
    }
    let weight = 0.75;
    // The reference knows the elements that have a target only.
    let present: Vec<usize> = (0..b * c).filter(|i| !missing(*i)).collect();
    let pick = |all: &[f32]| present.iter().map(|&i| f64::from(all[i])).collect::<Vec<f64>>();
    let (of, delta) = match loss {
        RegressionLoss::L2 => (reference::regression::squared as fn(f64, f64) -> (f64, f64), 0.0),
        RegressionLoss::L1 => (reference::regression::absolute as fn(f64, f64) -> (f64, f64), 0.0),
        RegressionLoss::Huber { delta } => {
            (reference::regression::huber as fn(f64, f64) -> (f64, f64), f64::from(delta))
        }
    };
    let want = reference::regression::forward(of, &pick(&z), &pick(&targets), delta);
    let mut dz = vec![0.0; b * c];
    for (&i, g) in present.iter().zip(reference::regression::grad(of, &pick(&z), &pick(&targets), delta)) {
        dz[i] = g;
    }
    let (z, targets) = (Tensor::from_f32(gpu, &z, &[b, c])?, Tensor::from_f32(gpu, &targets, &[b, c])?);
    let mut checks = Vec::new();
    for variant in variants() {
        let what = format!("{variant:?}");
        checks.extend(fused(gpu, &what, (&[b, c], b), weight, (want, &dz), c, |out, row_loss| {
            regression_with(gpu, &z, &targets, loss, weight, out, row_loss, variant)
        })?);
    }
    Ok(checks)
}
