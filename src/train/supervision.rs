//! What each kind of task learns from its labels.

use super::config::NumberLoss;
use super::labels::untrained;
use super::objective::Goal;
use crate::Result;
use crate::data::TaskKind;
use crate::kernels::regression::RegressionLoss;
use crate::loss::{BinaryCrossEntropy, CrossEntropy, Losses, Regression};
use crate::tape::Var;
use crate::tensor::Tensor;

/// A loss on labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Supervision {
    /// One of several classes, of images or of pixels.
    Classes(CrossEntropy),
    Attributes(BinaryCrossEntropy),
    /// Numbers, of images or of pixels, standardised.
    Numbers(Regression),
}

impl Supervision {
    /// The losses of a task with their names; the task's weight is that of each.
    pub(super) fn of(goal: &Goal) -> Result<Vec<(&'static str, Self)>> {
        Ok(match goal.task.kind {
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
            TaskKind::Boxes => return Err(untrained(goal.task)),
        })
    }

    /// Adds `weight` times the loss of a head's output `z` as term `term`.
    pub(super) fn apply(&self, losses: &mut Losses, term: usize, weight: f32, z: &Var, labels: &Tensor) -> Result<()> {
        match self {
            Supervision::Classes(loss) => loss.apply(losses, term, weight, z, labels),
            Supervision::Attributes(loss) => loss.apply(losses, term, weight, z, labels),
            Supervision::Numbers(loss) => loss.apply(losses, term, weight, z, labels),
        }
    }
}
