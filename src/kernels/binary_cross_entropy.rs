//! Binary cross entropy on logits, fused with its gradient.

use super::case::{Case, Check, Permutation, values};
use super::rows::{Counting, Rows, bind_gradient, counted, expect, flag, fused};
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::{Target, Tensor};
use crate::{Result, defines, twin};

const SOURCE: Source =
    Source { name: "binary_cross_entropy", text: include_str!("../../shaders/binary_cross_entropy.wgsl") };

/// The target of an element that has none; any negative value means the same.
pub const MISSING: f32 = -1.0;

/// `weight ·` the mean over the elements with a target of `max(z, 0) − z·t + log(1 + exp(−|z|))`.
///
/// With `positive_weights` `[columns]` what speaks for yes counts so many times: `−(w t log σ(z) + (1 − t) log(1 − σ(z)))`, PyTorch's
/// `pos_weight`.
///
/// `z`, `targets` (in 0..=1, or [`MISSING`]) and `dz` `[rows, columns]`; `dz` receives `weight ·` the gradient, `row_loss`
/// `[rows]` the weighted shares, whose sum is the loss (all 0 where nothing has a target).
pub fn binary_cross_entropy(
    gpu: &Gpu,
    z: &Tensor,
    targets: &Tensor,
    positive_weights: Option<&Tensor>,
    weight: f32,
    dz: Option<&Target>,
    row_loss: &Tensor,
) -> Result<()> {
    let variant = (Rows::choose(z.columns(), gpu.profile().class), Counting::choose(z.len(), gpu.profile().class));
    binary_cross_entropy_with(gpu, z, targets, positive_weights, weight, dz, row_loss, variant)
}

fn variant_defines((rows, counting): (Rows, Counting), positive: bool, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), FUSED = counting.fused(), POSITIVE = positive, GRAD = grad }
}

/// [`binary_cross_entropy`] in a given variant.
pub fn binary_cross_entropy_with<'a>(
    gpu: &'a Gpu,
    z: &Tensor,
    targets: &Tensor,
    positive_weights: Option<&Tensor>,
    weight: f32,
    dz: Option<&Target>,
    row_loss: &Tensor,
    variant: (Rows, Counting),
) -> Result<()> {
    expect("binary_cross_entropy", "targets", targets, z.shape())?;
    expect("binary_cross_entropy", "row_loss", row_loss, &[z.rows()])?;
    if let Some(dz) = dz {
        expect("binary_cross_entropy", "dz", &dz.tensor, z.shape())?;
    }
    let (rows, counting) = variant;
    let defines = variant_defines(variant, positive_weights.is_some(), dz.is_some());
    let prepare = |launch: Launch<'a>| {
        launch
            .bind("targets", targets)
            .u32("rows", z.rows())
            .u32("columns", z.columns())
            .u32("samples", z.len())
            .u32("accumulate", flag(dz))
            .f32("weight", weight)
    };
    let count = counting.count(gpu, SOURCE, &defines, z.len(), prepare)?;
    let mut launch = prepare(gpu.launch(SOURCE, "binary_cross_entropy", &defines)?)
        .bind("z", z)
        .bind("row_loss", row_loss)
        .cost(30 * z.len() as u64);
    if let Some(weights) = positive_weights {
        expect("binary_cross_entropy", "positive_weights", weights, &[z.columns()])?;
        launch = launch.bind("positive_weights", weights);
    }
    let launch = counted(bind_gradient(launch, "dz", dz), count.as_ref());
    rows.dispatch(launch, [z.rows(), z.columns()])
}

/// Every variant.
fn variants() -> Vec<(Rows, Counting)> {
    Rows::ALL.iter().flat_map(|r| Counting::ALL.map(|c| (*r, c))).collect()
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let ways = [(false, false), (false, true), (true, false), (true, true)];
    let all = variants().into_iter().flat_map(|v| ways.map(|(positive, grad)| variant_defines(v, positive, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even sizes, every fifth target missing, or all of them; more elements than are counted in passing.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 3), (5, 10), (17, 100), (33, 65), (65, 3), (5, 1000)];
    let mut cases: Vec<Case> = shapes.iter().map(|&(b, c)| case(b, c, "a fifth missing", |i| i % 5 == 3)).collect();
    cases.push(case(3, 5, "all missing", |_| true));
    cases
}

fn case(b: usize, c: usize, which: &str, missing: fn(usize) -> bool) -> Case {
    Case::new(format!("[{b}, {c}], {which}"), move |gpu| run(gpu, b, c, missing))
}

fn run(gpu: &Gpu, b: usize, c: usize, missing: fn(usize) -> bool) -> Result<Vec<Check>> {
    let z: Vec<f32> = values(1, b * c).iter().map(|v| 4.0 * v).collect();
    // Hard and soft targets.
    let target = |i: usize| if missing(i) { MISSING } else { [0.0, 1.0, 0.25][i % 3] };
    let targets: Vec<f32> = (0..b * c).map(target).collect();
    let weight = 0.75;
    // The twin knows the elements that have a target only.
    let present: Vec<usize> = (0..b * c).filter(|i| !missing(*i)).collect();
    let pick = |all: &[f32]| present.iter().map(|&i| f64::from(all[i])).collect::<Vec<f64>>();
    let (z_in, targets_in) = (pick(&z), pick(&targets));
    let positive: Vec<f32> = (0..c).map(|j| 0.5 + j as f32 / c as f32).collect();
    let each: Vec<f64> = present.iter().map(|i| f64::from(positive[i % c])).collect();
    let spread = |grad: Vec<f64>| {
        let mut dz = vec![0.0; b * c];
        present.iter().zip(grad).for_each(|(&i, g)| dz[i] = g);
        dz
    };
    let plain = (
        twin::binary_cross_entropy::forward(&z_in, &targets_in),
        spread(twin::binary_cross_entropy::grad(&z_in, &targets_in)),
    );
    let weighted = (
        twin::binary_cross_entropy::forward_weighted(&z_in, &targets_in, &each),
        spread(twin::binary_cross_entropy::grad_weighted(&z_in, &targets_in, &each)),
    );
    let (z, targets) = (Tensor::from_f32(gpu, &z, &[b, c])?, Tensor::from_f32(gpu, &targets, &[b, c])?);
    let positive = Tensor::from_f32(gpu, &positive, &[c])?;
    let mut checks = Vec::new();
    for variant in variants() {
        for (weights, (loss, dz)) in [(None, &plain), (Some(&positive), &weighted)] {
            let what = format!("{variant:?}, positive weights {}", weights.is_some());
            checks.extend(fused(gpu, &what, (&[b, c], b), weight, (*loss, dz), c, |out, row_loss| {
                binary_cross_entropy_with(gpu, &z, &targets, weights, weight, out, row_loss, variant)
            })?);
        }
    }
    Ok(checks)
}
