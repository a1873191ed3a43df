//! Sums in a fixed order: the same input gives the same bits.

use crate::gpu::{Gpu, Source};
use crate::tensor::{Target, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "reduce", text: include_str!("../../shaders/reduce.wgsl") };

/// `out[c] (+)= scale · Σ_r x[r, c]`: the gradient of a bias.
pub fn column_sum(gpu: &Gpu, x: &Tensor, scale: f32, out: &Target) -> Result<()> {
    let (rows, columns) = (x.rows(), x.columns());
    if out.tensor.len() != columns {
        return Err(Error::Shape(format!("column sum of {:?} into {:?}", x.shape(), out.tensor.shape())));
    }
    let chunks = (8192 / columns).clamp(1, 64).min(rows.div_ceil(16)).max(1);
    let chunk = rows.div_ceil(chunks);
    let chunks = rows.div_ceil(chunk);
    let pass = |entry, x: &Tensor, y: &Tensor, chunks: usize, accumulate: usize, threads: usize| {
        gpu.launch(SOURCE, entry, &defines! {})?
            .bind("x", x)
            .bind("y", y)
            .u32("rows", rows)
            .u32("columns", columns)
            .u32("chunk", chunk)
            .u32("chunks", chunks)
            .u32("accumulate", accumulate)
            .f32("scale", scale)
            .threads(threads)
    };
    if chunks == 1 {
        // One chunk a column: the rows are the chunks.
        return pass("column_finish", x, &out.tensor, rows, out.flag(), columns);
    }
    let part = Tensor::empty(gpu, &[chunks, columns])?;
    pass("column_partial", x, &part, chunks, 0, columns * chunks)?;
    pass("column_finish", &part, &out.tensor, chunks, out.flag(), columns)
}

/// `out[index] = scale · Σ x`.
pub fn total(gpu: &Gpu, x: &Tensor, scale: f32, out: &Tensor, index: usize) -> Result<()> {
    if index >= out.len() {
        return Err(Error::Shape(format!("slot {index} of {}", out.len())));
    }
    gpu.launch(SOURCE, "total", &defines! {})?
        .bind("x", x)
        .bind("y", out)
        .u32("length", x.len())
        .u32("index", index)
        .f32("scale", scale)
        .groups(1)
}
