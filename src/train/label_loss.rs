//! What each kind of task learns from its labels.

use crate::config::{ClassWeights, TaskConfig, TaskLoss};
use crate::data::{Task, TaskKind};
use crate::gpu::Gpu;
use crate::kernels::fcos::{self, Level, Part};
use crate::kernels::regression::RegressionLoss;
use crate::loss::{BinaryCrossEntropy, CrossEntropy, Detection, Dice, Focal, LossRecorder, Regression};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A task of a stage, and how its labels are learnt.
#[derive(Debug, Clone)]
pub(crate) struct TaskObjective<'a> {
    pub task: &'a Task,
    /// Its weight among the tasks.
    pub weight: f32,
    /// Its settings.
    pub config: TaskConfig,
    /// How often each class is a training label.
    pub frequencies: &'a [u64],
    pub label_smoothing: f32,
}

/// A loss on labels.
#[derive(Debug, Clone)]
pub(crate) enum LabelLoss {
    /// One of several classes, of images or of pixels.
    Classes(CrossEntropy),
    /// The same with classes that count differently, or that care less for what is known.
    WeightedClasses(Focal),
    Attributes(BinaryCrossEntropy),
    /// How much what is said of pixels and what is there overlap, class by class.
    Overlap(Dice),
    /// Numbers, of images or of pixels, standardised.
    Numbers(Regression),
    /// One of a detector's losses.
    Boxes(Detection),
}

/// What the places of a detector are to say of a batch, and the sums by which its losses are divided: found once a step.
pub(crate) type Assigned = Option<(Tensor, Tensor)>;

impl LabelLoss {
    /// The losses of a task with their names; the task's weight is that of each.
    pub(crate) fn of(gpu: &Gpu, goal: &TaskObjective, levels: &[Level]) -> Result<Vec<(&'static str, Self)>> {
        let config = &goal.config;
        Ok(match goal.task.kind {
            TaskKind::Class | TaskKind::Mask => Self::of_classes(gpu, goal)?,
            TaskKind::Attributes => {
                let tensor = |weights: Vec<f32>| Tensor::from_f32(gpu, &weights, &[weights.len()]);
                let positive_weights = positive_weights(goal)?.map(tensor).transpose()?;
                vec![("bce", LabelLoss::Attributes(BinaryCrossEntropy { positive_weights }))]
            }
            TaskKind::Number | TaskKind::Depth => {
                let (name, loss) = match config.loss {
                    Some(TaskLoss::L1) => ("l1", RegressionLoss::L1),
                    Some(TaskLoss::Huber) => {
                        ("huber", RegressionLoss::Huber { delta: config.delta.unwrap_or(1.0) as f32 })
                    }
                    _ => ("l2", RegressionLoss::L2),
                };
                vec![(name, LabelLoss::Numbers(Regression { loss }))]
            }
            TaskKind::Boxes => {
                let focal = fcos::Focal { alpha: 0.25, gamma: 2.0 };
                let parts = [("focal", Part::Classes(focal)), ("giou", Part::Boxes), ("centre", Part::Centre)];
                let one = |(name, part)| (name, LabelLoss::Boxes(Detection { part, levels: levels.to_vec() }));
                parts.map(one).to_vec()
            }
        })
    }

    /// Of classes of images or of pixels: one loss, or one and Dice beside it.
    fn of_classes(gpu: &Gpu, goal: &TaskObjective) -> Result<Vec<(&'static str, Self)>> {
        let config = &goal.config;
        let class_weights = || {
            let weights = class_weights(goal)?;
            Tensor::from_f32(gpu, &weights, &[weights.len()])
        };
        let mut all = Vec::new();
        if config.loss != Some(TaskLoss::Dice) {
            let gamma = config.gamma.unwrap_or(0.0) as f32;
            all.push(if gamma == 0.0 && config.class_weights.is_none() {
                ("ce", LabelLoss::Classes(CrossEntropy { label_smoothing: goal.label_smoothing }))
            } else {
                let name = if gamma > 0.0 { "focal" } else { "ce" };
                (name, LabelLoss::WeightedClasses(Focal { gamma, class_weights: class_weights()? }))
            });
        }
        if config.loss.is_some_and(TaskLoss::has_dice) {
            let dice = Dice { smoothing: Dice::SMOOTHING, class_weights: class_weights()? };
            all.push(("dice", LabelLoss::Overlap(dice)));
        }
        Ok(all)
    }

    /// Adds `weight` times the loss of a head's output `z` as term `term`.
    pub(crate) fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        z: &Var,
        labels: &Tensor,
        assigned: &mut Assigned,
    ) -> Result<()> {
        match self {
            LabelLoss::Classes(loss) => loss.apply(losses, term, weight, z, labels),
            LabelLoss::WeightedClasses(loss) => loss.apply(losses, term, weight, z, labels),
            LabelLoss::Overlap(loss) => loss.apply(losses, term, weight, z, labels),
            LabelLoss::Attributes(loss) => loss.apply(losses, term, weight, z, labels),
            LabelLoss::Numbers(loss) => loss.apply(losses, term, weight, z, labels),
            LabelLoss::Boxes(loss) => {
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

/// How much each class of a task counts.
fn class_weights(goal: &TaskObjective) -> Result<Vec<f32>> {
    let classes = goal.task.classes.len();
    match &goal.config.class_weights {
        None => Ok(vec![1.0; classes]),
        Some(ClassWeights::List(list)) => listed(goal, "class_weights", list),
        Some(ClassWeights::Rule(_)) => {
            let all: u64 = goal.frequencies.iter().sum();
            // A class that never occurs is in no label, so its weight does not matter.
            let one = |count: &u64| if *count == 0 { 0.0 } else { all as f32 / (classes as f32 * *count as f32) };
            Ok(goal.frequencies.iter().map(one).collect())
        }
    }
}

/// How much what speaks for yes counts, of each attribute.
fn positive_weights(goal: &TaskObjective) -> Result<Option<Vec<f32>>> {
    Ok(match &goal.config.pos_weight {
        None => None,
        Some(ClassWeights::List(list)) => Some(listed(goal, "pos_weight", list)?),
        Some(ClassWeights::Rule(_)) => {
            let (yes, no) = goal.frequencies.split_at(goal.task.classes.len());
            // One that never holds, or always does, has nothing to be balanced.
            let one = |(yes, no): (&u64, &u64)| if *yes == 0 || *no == 0 { 1.0 } else { *no as f32 / *yes as f32 };
            Some(yes.iter().zip(no).map(one).collect())
        }
    })
}

/// The weights of a list that has one for each name of the task.
fn listed(goal: &TaskObjective, key: &str, list: &[f64]) -> Result<Vec<f32>> {
    let names = &goal.task.classes;
    if list.len() == names.len() {
        return Ok(list.iter().map(|w| *w as f32).collect());
    }
    let (name, have) = (&goal.task.name, list.len());
    let message = format!("tasks.{name}.{key} has {have} numbers for {} names: {}", names.len(), names.join(", "));
    Err(Error::Invalid(message))
}
