//! Soft-label distillation.

use crate::Result;
use crate::kernels::distill_kl;
use crate::loss::Losses;
use crate::tape::Var;
use crate::tensor::Tensor;

/// `T² · (1/n) Σ KL( softmax(z_t / T) ‖ softmax(z_s / T) )` (Hinton et al. 2015, arXiv 1503.02531). The factor T² keeps the
/// gradient's size when T changes; the mean is over samples, not over classes.
///
/// With `standardise`, each row of both logits first becomes `(z − mean) / (std + 1e-7)` (Sun et al. 2024, arXiv
/// 2403.01427; unbiased standard deviation).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kd {
    /// T.
    pub temperature: f32,
    /// Standardise the logits first.
    pub standardise: bool,
}

/// Added to the standard deviation.
const EPS: f32 = 1e-7;

impl Kd {
    /// Adds `weight` times the loss of `student` `[n, c]` against `teacher` `[n, c]` as term `term`.
    pub fn apply(&self, losses: &mut Losses, term: usize, weight: f32, student: &Var, teacher: &Tensor) -> Result<()> {
        let z = student.value().clone();
        losses.add(term, weight, student, z.rows(), |gpu, dz, rows| {
            distill_kl::distill_kl(
                gpu,
                &z,
                teacher,
                self.temperature,
                self.standardise.then_some(EPS),
                weight,
                dz,
                rows,
            )
        })
    }
}
