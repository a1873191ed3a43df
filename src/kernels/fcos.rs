//! Detection without anchors (FCOS): what each place of a pyramid is to say, and its three losses.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
pub(super) mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::rows::{bind_gradient, expect, flag};
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "fcos", text: include_str!("../../shaders/fcos.wgsl") };

/// The most levels a pyramid can have.
pub const MOST_LEVELS: usize = 5;

/// Values of an object: four edges, its class, and what it is.
pub const OBJECT: usize = 6;

/// Values of what a place is to say.
pub const TARGET: usize = 6;

/// One level of a pyramid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Pixels from one place to the next.
    pub stride: f32,
}

/// The places of a pyramid over a batch of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Pyramid {
    /// From fine to coarse.
    pub levels: Vec<Level>,
    /// Images.
    pub images: usize,
}

/// The focal loss's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Focal {
    /// Weight of the side that is there.
    pub alpha: f32,
    /// How much less what is sure counts.
    pub gamma: f32,
}

impl Pyramid {
    /// Places of one image.
    pub fn places(&self) -> usize {
        self.levels.iter().map(|l| l.size[0] * l.size[1]).sum()
    }

    fn check(&self) -> Result<()> {
        let n = self.levels.len();
        if n == 0 || n > MOST_LEVELS || self.places() == 0 || self.images == 0 {
            return Err(Error::Shape(format!("a pyramid of {n} levels: expected 1 to {MOST_LEVELS}, none empty")));
        }
        Ok(())
    }

    fn describe<'a>(&self, launch: Launch<'a>) -> Launch<'a> {
        const NAMES: [(&str, &str, &str); MOST_LEVELS] = [
            ("", "width0", "stride0"),
            ("start1", "width1", "stride1"),
            ("start2", "width2", "stride2"),
            ("start3", "width3", "stride3"),
            ("start4", "width4", "stride4"),
        ];
        let mut launch =
            launch.u32("places", self.places()).u32("images", self.images).u32("levels", self.levels.len());
        let mut start = 0;
        for (k, (start_name, width, stride)) in NAMES.into_iter().enumerate() {
            let level = self.levels.get(k).copied().unwrap_or(Level { size: [0, 1], stride: 1.0 });
            if k > 0 {
                launch = launch.u32(start_name, start);
            }
            launch = launch.u32(width, level.size[1]).f32(stride, level.stride);
            start += level.size[0] * level.size[1];
        }
        launch
    }
}

/// Everything that is not set is zero.
fn rest<'a>(launch: Launch<'a>, set: &[&str]) -> Launch<'a> {
    let words = ["classes", "boxes", "accumulate"].into_iter().filter(|n| !set.contains(n));
    let launch = words.fold(launch, |l, name| l.u32(name, 0));
    let numbers = ["radius", "alpha", "gamma", "weight"].into_iter().filter(|n| !set.contains(n));
    numbers.fold(launch, |l, name| l.f32(name, 0.0))
}

/// What every place is to say, `[images · places, 6]` (see the shader), from `objects` `[images, boxes, 6]`: left, upper, right and
/// lower edge in pixels, class, and what it is: 0 nothing, 1 an object, 2 not to be judged, 3 nothing in this image is.
pub fn assign(gpu: &Gpu, pyramid: &Pyramid, objects: &Tensor, radius: f32) -> Result<Tensor> {
    pyramid.check()?;
    let boxes = objects.len() / (OBJECT * pyramid.images);
    expect("fcos", "objects", objects, &[pyramid.images, boxes, OBJECT])?;
    let rows = pyramid.images * pyramid.places();
    let targets = Tensor::empty(gpu, &[rows, TARGET])?;
    let launch = gpu
        .launch(SOURCE, "assign", &variant_defines(false))?
        .bind("objects", objects)
        .bind("assigned", &targets)
        .u32("boxes", boxes)
        .f32("radius", radius)
        .turns(boxes)
        .cost(40 * (rows * boxes) as u64);
    rest(pyramid.describe(launch), &["boxes", "radius"]).threads(rows)?;
    Ok(targets)
}

/// What every place is to say after a teacher, in the form of [`assign`]: its boxes, weighted by its foreground (the probability of its
/// most probable class), where that is at least `least`. `taught` `[images, places, classes + 5]`.
pub fn teach(gpu: &Gpu, pyramid: &Pyramid, taught: &Tensor, least: f32) -> Result<Tensor> {
    let rows = check_said(pyramid, taught)?;
    let targets = Tensor::empty(gpu, &[rows, TARGET])?;
    let launch = gpu
        .launch(SOURCE, "teach", &variant_defines(false))?
        .bind("taught", taught)
        .bind("assigned", &targets)
        .u32("classes", taught.columns() - 5)
        .f32("radius", least)
        .turns(taught.columns());
    rest(pyramid.describe(launch), &["classes", "radius"]).threads(rows)?;
    Ok(targets)
}

/// Rows of a detector's output, or an error.
fn check_said(pyramid: &Pyramid, z: &Tensor) -> Result<usize> {
    pyramid.check()?;
    let rows = pyramid.images * pyramid.places();
    if z.rows() != rows || z.columns() < 6 {
        let (images, places) = (pyramid.images, pyramid.places());
        return Err(Error::Shape(format!("fcos: {:?} for {images} images of {places} places", z.shape())));
    }
    Ok(rows)
}

/// The number of places with an object, and the sum of their centre-ness: `[2]`.
pub fn norms(gpu: &Gpu, pyramid: &Pyramid, targets: &Tensor) -> Result<Tensor> {
    let sums = Tensor::empty(gpu, &[2])?;
    let rows = pyramid.images * pyramid.places();
    let launch = gpu.launch(SOURCE, "norms", &variant_defines(false))?.bind("targets", targets).bind("sums", &sums);
    rest(pyramid.describe(launch), &[]).turns(rows.div_ceil(64)).groups(1)?;
    Ok(sums)
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

/// A teacher's classes, for [`soft`].
#[derive(Debug, Clone, Copy)]
pub struct Soft<'a> {
    /// What it says, `[images, places, classes + 5]`.
    pub taught: &'a Tensor,
    /// T.
    pub temperature: f32,
}

/// `weight · T² Σ KL(σ(taught / T) ‖ σ(z / T))` over classes and places, places weighted by the teacher's foreground; shapes as in
/// [`loss`]. `targets` are those of [`teach`] of all places (`least` = 0), `norms` theirs.
pub fn soft(
    gpu: &Gpu,
    pyramid: &Pyramid,
    of: Soft,
    z: &Tensor,
    (targets, norms): (&Tensor, &Tensor),
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let rows = check_said(pyramid, z)?;
    expect("fcos", "what the teacher says", of.taught, z.shape())?;
    expect("fcos", "targets", targets, &[rows, TARGET])?;
    expect("fcos", "row_loss", row_loss, &[rows])?;
    let launch = gpu
        .launch(SOURCE, "soft", &variant_defines(dz.is_some()))?
        .bind("targets", targets)
        .bind("taught", of.taught)
        .bind("z", z)
        .bind("norm", norms)
        .bind("row_loss", row_loss)
        .u32("classes", z.columns() - 5)
        .u32("accumulate", flag(dz))
        .f32("gamma", of.temperature)
        .f32("weight", weight)
        .turns(z.columns())
        .cost(60 * z.len() as u64);
    let launch = rest(pyramid.describe(launch), &["classes", "accumulate", "gamma", "weight"]);
    bind_gradient(launch, "dz", dz).threads(rows)
}

/// `weight ·` one of the losses of `z` `[images, places, classes + 5]`; `dz` receives `weight ·` the gradient (0 in columns that it
/// does not see), `row_loss` `[images · places]` the weighted shares, whose sum is the loss. `targets` and `norms` are those of
/// [`assign`] and [`norms`].
pub fn loss(
    gpu: &Gpu,
    pyramid: &Pyramid,
    part: Part,
    z: &Tensor,
    (targets, norms): (&Tensor, &Tensor),
    weight: f32,
    dz: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let (rows, columns) = (check_said(pyramid, z)?, z.columns());
    expect("fcos", "targets", targets, &[rows, TARGET])?;
    expect("fcos", "row_loss", row_loss, &[rows])?;
    if let Some(dz) = dz {
        expect("fcos", "dz", &dz.tensor, z.shape())?;
    }
    let (entry, focal) = match part {
        Part::Classes(focal) => ("focal", focal),
        Part::Boxes => ("giou", Focal { alpha: 0.0, gamma: 0.0 }),
        Part::Centre => ("centre", Focal { alpha: 0.0, gamma: 0.0 }),
    };
    let launch = gpu
        .launch(SOURCE, entry, &variant_defines(dz.is_some()))?
        .bind("targets", targets)
        .bind("z", z)
        .bind("norm", norms)
        .bind("row_loss", row_loss)
        .u32("classes", columns - 5)
        .u32("accumulate", flag(dz))
        .f32("alpha", focal.alpha)
        .f32("gamma", focal.gamma)
        .f32("weight", weight)
        .turns(columns)
        .cost(30 * z.len() as u64);
    let launch = rest(pyramid.describe(launch), &["classes", "accumulate", "alpha", "gamma", "weight"]);
    bind_gradient(launch, "dz", dz).threads(rows)
}

fn variant_defines(grad: bool) -> Defines {
    defines! { GRAD = grad }
}
