//! A bank of the last rows seen, with their classes: a ring in the memory of the GPU, so that a recorded step goes on in it.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::expect;
use crate::gpu::{Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines, reference};

const SOURCE: Source = Source { name: "bank", text: include_str!("../../shaders/bank.wgsl") };

/// What all banks of the same samples share.
#[derive(Debug, Clone, Copy)]
pub struct Ring<'a> {
    /// The classes of the entries, `[k]`; −1: none.
    pub classes: &'a Tensor,
    /// Where the next entry goes, `[1]`.
    pub cursor: &'a Tensor,
}

/// Writes the rows of `x` `[n, d]` over the oldest entries of `bank` `[k, d]`; [`close`] moves on.
pub fn put(gpu: &Gpu, x: &Tensor, bank: &Tensor, ring: Ring) -> Result<()> {
    let k = ring.classes.len();
    expect("bank", "the bank", bank, &[k, x.columns()])?;
    gpu.launch(SOURCE, "put", &defines! {})?
        .bind("x", x)
        .bind("cursor", ring.cursor)
        .bind("bank", bank)
        .u32("n", x.rows())
        .u32("places", k)
        .u32("depth", x.columns())
        .threads(x.len())
}

/// Writes the classes of the rows that were put, from `labels` `[n]`, and moves on behind them.
pub fn close(gpu: &Gpu, labels: &Tensor, ring: Ring) -> Result<()> {
    let k = ring.classes.len();
    if labels.is_empty() || k == 0 || k >= 1 << 24 {
        return Err(Error::Shape(format!("a bank of {k} entries for {} labels", labels.len())));
    }
    gpu.launch(SOURCE, "close", &defines! {})?
        .bind("labels", labels)
        .bind("at", ring.cursor)
        .bind("classes", ring.classes)
        .u32("n", labels.len())
        .u32("places", k)
        .u32("depth", 1)
        .turns(labels.len().div_ceil(64))
        .groups(1)
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Several batches, over the end of the ring, and batches larger than it.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1, 1), (3, 5, 8), (4, 7, 4), (70, 3, 128), (9, 2, 4), (200, 16, 33)];
    shapes
        .into_iter()
        .map(|(n, d, k)| Case::new(format!("[{n}, {d}] into {k}"), move |gpu| run(gpu, n, d, k)))
        .collect()
}

fn run(gpu: &Gpu, n: usize, d: usize, k: usize) -> Result<Vec<Check>> {
    let (mut bank64, mut classes64, mut cursor64) = (vec![0.5; k * d], vec![-1.0; k], 0);
    let bank = Tensor::from_f32(gpu, &vec![0.5; k * d], &[k, d])?;
    let (classes, cursor) = (Tensor::from_f32(gpu, &vec![-1.0; k], &[k])?, Tensor::from_f32(gpu, &[0.0], &[1])?);
    let ring = Ring { classes: &classes, cursor: &cursor };
    for batch in 0..3 {
        let x = values(batch, n * d);
        let labels: Vec<u32> = (0..n as u32).map(|i| if i % 5 == 4 { u32::MAX } else { i + batch as u32 }).collect();
        cursor64 = reference::bank::put((&f64s(&x), &labels), &mut bank64, &mut classes64, cursor64);
        put(gpu, &Tensor::from_f32(gpu, &x, &[n, d])?, &bank, ring)?;
        close(gpu, &Tensor::from_u32(gpu, &labels, &[n])?, ring)?;
    }
    Ok(vec![
        Check::sum("bank", bank.to_f32(gpu)?, bank64, 1),
        Check::sum("classes", classes.to_f32(gpu)?, classes64, 1),
        Check::sum("cursor", cursor.to_f32(gpu)?, vec![cursor64 as f64], 1),
    ])
}
