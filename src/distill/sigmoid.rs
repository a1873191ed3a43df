//! Distillation of independent attributes.

use super::method::{DistillInput, DistillLoss, Domain, FeatureKind, Key, Method};
use crate::Result;
use crate::data::TaskKind;
use crate::kernels::sigmoid_kl;
use crate::loss::LossRecorder;
use crate::tape::Var;
use crate::tensor::Tensor;

/// `T² · (1/n) Σ_samples Σ_attributes KL( σ(z_t / T) ‖ σ(z_s / T) )`, each between an attribute and its absence: Hinton et al.'s loss
/// (2015, arXiv 1503.02531) of two classes an attribute, the logits' part of multi-label distillation (Yang et al. 2023, arXiv
/// 2308.06453).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SigmoidKd {
    /// T.
    pub temperature: f32,
}

impl SigmoidKd {
    /// Adds `weight` times the loss of `student` `[n, a]` against `teacher` `[n, a]` as term `term`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        student: &Var,
        teacher: &Tensor,
    ) -> Result<()> {
        let z = student.value().clone();
        losses.add(term, weight, student, z.rows(), |gpu, out| {
            sigmoid_kl::sigmoid_kl(gpu, (&z, teacher), self.temperature, out)
        })
    }
}

impl DistillLoss for SigmoidKd {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        self.apply(losses, term, weight, given.logits, given.teacher_logits()?)
    }
}

/// T = 1, weight 1.
pub(super) const SIGMOID_KD: Method = Method {
    name: "sigmoid_kd",
    weight: 1.0,
    look: FeatureKind::Logits,
    // Classes too, each against its absence.
    tasks: &[TaskKind::Attributes, TaskKind::Class, TaskKind::Mask],
    keys: &[Key { name: "temperature", default: 1.0, domain: Domain::Moderate }],
    make: |s| Ok(Box::new(SigmoidKd { temperature: s.number("temperature")? })),
};
