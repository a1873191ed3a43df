//! Similarity-preserving distillation.

use super::method::{EVERY, FeatureKind, Layers, Method, between};
use super::relation::{products, products_grad, rows};
use crate::Result;
use crate::kernels::feature_loss;
use crate::loss::{LossOut, LossRecorder};
use crate::tape::Var;
use crate::tensor::Tensor;

/// SP (Tung & Mori 2019, arXiv 1907.09682): `‖G_s − G_t‖² / n²` with `G = F Fᵀ` between the samples of the batch, its rows at
/// length 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SimilarityPreserving;

/// PyTorch's `normalize`.
const EPS: f32 = 1e-12;

impl SimilarityPreserving {
    /// Adds `weight` times the loss of `student` `[n, ..]` against `teacher` `[n, ..]` as term `term`; only the batches must agree.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        student: &Var,
        teacher: &Tensor,
    ) -> Result<()> {
        let gpu = losses.gpu;
        let (f, t) = (rows(student.value())?, rows(teacher)?);
        let (own, taught) = (products(gpu, &f)?, products(gpu, &t)?);
        let n = f.rows();
        let student = student.reshape(f.shape())?;
        losses.add(term, weight, &student, n, |gpu, out| {
            let loss = |out: LossOut| feature_loss::normalised(gpu, &own, &taught, EPS, out);
            let mean = out.with_weight(weight / n as f32);
            mean.through(gpu, own.shape(), loss, |dg, df| products_grad(gpu, &f, dg, df))
        })
    }
}

/// Weight 3000 on the last stage (RepDistiller).
pub(super) const SP: Method = Method {
    name: "sp",
    weight: 3000.0,
    look: FeatureKind::Layer(Layers::Last),
    tasks: EVERY,
    keys: &[],
    make: |s| {
        between(s, |losses, term, weight, student, teacher| {
            SimilarityPreserving.apply(losses, term, weight, student, teacher)
        })
    },
};
