//! Distillation of detectors: what a teacher says at every place of its pyramid, weighted by how sure it is that something is there.

use super::method::{DistillInput, DistillLoss};
use crate::Result;
use crate::kernels::fcos::{self, Part, Soft};
use crate::loss::LossRecorder;
use crate::tape::Var;
use crate::tensor::Tensor;

/// A teacher's box counts where some class is at least this probable.
const FOREGROUND: f32 = 0.3;

/// With `q = max_c σ(z_t)`, the teacher's foreground at a place: `T²/Σq · Σ_places q Σ_c KL(σ(z_t/T) ‖ σ(z_s/T))` for the classes, and
/// `1/Σq · Σ q (2 − I/U − U/C)` between its box and the student's, both sums over the places with `q ≥ 0.3` alone.
///
/// Places are weighted because nearly all of them are empty, and to imitate a teacher there teaches nothing (Chen et al. 2017, "Learning
/// efficient object detection models with knowledge distillation"; Guo et al. 2021, arXiv 2103.14475, weight foreground and background
/// apart). The boxes' loss is GIoU (Rezatofighi et al. 2019, arXiv 1902.09630), as on labels.
///
/// Labels take no part: an image without boxes as a label, of which the losses on labels ask nothing, is taught as any other.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxKd {
    /// T.
    pub temperature: f32,
    /// Weight of the boxes beside the classes.
    pub boxes: f32,
}

impl BoxKd {
    /// Adds `weight` times the loss of `student` against `teacher`, both `[n, places, classes + 5]`, as term `term`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        student: &Var,
        teacher: &Tensor,
    ) -> Result<()> {
        let (gpu, z) = (losses.gpu, student.value().clone());
        let everywhere = fcos::teach(gpu, teacher, 0.0)?;
        let sums = fcos::norms(gpu, &everywhere)?;
        let soft = Soft { taught: teacher, temperature: self.temperature };
        losses.add(term, weight, student, z.rows(), |gpu, out| fcos::soft(gpu, soft, &z, (&everywhere, &sums), out))?;
        if self.boxes == 0.0 {
            return Ok(());
        }
        let there = fcos::teach(gpu, teacher, FOREGROUND)?;
        let sums = fcos::norms(gpu, &there)?;
        losses.add_part(term, weight, student, z.rows(), |gpu, out| {
            fcos::loss(gpu, Part::Boxes, &z, (&there, &sums), out.with_weight(weight * self.boxes))
        })
    }
}

impl DistillLoss for BoxKd {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        self.apply(losses, term, weight, given.logits, given.teacher_logits()?)
    }
}
