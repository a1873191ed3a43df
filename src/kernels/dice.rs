//! Soft Dice loss over classes with class weights, and its gradient.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::rows::{RowParallelism, expect};
use super::{LossOut, PART};
use crate::gpu::{AdapterClass, Defines, Gpu, Launch, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "dice", text: include_str!("../../shaders/dice.wgsl") };

/// The label of a pixel that has none.
pub const MISSING: u32 = u32::MAX;

/// The mean over the classes that occur among the labels, each counting with its weight, of `1 − D`,
/// `D = (2 Σ p g + s) / (Σ p + Σ g + s)`, `p = softmax(z)`, `g` 1 where a pixel is of the class, sums over every labelled pixel of the
/// batch.
///
/// `z` `[N, H, W, C]`, or any `[…, C]`; `labels` `[N, H, W]` of `u32`, [`MISSING`] where there is none; `class_weights` `[C]`, none below
/// 0; `smoothing` s, 0 or more; shares `[C]`, one of each class (all 0 where nothing is labelled, or nothing that is labelled counts).
pub fn dice(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    smoothing: f32,
    out: LossOut,
) -> Result<()> {
    let rows = RowParallelism::choose(z.columns(), gpu.profile().class);
    dice_with(gpu, z, labels, class_weights, smoothing, out, rows)
}

fn variant_defines(rows: RowParallelism) -> Defines {
    defines! { WIDE = rows.wide() }
}

/// Rows that one invocation adds up: as many chunks as keep the adapter busy, none longer than an invocation may be.
fn chunk(rows: usize, columns: usize, class: AdapterClass) -> usize {
    let invocations = if class == AdapterClass::Software { 1 << 10 } else { 1 << 15 };
    let chunks = (invocations / columns).clamp(1, rows.div_ceil(16).max(1)).max(rows.div_ceil(PART));
    rows.div_ceil(chunks)
}

/// [`dice()`] in a given variant.
pub fn dice_with(
    gpu: &Gpu,
    z: &Tensor,
    labels: &Tensor,
    class_weights: &Tensor,
    smoothing: f32,
    out: LossOut,
    variant: RowParallelism,
) -> Result<()> {
    if !(smoothing.is_finite() && smoothing >= 0.0) {
        return Err(Error::Invalid(format!("dice: the smoothing is {smoothing}; it must be 0 or more")));
    }
    let [rows, columns] = [z.rows(), z.columns()];
    expect("dice", "labels", labels, &[rows])?;
    expect("dice", "class_weights", class_weights, &[columns])?;
    out.check("dice", z, columns)?;
    if z.is_empty() {
        return Err(Error::Shape(format!("dice: there is nothing in {:?}", z.shape())));
    }
    let chunk = chunk(rows, columns, gpu.profile().class);
    let chunks = rows.div_ceil(chunk);
    let launch = |entry: &'static str| -> Result<Launch> {
        let launch = gpu.launch(SOURCE, entry, &variant_defines(variant))?;
        let launch = launch.u32("rows", rows).u32("columns", columns).u32("chunk", chunk).u32("chunks", chunks);
        Ok(out.set(launch.f32("smoothing", smoothing)))
    };
    let empty = |shape: &[usize]| Tensor::empty(gpu, shape);
    let (normals, parts) = (empty(&[rows, 3])?, empty(&[chunks, columns, 3])?);
    let (sums, slopes) = (empty(&[columns, 3])?, empty(&[columns, 2])?);
    let seen = |entry| Ok::<_, Error>(launch(entry)?.bind("z", z).bind("labels", labels).cost(20 * z.len() as u64));
    variant.dispatch(seen("dice_normals")?.bind("normals_out", &normals), [rows, columns])?;
    let partial = seen("dice_partial")?.bind("normals", &normals).bind("parts_out", &parts);
    partial.turns(chunk).threads(chunks * columns)?;
    let finish = launch("dice_finish")?.bind("parts", &parts).bind("sums_out", &sums);
    finish.turns(chunks.div_ceil(64)).groups(columns)?;
    let shares = launch("dice_shares")?.bind("sums", &sums).bind("class_weights", class_weights);
    let shares = shares.bind("shares", out.row_loss).bind("slopes_out", &slopes);
    shares.turns(2 * columns.div_ceil(64)).groups(1)?;
    let Some(dz) = out.grad else { return Ok(()) };
    let grad = seen("dice_grad")?.bind("normals", &normals).bind("slopes", &slopes).bind("dz", &dz.tensor);
    variant.dispatch(grad, [rows, columns])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_many_and_short_enough() {
        for class in [AdapterClass::Software, AdapterClass::Integrated] {
            for (rows, columns) in [(1, 2), (17, 255), (131_072, 21), (1 << 24, 2), (1 << 24, 100_000)] {
                let chunk = chunk(rows, columns, class);
                assert!((1..=PART).contains(&chunk), "{rows} x {columns}: {chunk}");
            }
        }
        assert_eq!(chunk(131_072, 21, AdapterClass::Integrated), 85);
    }
}
