//! What each kind of task learns from its labels.

use super::config::NumberLoss;
use super::objective::Goal;
use crate::Result;
use crate::data::TaskKind;
use crate::kernels::fcos::{Focal, Level, Part};
use crate::kernels::regression::RegressionLoss;
use crate::loss::{BinaryCrossEntropy, CrossEntropy, Detection, Losses, Regression};
use crate::tape::Var;
use crate::tensor::Tensor;

/// A loss on labels.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Supervision {
    /// One of several classes, of images or of pixels.
    Classes(CrossEntropy),
    Attributes(BinaryCrossEntropy),
    /// Numbers, of images or of pixels, standardised.
    Numbers(Regression),
    /// One of a detector's losses.
    Boxes(Detection),
}

/// What the places of a detector are to say of a batch, and the sums by which its losses are divided: found once a step.
pub(super) type Assigned = Option<(Tensor, Tensor)>;

impl Supervision {
    /// The losses of a task with their names; the task's weight is that of each.
    pub(super) fn of(goal: &Goal, levels: &[Level]) -> Vec<(&'static str, Self)> {
        match goal.task.kind {
            TaskKind::Class | TaskKind::Mask => {
                vec![("ce", Supervision::Classes(CrossEntropy { label_smoothing: goal.label_smoothing }))]
            }
            TaskKind::Attributes => vec![("bce", Supervision::Attributes(BinaryCrossEntropy))],
            TaskKind::Number | TaskKind::Depth => {
                let (name, loss) = match goal.config.loss {
                    None | Some(NumberLoss::L2) => ("l2", RegressionLoss::L2),
                    Some(NumberLoss::L1) => ("l1", RegressionLoss::L1),
                    Some(NumberLoss::Huber) => {
                        ("huber", RegressionLoss::Huber { delta: goal.config.delta.unwrap_or(1.0) as f32 })
                    }
                };
                vec![(name, Supervision::Numbers(Regression { loss }))]
            }
            TaskKind::Boxes => {
                let focal = Focal { alpha: 0.25, gamma: 2.0 };
                let parts = [("focal", Part::Classes(focal)), ("giou", Part::Boxes), ("centre", Part::Centre)];
                let one = |(name, part)| (name, Supervision::Boxes(Detection { part, levels: levels.to_vec() }));
                parts.map(one).to_vec()
            }
        }
    }

    /// Adds `weight` times the loss of a head's output `z` as term `term`.
    pub(super) fn apply(
        &self,
        losses: &mut Losses,
        term: usize,
        weight: f32,
        z: &Var,
        labels: &Tensor,
        assigned: &mut Assigned,
    ) -> Result<()> {
        match self {
            Supervision::Classes(loss) => loss.apply(losses, term, weight, z, labels),
            Supervision::Attributes(loss) => loss.apply(losses, term, weight, z, labels),
            Supervision::Numbers(loss) => loss.apply(losses, term, weight, z, labels),
            Supervision::Boxes(loss) => {
                let found = match assigned.take() {
                    Some(found) => found,
                    None => loss.assign(losses.gpu, z, labels)?,
                };
                let (targets, norms) = assigned.insert(found);
                loss.apply(losses, term, weight, z, (targets, norms))
            }
        }
    }
}
