//! Relational distillation (Park et al. 2019): losses on the distances and the angles between the embeddings of a batch.

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{expect, fused};
use crate::gpu::{Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

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

/// `weight ·` the loss of student embeddings `s` `[n, c]` against a teacher's `t` `[n, d]`; `row_loss`
/// ([`Relation::losses`] values) receives it, `ds` the gradient.
pub fn rkd(
    gpu: &Gpu,
    s: &Tensor,
    t: &Tensor,
    relation: Relation,
    weight: f32,
    ds: Option<&GradTarget>,
    row_loss: &Tensor,
) -> Result<()> {
    let n = s.rows();
    if t.rows() != n || n > MOST {
        let message = format!("rkd: {:?} and {:?}; at most {MOST} samples, the same for both", s.shape(), t.shape());
        return Err(Error::Shape(message));
    }
    expect("rkd", "row_loss", row_loss, &[relation.losses(n)])?;
    if let Some(ds) = ds {
        expect("rkd", "ds", &ds.tensor, s.shape())?;
    }
    let (squares, grad) = (distances(gpu, s)?, Tensor::empty(gpu, &[n, n])?);
    let taught = distances(gpu, t)?;
    let entry = match relation {
        Relation::Distance => "distance_loss",
        Relation::Angle => "angle_loss",
    };
    let loss = launch(gpu, entry, n, s.columns())?
        .bind("s", &squares)
        .bind("t", &taught)
        .bind("row_loss", row_loss)
        .bind("grad", &grad)
        .u32("accumulate", 0)
        .f32("weight", weight)
        .turns(2 * n.max(3 * (n * n).div_ceil(256)));
    match relation {
        Relation::Distance => loss.groups(1)?,
        Relation::Angle => loss.cost((60 * n * n * n) as u64).threads(n * n)?,
    }
    let Some(ds) = ds else { return Ok(()) };
    launch(gpu, "spread", n, s.columns())?
        .bind("e", s)
        .bind("slope", &grad)
        .bind("de", &ds.tensor)
        .u32("accumulate", ds.flag())
        .f32("weight", 0.0)
        .cost((4 * n * s.len()) as u64)
        .threads(s.len())
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// Odd and even batches, and samples that are the same.
pub fn cases() -> Vec<Case> {
    let shapes = [(2, 3, 5, false), (3, 8, 4, false), (17, 16, 33, false), (40, 64, 32, false), (6, 4, 4, true)];
    let all = shapes.into_iter().flat_map(|s| [Relation::Distance, Relation::Angle].map(|r| (s, r)));
    all.map(|((n, c, d, duplicates), r)| {
        Case::new(format!("[{n}, {c}] {r:?}, duplicates {duplicates}"), move |g| run(g, n, c, d, duplicates, r))
    })
    .collect()
}

fn run(gpu: &Gpu, n: usize, c: usize, d: usize, duplicates: bool, relation: Relation) -> Result<Vec<Check>> {
    let (mut s, t) = (values(1, n * c), values(2, n * d));
    if duplicates {
        s.copy_within(0..c, c);
    }
    let (s64, t64) = (f64s(&s), f64s(&t));
    let (loss, grad) = match relation {
        Relation::Distance => (reference::rkd::distance(&s64, &t64, n), reference::rkd::distance_grad(&s64, &t64, n)),
        Relation::Angle => (reference::rkd::angle(&s64, &t64, n), reference::rkd::angle_grad(&s64, &t64, n)),
    };
    let (s, t) = (Tensor::from_f32(gpu, &s, &[n, c])?, Tensor::from_f32(gpu, &t, &[n, d])?);
    let shape = (&[n, c][..], relation.losses(n));
    fused(gpu, "", shape, 0.75, (loss, &grad), n * n, |target, row_loss| {
        rkd(gpu, &s, &t, relation, 0.75, target, row_loss)
    })
}
