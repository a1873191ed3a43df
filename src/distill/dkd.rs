//! Decoupled distillation.

use super::method::{CLASSES, DistillInput, DistillLoss, Domain, FeatureKind, Key, Method};
use crate::Result;
use crate::kernels::dkd::{self, Settings};
use crate::loss::LossRecorder;
use crate::tape::Var;
use crate::tensor::Tensor;

/// DKD (Zhao et al. 2022, arXiv 2203.08679): `T² · (1/n) Σ α KL([p_y, 1 − p_y]) + β KL(q)`, teacher's against student's: how sure of the
/// target, and what the other classes look like among themselves, weighted apart (in plain distillation the latter's weight is
/// what the teacher leaves to the others). A sample without a label takes the teacher's most probable class as its target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dkd {
    /// T.
    pub temperature: f32,
    /// Weight of the target.
    pub alpha: f32,
    /// Weight of the others.
    pub beta: f32,
}

impl Dkd {
    /// Adds `weight` times the loss of `student` `[n, c]` against `teacher` `[n, c]`, with `labels` `[n]` (`u32`), as term `term`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        student: &Var,
        (teacher, labels): (&Tensor, &Tensor),
    ) -> Result<()> {
        let z = student.value().clone();
        let settings = Settings { temperature: self.temperature, alpha: self.alpha, beta: self.beta };
        losses.add(term, weight, student, z.rows(), |gpu, out| dkd::dkd(gpu, (&z, teacher, labels), settings, out))
    }
}

impl DistillLoss for Dkd {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        self.apply(losses, term, weight, given.logits, (given.teacher_logits()?, given.labels))
    }
}

/// α = 1, β = 8, T = 4, weight 1 (mdistiller).
pub(super) const DKD: Method = Method {
    name: "dkd",
    weight: 1.0,
    look: FeatureKind::Logits,
    tasks: CLASSES,
    keys: &[
        Key { name: "temperature", default: 4.0, domain: Domain::Moderate },
        Key { name: "alpha", default: 1.0, domain: Domain::Weight },
        Key { name: "beta", default: 8.0, domain: Domain::Weight },
    ],
    make: |s| {
        let (temperature, alpha, beta) = (s.number("temperature")?, s.number("alpha")?, s.number("beta")?);
        Ok(Box::new(Dkd { temperature, alpha, beta }))
    },
};
