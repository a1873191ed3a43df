//! The three losses of a detector's output on what its places are to say.

use super::*;

pub(super) const SOURCE: Source = Source { name: "fcos/loss", text: include_str!("../../../shaders/fcos/loss.wgsl") };

/// The focal loss's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Focal {
    /// Weight of the side that is there.
    pub alpha: f32,
    /// How much less what is sure counts.
    pub gamma: f32,
}

/// Which loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part {
    /// Focal loss of the classes.
    Classes(Focal),
    /// GIoU loss of the boxes.
    Boxes,
    /// Binary cross entropy of centre-ness.
    Centre,
}

/// One of the losses of `z` `[images, places, classes + 5]`, in shares `[images · places]`; the gradient is 0 in columns that the loss
/// does not see. `targets` `[images · places, 6]` are those of [`assign`], `norms` those of [`norms`].
pub fn loss(gpu: &Gpu, part: Part, z: &Tensor, (targets, norms): (&Tensor, &Tensor), out: LossOut) -> Result<()> {
    let (rows, columns) = (rows_of(z)?, z.columns());
    expect("fcos", "targets", targets, &[rows, TARGET])?;
    expect("fcos", "norms", norms, &[2])?;
    out.check("fcos", z, rows)?;
    let entry = match part {
        Part::Classes(_) => "focal",
        Part::Boxes => "giou",
        Part::Centre => "centre",
    };
    let launch = gpu
        .launch(SOURCE, entry, &variant_defines(out.grad.is_some()))?
        .bind("targets", targets)
        .bind("z", z)
        .bind("norm", norms)
        .u32("rows", rows)
        .u32("classes", columns - 5)
        .turns(columns)
        .cost(30 * z.len() as u64);
    let launch = match part {
        Part::Classes(Focal { alpha, gamma }) => launch.f32("alpha", alpha).f32("gamma", gamma),
        Part::Boxes | Part::Centre => launch,
    };
    out.bind(out.set(launch), "dz").threads(rows)
}

pub(super) fn variant_defines(grad: bool) -> Defines {
    defines! { GRAD = grad }
}
