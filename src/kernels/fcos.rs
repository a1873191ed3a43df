//! Detection without anchors (FCOS): what each place of a pyramid is to say, and its three losses.

#[cfg(feature = "selftest")]
mod cases;
mod loss;
mod teacher;
#[cfg(feature = "selftest")]
pub(super) mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

pub use loss::{Focal, Part, loss};
pub use teacher::{Soft, soft, teach};

use super::LossOut;
use super::rows::expect;
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::Tensor;
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

impl Pyramid {
    /// Places of one image.
    pub fn places(&self) -> usize {
        self.levels.iter().map(|l| l.size[0] * l.size[1]).sum()
    }

    pub(super) fn check(&self) -> Result<()> {
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

/// What every place is to say, `[images · places, 6]` (see the shader), from `objects` `[images, boxes, 6]`: left, upper, right and
/// lower edge in pixels, class, and what it is: 0 nothing, 1 an object, 2 not to be judged, 3 nothing in this image is.
pub fn assign(gpu: &Gpu, pyramid: &Pyramid, objects: &Tensor, radius: f32) -> Result<Tensor> {
    pyramid.check()?;
    let boxes = objects.len() / (OBJECT * pyramid.images);
    expect("fcos", "objects", objects, &[pyramid.images, boxes, OBJECT])?;
    let rows = pyramid.images * pyramid.places();
    let targets = Tensor::empty(gpu, &[rows, TARGET])?;
    let launch = pyramid.describe(gpu.launch(SOURCE, "assign", &defines! {})?);
    launch
        .bind("objects", objects)
        .bind("assigned", &targets)
        .u32("boxes", boxes)
        .f32("radius", radius)
        .turns(boxes)
        .cost(40 * (rows * boxes) as u64)
        .threads(rows)?;
    Ok(targets)
}

/// The number of places with an object, and the sum of their centre-ness: `[2]`. `targets` as of [`assign`] or [`teach`].
pub fn norms(gpu: &Gpu, targets: &Tensor) -> Result<Tensor> {
    let (sums, rows) = (Tensor::empty(gpu, &[2])?, targets.rows());
    expect("fcos", "targets", targets, &[rows, TARGET])?;
    let launch = gpu.launch(SOURCE, "norms", &defines! {})?.bind("targets", targets).bind("sums", &sums);
    launch.u32("rows", rows).turns(rows.div_ceil(64)).groups(1)?;
    Ok(sums)
}

/// Rows of a detector's output `z` `[…, classes + 5]`, or an error.
fn rows_of(z: &Tensor) -> Result<usize> {
    if z.columns() < 6 || z.is_empty() {
        return Err(Error::Shape(format!("fcos: {:?} is no detector's output", z.shape())));
    }
    Ok(z.rows())
}
