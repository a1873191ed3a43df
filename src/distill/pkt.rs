//! Probabilistic knowledge transfer.

use super::method::{EVERY, FeatureKind, Layers, Method, between};
use super::relation::{products, products_grad, rows};
use crate::Result;
use crate::kernels::normalize::{normalize, normalize_grad};
use crate::kernels::pkt;
use crate::loss::{LossOut, LossRecorder};
use crate::tape::Var;
use crate::tensor::{GradTarget, Tensor};

/// PKT (Passalis & Tefas 2018, arXiv 1803.10837): cosine similarities between the samples of the batch, shifted to 0..1 and each
/// sample's divided by their sum, as probabilities; the mean over all pairs of `q log((q + ε) / (p + ε))`, q the teacher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProbabilisticTransfer;

/// Vectors shorter than this count as that long.
const EPS: f32 = 1e-7;

impl ProbabilisticTransfer {
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
        let f = rows(student.value())?;
        let unit = normalize(gpu, &f, EPS)?;
        let own = products(gpu, &unit)?;
        let taught = products(gpu, &normalize(gpu, &rows(teacher)?, EPS)?)?;
        let student = student.reshape(f.shape())?;
        losses.add(term, weight, &student, f.rows(), |gpu, out| {
            let loss = |out: LossOut| pkt::pkt(gpu, &own, &taught, out);
            out.through(gpu, own.shape(), loss, |ds, df| {
                let du = Tensor::empty(gpu, unit.shape())?;
                products_grad(gpu, &unit, ds, &GradTarget::fresh(du.clone()))?;
                normalize_grad(gpu, &f, &du, EPS, df)
            })
        })
    }
}

/// Weight 30000 on the pooled features (RepDistiller).
pub(super) const PKT: Method = Method {
    name: "pkt",
    weight: 30_000.0,
    look: FeatureKind::Layer(Layers::Pooled),
    tasks: EVERY,
    keys: &[],
    make: |s| {
        between(s, |losses, term, weight, student, teacher| {
            ProbabilisticTransfer.apply(losses, term, weight, student, teacher)
        })
    },
};
