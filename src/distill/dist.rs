//! Distillation of relations between classes and between samples.

use super::method::{CLASSES, DistillInput, DistillLoss, Domain, FeatureKind, Key, Method};
use crate::Result;
use crate::kernels::correlation::{Of, correlation};
use crate::kernels::softmax;
use crate::loss::{LossOut, LossRecorder};
use crate::tape::Var;
use crate::tensor::{GradTarget, Tensor};

/// DIST (Huang et al. 2022, arXiv 2205.10536): on the softmax at T, `T² [ β (1 − correlation over the classes, mean over samples) +
/// γ (1 − correlation over the samples, mean over classes) ]`: what the student gets right need only be right up to scale and shift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dist {
    /// T.
    pub temperature: f32,
    /// β, between the classes of each sample.
    pub inter: f32,
    /// γ, between the samples in each class.
    pub intra: f32,
}

impl Dist {
    /// Adds `weight` times the loss of `student` `[n, c]` against `teacher` `[n, c]` as term `term`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        student: &Var,
        teacher: &Tensor,
    ) -> Result<()> {
        let (gpu, t) = (losses.gpu, self.temperature);
        let (n, c) = (student.value().rows(), student.value().columns());
        let p = softmax::softmax(gpu, student.value(), t)?;
        let q = softmax::softmax(gpu, teacher, t)?;
        let scale = weight * t * t;
        losses.add(term, weight, student, n + c, |gpu, out| {
            let both = |out: LossOut| {
                let inter = out.with_weight(scale * self.inter / n as f32);
                correlation(gpu, (&p, &q), Of::Rows, 0, inter)?;
                // Added to the gradient of the other.
                let dp = out.grad.map(|dp| GradTarget { tensor: dp.tensor.clone(), accumulate: true });
                let intra = LossOut { grad: dp.as_ref(), ..out.with_weight(scale * self.intra / c as f32) };
                correlation(gpu, (&p, &q), Of::Columns, n, intra)
            };
            out.through(gpu, p.shape(), both, |dp, dz| softmax::softmax_grad(gpu, &p, dp, t, dz))
        })
    }
}

impl DistillLoss for Dist {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        self.apply(losses, term, weight, given.logits, given.teacher_logits()?)
    }
}

/// T = 1, both relations with weight 1, the whole with 2 (the authors' program, mmrazor).
pub(super) const DIST: Method = Method {
    name: "dist",
    weight: 2.0,
    look: FeatureKind::Logits,
    tasks: CLASSES,
    keys: &[
        Key { name: "temperature", default: 1.0, domain: Domain::Moderate },
        Key { name: "inter", default: 1.0, domain: Domain::Weight },
        Key { name: "intra", default: 1.0, domain: Domain::Weight },
    ],
    make: |s| {
        let (temperature, inter, intra) = (s.number("temperature")?, s.number("inter")?, s.number("intra")?);
        Ok(Box::new(Dist { temperature, inter, intra }))
    },
};
