//! Attention transfer.

use super::method::{EVERY, FeatureKind, Layers, Method, between};
use super::spatial::match_spatial_size;
use crate::Result;
use crate::kernels::attention::{attention, attention_grad};
use crate::kernels::feature_loss;
use crate::loss::{LossOut, LossRecorder};
use crate::tape::Var;
use crate::tensor::Tensor;

/// AT (Zagoruyko & Komodakis 2017, arXiv 1612.03928), p = 2: with `A(f)` the mean of the squares over the channels, as a vector of
/// length 1 over the pixels, the mean over samples and pixels of `(A(f_s) − A(f_t))²`. The channels need not agree; of maps of
/// different size the larger one is pooled first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttentionTransfer;

/// PyTorch's `normalize`.
const EPS: f32 = 1e-12;

impl AttentionTransfer {
    /// Adds `weight` times the loss of `student` `[n, h, w, c]` against `teacher` `[n, h', w', c']` as term `term`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        student: &Var,
        teacher: &Tensor,
    ) -> Result<()> {
        let (student, teacher) = match_spatial_size(losses, student, teacher)?;
        let f = student.value().clone();
        let (n, pixels) = (f.shape()[0], f.rows() / f.shape()[0]);
        let gpu = losses.gpu;
        let (a, b) = (attention(gpu, &f)?.reshape(&[n, pixels])?, attention(gpu, &teacher)?.reshape(&[n, pixels])?);
        let mean = weight / pixels as f32;
        losses.add(term, weight, &student, n, |gpu, out| {
            let loss = |out: LossOut| feature_loss::normalised(gpu, &a, &b, EPS, out);
            out.with_weight(mean).through(gpu, a.shape(), loss, |da, df| attention_grad(gpu, &f, da, df))
        })
    }
}

/// Weight 1000 on every stage (RepDistiller).
pub(super) const AT: Method = Method {
    name: "at",
    weight: 1000.0,
    look: FeatureKind::Map(Layers::All),
    tasks: EVERY,
    keys: &[],
    make: |s| {
        between(s, |losses, term, weight, student, teacher| {
            AttentionTransfer.apply(losses, term, weight, student, teacher)
        })
    },
};
