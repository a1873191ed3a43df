//! Centred kernel alignment.

use super::method::{EVERY, FeatureKind, Layers, Method, between};
use super::relation::{products, products_grad, rows};
use crate::Result;
use crate::kernels::correlation::{Of, correlation};
use crate::kernels::relation::centre;
use crate::loss::{LossOut, LossRecorder};
use crate::tape::Var;
use crate::tensor::{GradTarget, Tensor};

/// `1 − CKA` with the linear kernel (Kornblith et al. 2019, arXiv 1905.00414): with `K = F Fᵀ` of features without their mean over the
/// batch, `CKA = ⟨K_s, K_t⟩ / (‖K_s‖ ‖K_t‖)`, which neither scale nor rotation of the features changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cka;

impl Cka {
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
        let centred = |f: &Tensor| {
            let out = Tensor::empty(gpu, f.shape())?;
            centre(gpu, f, &GradTarget::fresh(out.clone()))?;
            Ok::<_, crate::Error>(out)
        };
        let f = rows(student.value())?;
        let (s, t) = (centred(&f)?, centred(&rows(teacher)?)?);
        let (own, taught) = (products(gpu, &s)?, products(gpu, &t)?);
        let student = student.reshape(f.shape())?;
        losses.add(term, weight, &student, 1, |gpu, out| {
            // Rows and columns of a centred kernel sum to zero, so that this correlation is the alignment.
            let loss = |out: LossOut| correlation(gpu, (&own, &taught), Of::All, 0, out);
            out.through(gpu, own.shape(), loss, |dk, df| {
                let dc = Tensor::empty(gpu, s.shape())?;
                products_grad(gpu, &s, dk, &GradTarget::fresh(dc.clone()))?;
                centre(gpu, &dc, df)
            })
        })
    }
}

/// Weight 1 on the pooled features.
pub(super) const CKA: Method = Method {
    name: "cka",
    weight: 1.0,
    look: FeatureKind::Layer(Layers::Pooled),
    tasks: EVERY,
    keys: &[],
    make: |s| between(s, |losses, term, weight, student, teacher| Cka.apply(losses, term, weight, student, teacher)),
};
