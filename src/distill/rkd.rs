//! Relational distillation.

use super::method::{DistillLoss, EVERY, FeatureKind, Layers, Method, Setup, between};
use super::relation::rows;
use crate::Result;
pub use crate::kernels::rkd::Relation;
use crate::kernels::rkd::rkd;
use crate::loss::LossRecorder;
use crate::tape::Var;
use crate::tensor::Tensor;

/// RKD (Park et al. 2019, arXiv 1904.05068), smooth L1 between the teacher's and the student's relations of the samples of a batch:
/// distances, each network's divided by the mean of those that are not zero (mean over n² pairs), or cosines of the angles at a
/// sample between two others (mean over n³ triples).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rkd(pub Relation);

impl Rkd {
    /// Adds `weight` times the loss of `student` `[n, ..]` against `teacher` `[n, ..]` as term `term`; only the batches must agree.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        student: &Var,
        teacher: &Tensor,
    ) -> Result<()> {
        let (f, t) = (rows(student.value())?, rows(teacher)?);
        let student = student.reshape(f.shape())?;
        losses.add(term, weight, &student, self.0.losses(f.rows()), |gpu, out| rkd(gpu, &f, &t, self.0, out))
    }
}

fn make(setup: &Setup, relation: Relation) -> Result<Box<dyn DistillLoss>> {
    let rkd = Rkd(relation);
    between(setup, move |losses, term, weight, student, teacher| rkd.apply(losses, term, weight, student, teacher))
}

/// Weight 25 on the pooled features (the paper).
pub(super) const DISTANCE: Method = Method {
    name: "rkd_distance",
    weight: 25.0,
    look: FeatureKind::Layer(Layers::Pooled),
    tasks: EVERY,
    keys: &[],
    make: |s| make(s, Relation::Distance),
};

/// Weight 50 on the pooled features (the paper).
pub(super) const ANGLE: Method = Method {
    name: "rkd_angle",
    weight: 50.0,
    look: FeatureKind::Layer(Layers::Pooled),
    tasks: EVERY,
    keys: &[],
    make: |s| make(s, Relation::Angle),
};
