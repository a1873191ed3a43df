//! A bank of the last rows seen, with their classes: a ring in the memory of the GPU, so that a recorded step goes on in it.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::rows::expect;
use crate::gpu::{Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

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
