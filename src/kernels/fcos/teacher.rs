//! What a detector's places are to say after a teacher, and the loss of their classes against its.

use super::loss::variant_defines;
use super::*;

pub(super) const SOURCE: Source =
    Source { name: "fcos/teacher", text: include_str!("../../../shaders/fcos/teacher.wgsl") };

/// What every place is to say after a teacher, in the form of [`assign`]: its boxes, weighted by its foreground (the probability of its
/// most probable class), where that is at least `least`. `taught` `[images, places, classes + 5]`.
pub fn teach(gpu: &Gpu, taught: &Tensor, least: f32) -> Result<Tensor> {
    let rows = rows_of(taught)?;
    let targets = Tensor::empty(gpu, &[rows, TARGET])?;
    gpu.launch(SOURCE, "teach", &variant_defines(false))?
        .bind("taught", taught)
        .bind("assigned", &targets)
        .u32("rows", rows)
        .u32("classes", taught.columns() - 5)
        .f32("least", least)
        .turns(taught.columns())
        .threads(rows)?;
    Ok(targets)
}

/// A teacher's classes, for [`soft`].
#[derive(Debug, Clone, Copy)]
pub struct Soft<'a> {
    /// What it says, `[images, places, classes + 5]`.
    pub taught: &'a Tensor,
    /// T.
    pub temperature: f32,
}

/// `T² Σ KL(σ(taught / T) ‖ σ(z / T))` over classes and places, places weighted by the teacher's foreground; shapes as in [`loss`].
/// `targets` are those of [`teach`] of all places (`least` = 0), `norms` theirs.
pub fn soft(gpu: &Gpu, of: Soft, z: &Tensor, (targets, norms): (&Tensor, &Tensor), out: LossOut) -> Result<()> {
    let rows = rows_of(z)?;
    expect("fcos", "what the teacher says", of.taught, z.shape())?;
    expect("fcos", "targets", targets, &[rows, TARGET])?;
    expect("fcos", "norms", norms, &[2])?;
    out.check("fcos", z, rows)?;
    let launch = gpu
        .launch(SOURCE, "soft", &variant_defines(out.grad.is_some()))?
        .bind("targets", targets)
        .bind("taught", of.taught)
        .bind("z", z)
        .bind("norm", norms)
        .u32("rows", rows)
        .u32("classes", z.columns() - 5)
        .f32("temperature", of.temperature)
        .turns(z.columns())
        .cost(60 * z.len() as u64);
    out.bind(out.set(launch), "dz").threads(rows)
}
