//! Imitation of a teacher's features where objects are: the mask of the places that count, and the loss under it.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::LossOut;
use super::fcos::{self, Level, MOST_LEVELS, OBJECT, Pyramid, TARGET};
use super::rows::{RowParallelism, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Result, defines};

const SOURCE: Source = Source { name: "imitation", text: include_str!("../../shaders/imitation.wgsl") };

/// The places of a map over a batch of images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Pixels from one row, and from one column, to the next.
    pub step: [f32; 2],
}

impl Grid {
    fn places(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

/// How much each place of a map counts, `[images · h · w]`: 1 where a box of `objects` `[images, boxes, 6]` ([`fcos::assign`]) touches
/// its cell; else, where nobody has looked at the image or what is there is not judged, a teacher's foreground; else 0. `taught`
/// `[images, places, classes + 5]` is what the teacher says at the places of `pyramid`.
pub fn mask(gpu: &Gpu, grid: &Grid, objects: &Tensor, pyramid: &Pyramid, taught: &Tensor) -> Result<Tensor> {
    const NAMES: [[&str; 4]; MOST_LEVELS] = [
        ["", "height0", "width0", "stride0"],
        ["start1", "height1", "width1", "stride1"],
        ["start2", "height2", "width2", "stride2"],
        ["start3", "height3", "width3", "stride3"],
        ["start4", "height4", "width4", "stride4"],
    ];
    pyramid.check()?;
    let targets = fcos::teach(gpu, taught, 0.0)?;
    let images = pyramid.images;
    let boxes = objects.len() / (OBJECT * images);
    expect("imitation", "objects", objects, &[images, boxes, OBJECT])?;
    expect("imitation", "targets", &targets, &[images * pyramid.places(), TARGET])?;
    let rows = images * grid.places();
    let made = Tensor::empty(gpu, &[rows])?;
    let mut launch = gpu
        .launch(SOURCE, "imitation_mask", &variant(RowParallelism::Invocation, false))?
        .bind("objects", objects)
        .bind("targets", &targets)
        .bind("made", &made)
        .u32("images", images)
        .u32("height", grid.size[0])
        .u32("width", grid.size[1])
        .u32("boxes", boxes)
        .u32("places", pyramid.places())
        .u32("levels", pyramid.levels.len())
        .f32("step_y", grid.step[0])
        .f32("step_x", grid.step[1])
        .turns(boxes)
        .cost(20 * (rows * boxes) as u64);
    let mut first = 0;
    for (k, [start, height, width, stride]) in NAMES.into_iter().enumerate() {
        let level = pyramid.levels.get(k).copied().unwrap_or(Level { size: [1, 1], stride: 1.0 });
        // The first begins at 0.
        if k > 0 {
            launch = launch.u32(start, first);
        }
        launch = launch.u32(height, level.size[0]).u32(width, level.size[1]).f32(stride, level.stride);
        first += level.size[0] * level.size[1];
    }
    launch.threads(rows)?;
    Ok(made)
}

/// The sum of a mask, `[1]`.
pub fn total(gpu: &Gpu, mask: &Tensor) -> Result<Tensor> {
    let sum = Tensor::empty(gpu, &[1])?;
    let launch = gpu
        .launch(SOURCE, "mask_total", &variant(RowParallelism::Invocation, false))?
        .bind("mask", mask)
        .bind("sum", &sum);
    let launch = launch.u32("rows", mask.len()).u32("columns", 1).u32("accumulate", 0).f32("weight", 0.0);
    launch.turns(mask.len().div_ceil(64)).groups(1)?;
    Ok(sum)
}

/// `1 / (2 max(Σ mask, 1)) · Σ mask (s − t)²` over places and channels; `s` and `t` `[n, h, w, c]`, `mask` `[n·h·w]`, `total` that of
/// [`total`], shares `[n·h·w]`.
pub fn imitation(gpu: &Gpu, (s, t): (&Tensor, &Tensor), (mask, total): (&Tensor, &Tensor), out: LossOut) -> Result<()> {
    let rows = RowParallelism::choose(s.columns(), gpu.profile().class);
    imitation_with(gpu, (s, t), (mask, total), out, rows)
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`imitation`] with rows worked through in a given way.
pub fn imitation_with(
    gpu: &Gpu,
    (s, t): (&Tensor, &Tensor),
    (mask, total): (&Tensor, &Tensor),
    out: LossOut,
    rows: RowParallelism,
) -> Result<()> {
    expect("imitation", "the teacher's features", t, s.shape())?;
    expect("imitation", "mask", mask, &[s.rows()])?;
    expect("imitation", "the mask's total", total, &[1])?;
    let launch = out
        .launch(gpu, (SOURCE, "imitation"), &variant(rows, out.grad.is_some()), s, "ds")?
        .bind("mask", mask)
        .bind("total", total)
        .bind("s", s)
        .bind("t", t)
        .cost(6 * s.len() as u64);
    rows.dispatch(launch, [s.rows(), s.columns()])
}
