//! Relational distillation (Park et al. 2019): losses on the distances and the angles between the embeddings of a batch.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::LossOut;
use crate::gpu::{Gpu, Launch, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "rkd", text: include_str!("../../shaders/rkd.wgsl") };

/// The largest batch: one workgroup goes over all pairs.
const MOST: usize = 2048;

/// Which relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Distances between two.
    Distance,
    /// Angles between three.
    Angle,
}

impl Relation {
    /// Values of the row loss for a batch of `n`.
    pub fn losses(self, n: usize) -> usize {
        match self {
            Relation::Distance => 1,
            Relation::Angle => n * n,
        }
    }
}

fn launch<'a>(gpu: &'a Gpu, entry: &'static str, n: usize, columns: usize) -> Result<Launch<'a>> {
    Ok(gpu.launch(SOURCE, entry, &defines! {})?.u32("batch", n).u32("columns", columns).turns(n.max(columns)))
}

/// The squared distances of embeddings `[n, c]`, `[n, n]`.
pub fn distances(gpu: &Gpu, e: &Tensor) -> Result<Tensor> {
    let n = e.rows();
    let squares = Tensor::empty(gpu, &[n, n])?;
    launch(gpu, "distances", n, e.columns())?
        .bind("e", e)
        .bind("squares", &squares)
        .u32("accumulate", 0)
        .f32("weight", 0.0)
        .cost((3 * n * e.len()) as u64)
        .threads(n * n)?;
    Ok(squares)
}

/// The loss of student embeddings `s` `[n, c]` against a teacher's `t` `[n, d]`, in [`Relation::losses`] shares.
pub fn rkd(gpu: &Gpu, s: &Tensor, t: &Tensor, relation: Relation, out: LossOut) -> Result<()> {
    let n = s.rows();
    if t.rows() != n || n > MOST {
        let message = format!("rkd: {:?} and {:?}; at most {MOST} samples, the same for both", s.shape(), t.shape());
        return Err(Error::Shape(message));
    }
    out.check("rkd", s, relation.losses(n))?;
    let (squares, grad) = (distances(gpu, s)?, Tensor::empty(gpu, &[n, n])?);
    let taught = distances(gpu, t)?;
    let entry = match relation {
        Relation::Distance => "distance_loss",
        Relation::Angle => "angle_loss",
    };
    let loss = launch(gpu, entry, n, s.columns())?
        .bind("s", &squares)
        .bind("t", &taught)
        .bind("row_loss", out.row_loss)
        .bind("grad", &grad)
        .u32("accumulate", 0)
        .f32("weight", out.weight)
        .turns(2 * n.max(3 * (n * n).div_ceil(256)));
    match relation {
        Relation::Distance => loss.groups(1)?,
        Relation::Angle => loss.cost((60 * n * n * n) as u64).threads(n * n)?,
    }
    let Some(ds) = out.grad else { return Ok(()) };
    launch(gpu, "spread", n, s.columns())?
        .bind("e", s)
        .bind("slope", &grad)
        .bind("de", &ds.tensor)
        .u32("accumulate", ds.flag())
        .f32("weight", 0.0)
        .cost((4 * n * s.len()) as u64)
        .threads(s.len())
}
