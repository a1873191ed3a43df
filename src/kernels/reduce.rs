//! Sums in a fixed order: the same input gives the same bits.

use super::PART;
use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{added, destination};
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Odd rows and columns, one chunk and many, more rows than 64 invocations may see, and more columns than a row of workgroups has.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 5), (17, 33), (65, 3), (1000, 10), (5, 1000), (40_000, 3), (9216, 16), (4_200_000, 1)];
    shapes
        .into_iter()
        .chain([(2, 4_200_000)])
        .map(|(m, c)| Case::new(format!("{m} x {c}"), move |gpu| run(gpu, m, c)))
        .collect()
}

fn run(gpu: &Gpu, m: usize, c: usize) -> Result<Vec<Check>> {
    let x = values(5, m * c);
    let x64 = f64s(&x);
    let x = Tensor::from_f32(gpu, &x, &[m, c])?;
    let mut checks = Vec::new();
    for accumulate in [false, true] {
        let (out, there) = destination(gpu, &[c], accumulate)?;
        column_sum(gpu, &x, 0.5, &out)?;
        let want = added(&there, 0.5, &reference::reduce::column_sum(&x64, c));
        checks.push(Check::sum(format!("column_sum, accumulate {accumulate}"), out.tensor.to_f32(gpu)?, want, m));
    }
    // The places beside the one that is written keep what they have; a row that is not there is not written.
    let places = Tensor::from_f32(gpu, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])?;
    let cursor = Tensor::from_u32(gpu, &[1], &[1])?;
    total(gpu, &x, 2.0, &GradTarget::fresh(places.clone()), &cursor, 1)?;
    total(gpu, &x, 0.5, &GradTarget { tensor: places.clone(), accumulate: true }, &cursor, 2)?;
    cursor.write_u32(gpu, &[2])?;
    total(gpu, &x, 2.0, &GradTarget::fresh(places.clone()), &cursor, 0)?;
    let sum = reference::reduce::sum(&x64);
    let want = vec![1.0, 2.0, 3.0, 4.0, 2.0 * sum, 6.0 + 0.5 * sum];
    checks.push(Check::sum("total", places.to_f32(gpu)?, want, m * c));
    Ok(checks)
}
