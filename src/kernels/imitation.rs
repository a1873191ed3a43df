//! Imitation of a teacher's features where objects are: the mask of the places that count, and the loss under it.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::fcos::{self, Level, MOST_LEVELS, OBJECT, Pyramid, TARGET};
use super::rows::{RowParallelism, bind_gradient, expect, flag};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
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
    let targets = fcos::teach(gpu, pyramid, taught, 0.0)?;
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

/// `weight / (2 max(Σ mask, 1)) · Σ mask (s − t)²` over places and channels; `s`, `t` and `ds` `[n, h, w, c]`, `mask` and `row_loss`
/// `[n·h·w]`, `total` that of [`total`].
pub fn imitation(
    gpu: &Gpu,
    (s, t): (&Tensor, &Tensor),
    (mask, total): (&Tensor, &Tensor),
    weight: f32,
    ds: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let rows = RowParallelism::choose(s.columns(), gpu.profile().class);
    imitation_with(gpu, (s, t), (mask, total), weight, ds, row_loss, rows)
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`imitation`] with rows worked through in a given way.
pub fn imitation_with(
    gpu: &Gpu,
    (s, t): (&Tensor, &Tensor),
    (mask, total): (&Tensor, &Tensor),
    weight: f32,
    ds: Option<&GradTarget>,
    row_loss: &Tensor,
    rows: RowParallelism,
) -> Result<()> {
    expect("imitation", "the teacher's features", t, s.shape())?;
    expect("imitation", "mask", mask, &[s.rows()])?;
    expect("imitation", "the mask's total", total, &[1])?;
    expect("imitation", "row_loss", row_loss, &[s.rows()])?;
    if let Some(ds) = ds {
        expect("imitation", "ds", &ds.tensor, s.shape())?;
    }
    let launch = gpu
        .launch(SOURCE, "imitation", &variant(rows, ds.is_some()))?
        .bind("mask", mask)
        .bind("total", total)
        .bind("s", s)
        .bind("t", t)
        .bind("row_loss", row_loss)
        .u32("rows", s.rows())
        .u32("columns", s.columns())
        .u32("accumulate", flag(ds))
        .f32("weight", weight)
        .cost(6 * s.len() as u64);
    rows.dispatch(bind_gradient(launch, "ds", ds), [s.rows(), s.columns()])
}
