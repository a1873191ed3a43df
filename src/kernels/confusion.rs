//! Predictions and confusion counts.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::rows::expect;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result};

const SOURCE: Source = Source { name: "confusion", text: include_str!("../../shaders/confusion.wgsl") };

/// Adds the first `valid` rows of `z` `[rows, classes]` to `counts` `[classes, classes]` (`u32`; true class by row,
/// predicted by column). `labels` `[rows]` are `u32`; a label that is no class is not counted.
pub fn confusion(gpu: &Gpu, z: &Tensor, labels: &Tensor, valid: usize, counts: &Tensor) -> Result<()> {
    let classes = z.columns();
    expect("confusion", "labels", labels, &[z.rows()])?;
    expect("confusion", "counts", counts, &[classes, classes])?;
    if valid > z.rows() {
        return Err(Error::Shape(format!("confusion: {valid} valid rows of {:?}", z.shape())));
    }
    gpu.launch(SOURCE, "confusion", &Defines::new())?
        .bind("z", z)
        .bind("labels", labels)
        .bind("counts", counts)
        .u32("rows", valid)
        .u32("columns", classes)
        .turns(classes)
        .cost(2 * z.len() as u64)
        .threads(valid)
}

/// The class with the largest logit in each row of `z` `[rows, classes]`, the first of equals: `[rows]` of `u32`.
pub fn argmax(gpu: &Gpu, z: &Tensor) -> Result<Tensor> {
    let predictions = Tensor::empty(gpu, &[z.rows()])?;
    gpu.launch(SOURCE, "argmax", &Defines::new())?
        .bind("z", z)
        .bind("predictions", &predictions)
        .u32("rows", z.rows())
        .u32("columns", z.columns())
        .turns(z.columns())
        .cost(2 * z.len() as u64)
        .threads(z.rows())?;
    Ok(predictions)
}
