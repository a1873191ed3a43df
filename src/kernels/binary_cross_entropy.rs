//! Binary cross entropy on logits, fused with its gradient.

use super::case::{Case, Permutation};
use super::rows::{Counting, Rows, bind_gradient, counted, expect, flag};
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::{Target, Tensor};
use crate::{Result, defines};

const SOURCE: Source =
    Source { name: "binary_cross_entropy", text: include_str!("../../shaders/binary_cross_entropy.wgsl") };

/// The target of an element that has none; any negative value means the same.
pub const MISSING: f32 = -1.0;

/// `weight ·` the mean over the elements with a target of `max(z, 0) − z·t + log(1 + exp(−|z|))`.
///
/// `z`, `targets` (in 0..=1, or [`MISSING`]) and `dz` `[rows, columns]`; `dz` receives `weight ·` the gradient, `row_loss`
/// `[rows]` the weighted shares, whose sum is the loss (all 0 where nothing has a target).
pub fn binary_cross_entropy(
    gpu: &Gpu,
    z: &Tensor,
    targets: &Tensor,
    weight: f32,
    dz: Option<&Target>,
    row_loss: &Tensor,
) -> Result<()> {
    let variant = (Rows::choose(z.columns()), Counting::choose(z.len()));
    binary_cross_entropy_with(gpu, z, targets, weight, dz, row_loss, variant)
}

fn variant_defines((rows, counting): (Rows, Counting), grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), FUSED = counting.fused(), GRAD = grad }
}

/// [`binary_cross_entropy`] in a given variant.
pub fn binary_cross_entropy_with<'a>(
    gpu: &'a Gpu,
    z: &Tensor,
    targets: &Tensor,
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
    let defines = variant_defines(variant, dz.is_some());
    let prepare = |launch: Launch<'a>| {
        launch
            .bind("targets", targets)
            .u32("rows", z.rows())
            .u32("columns", z.columns())
            .u32("samples", z.len())
            .u32("accumulate", flag(dz))
            .f32("weight", weight)
    };
    let count = counting.count(gpu, SOURCE, &defines, prepare)?;
    let launch = prepare(gpu.launch(SOURCE, "binary_cross_entropy", &defines)?)
        .bind("z", z)
        .bind("row_loss", row_loss)
        .cost(30 * z.len() as u64);
    let launch = counted(bind_gradient(launch, "dz", dz), count.as_ref());
    rows.dispatch(launch, z.rows())
}

/// Every variant.
fn variants() -> Vec<(Rows, Counting)> {
    Rows::ALL.iter().flat_map(|r| Counting::ALL.map(|c| (*r, c))).collect()
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = variants().into_iter().flat_map(|v| [false, true].map(|grad| variant_defines(v, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// What the kernel is tried with.
pub fn cases() -> Vec<Case> {
    Vec::new()
}
