//! Sums in a fixed order: the same input gives the same bits.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::PART;
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "reduce", text: include_str!("../../shaders/reduce.wgsl") };

/// `out[c] (+)= scale · Σ_r x[r, c]`: the gradient of a bias.
pub fn column_sum(gpu: &Gpu, x: &Tensor, scale: f32, out: &GradTarget) -> Result<()> {
    let (rows, columns) = (x.rows(), x.columns());
    if out.tensor.len() != columns || x.is_empty() {
        return Err(Error::Shape(format!("column sum of {:?} into {:?}", x.shape(), out.tensor.shape())));
    }
    let chunks = (8192 / columns).clamp(1, 64).min(rows.div_ceil(16)).max(rows.div_ceil(PART));
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
            .turns(chunk.max(chunks))
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

/// `out[cursor[0], column] (+)= scale · Σ x`, where `cursor` `[1]` holds the row (`u32`); nothing where there is no such row.
pub fn total(gpu: &Gpu, x: &Tensor, scale: f32, out: &GradTarget, cursor: &Tensor, column: usize) -> Result<()> {
    let table = &out.tensor;
    if column >= table.columns() || cursor.len() != 1 {
        let (out, cursor) = (table.shape(), cursor.shape());
        return Err(Error::Shape(format!("a total into column {column} of {out:?} with a cursor {cursor:?}")));
    }
    gpu.launch(SOURCE, "total", &defines! {})?
        .bind("x", x)
        .bind("y", table)
        .bind("cursor", cursor)
        .u32("length", x.len())
        .u32("rows", table.rows())
        .u32("columns", table.columns())
        .u32("column", column)
        .u32("accumulate", out.flag())
        .f32("scale", scale)
        .turns(x.len().div_ceil(256))
        .groups(1)
}
