//! What all distillation methods have in common: what they see, what they are made from, and the table's row.

use std::collections::BTreeMap;

use super::site::{FeatureSite, TeacherOutputs, TeacherSite};
use crate::data::TaskKind;
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::loss::LossRecorder;
use crate::nn::{Features, HeadMaps, detector_stages};
use crate::params::Params;
pub use crate::setting::{Domain, Key};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A batch as one term of the loss sees it: one task, one teacher.
pub struct DistillInput<'a> {
    /// The student's logits of the task, `[n, classes]`.
    pub logits: &'a Var,
    /// The student's features.
    pub features: &'a Features<Var>,
    /// The maps in the student's head for the task.
    pub maps: &'a HeadMaps<Var>,
    /// The labels as the task's losses take them: of classes `[n]` (`u32`; `u32::MAX`: none), of objects `[n, boxes, 6]`
    /// ([`fcos::assign`](crate::kernels::fcos::assign)).
    pub labels: &'a Tensor,
    /// The teacher.
    pub teacher: &'a TeacherOutputs,
    /// The teacher's head for the task.
    pub head: usize,
}

impl DistillInput<'_> {
    /// The teacher's logits of the task, `[n, classes]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it has no such head.
    pub fn teacher_logits(&self) -> Result<&Tensor> {
        let (head, heads) = (self.head, self.teacher.logits.len());
        self.teacher.logits.get(head).ok_or_else(|| Error::Invalid(format!("head {head} of a teacher of {heads}")))
    }

    /// The student's features at `tap`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are none.
    pub fn student(&self, tap: FeatureSite) -> Result<&Var> {
        let Features { maps, pooled, .. } = self.features;
        let missing = || Error::Invalid(tap.missing("the student", maps.len(), self.maps));
        tap.among(maps, Some(pooled), self.maps).ok_or_else(missing)
    }

    /// The teacher's features at `tap`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they were not kept.
    pub fn taught(&self, tap: FeatureSite) -> Result<&Tensor> {
        match tap {
            // Logits are always kept.
            FeatureSite::Logits => self.teacher_logits(),
            _ => self.teacher.at(TeacherSite::new(tap, self.head)),
        }
    }
}

/// A loss against one teacher on one task, ready to be applied.
pub trait DistillLoss {
    /// Adds `weight` times the loss as term `term`: its value to the log, its gradient to the tape.
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()>;

    /// What it trains beside the student (adaptors): not part of the student, not exported with it.
    fn params(&self) -> Vec<&Params> {
        Vec::new()
    }

    /// Keeps of the last [`DistillLoss::apply`] what later steps need; part of a step, after its gradients.
    fn update_memory(&self, _gpu: &Gpu) -> Result<()> {
        Ok(())
    }

    /// Makes ready for the part of the training from `progress` (0..1) on; true where something changed, so that a recorded
    /// step must be recorded again.
    fn advance(&mut self, _progress: f64) -> bool {
        false
    }
}

/// What a method is made from.
pub struct Setup<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// Names its parameters.
    pub name: &'a str,
    /// What kind of task it is for.
    pub task: TaskKind,
    /// Every setting of the method, by its key.
    pub settings: &'a BTreeMap<String, f64>,
    /// Where the student is tapped, and its channels there; one for each layer the method looks at.
    pub student: &'a [(FeatureSite, usize)],
    /// The same of the teacher.
    pub teacher: &'a [(FeatureSite, usize)],
    /// Pixels from one place to the next after each stage of the student.
    pub strides: &'a [usize],
    /// The levels of a teacher's detector.
    pub levels: &'a [Level],
    /// Seed of its initial weights.
    pub seed: u64,
}

impl Setup<'_> {
    /// A setting.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not there.
    pub fn number(&self, key: &str) -> Result<f32> {
        let missing = || Error::Invalid(format!("{} needs the setting {key}", self.name));
        self.settings.get(key).map(|v| *v as f32).ok_or_else(missing)
    }

    /// The one layer of the student and of the teacher, with their channels.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there is one of each.
    pub fn layer(&self) -> Result<((FeatureSite, usize), (FeatureSite, usize))> {
        match (self.student, self.teacher) {
            ([s], [t]) => Ok((*s, *t)),
            (s, t) => {
                let message = format!("{} looks at one layer, not at {} and {}", self.name, s.len(), t.len());
                Err(Error::Invalid(message))
            }
        }
    }
}

/// A loss between one layer of the student and one of the teacher, without parameters of its own.
struct Between<F> {
    loss: F,
    student: FeatureSite,
    teacher: FeatureSite,
}

impl<F: Fn(&mut LossRecorder, usize, f32, &Var, &Tensor) -> Result<()>> DistillLoss for Between<F> {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        (self.loss)(losses, term, weight, given.student(self.student)?, given.taught(self.teacher)?)
    }
}

/// The method whose loss `loss(losses, term, weight, student, teacher)` adds, between the layers of `setup`.
pub(super) fn between(
    setup: &Setup,
    loss: impl Fn(&mut LossRecorder, usize, f32, &Var, &Tensor) -> Result<()> + 'static,
) -> Result<Box<dyn DistillLoss>> {
    let ((student, _), (teacher, _)) = setup.layer()?;
    Ok(Box::new(Between { loss, student, teacher }))
}

/// What a method looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// Logits.
    Logits,
    /// One layer; the loss is a sum over layers where several are given. Without any these.
    Layer(Layers),
    /// The same of methods that compare pixels: pooled features have none.
    Map(Layers),
    /// Several layers at once, in one loss. Without any these.
    Together(Layers),
}

/// Layers a method looks at unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// The pooled features.
    Pooled,
    /// The last stage.
    Last,
    /// The stage in the middle.
    Middle,
    /// Every stage.
    All,
    /// Every stage and the pooled features.
    Whole,
    /// Every level of a detector.
    Levels,
}

impl Layers {
    /// The taps of a trunk of `stages` stages.
    pub fn taps(self, stages: usize) -> Vec<FeatureSite> {
        match self {
            Layers::Pooled => vec![FeatureSite::Pooled],
            Layers::Last => vec![FeatureSite::Stage(stages.saturating_sub(1))],
            Layers::Middle => vec![FeatureSite::Stage(stages / 2)],
            Layers::All => (0..stages).map(FeatureSite::Stage).collect(),
            Layers::Levels => detector_stages(stages).map(FeatureSite::Level).collect(),
            Layers::Whole => (0..stages).map(FeatureSite::Stage).chain([FeatureSite::Pooled]).collect(),
        }
    }
}

/// A row of the table of methods.
pub struct Method {
    /// Its name in a run's file.
    pub name: &'static str,
    /// Its published weight.
    pub weight: f64,
    /// What it looks at.
    pub look: FeatureKind,
    /// The kinds of tasks it can serve.
    pub tasks: &'static [TaskKind],
    /// Its settings.
    pub keys: &'static [Key],
    /// Makes the loss.
    pub make: fn(&Setup) -> Result<Box<dyn DistillLoss>>,
}

/// Methods that look at features alone serve every kind of task.
pub(super) const EVERY: &[TaskKind] =
    &[TaskKind::Class, TaskKind::Attributes, TaskKind::Number, TaskKind::Mask, TaskKind::Depth, TaskKind::Boxes];
/// Logits of classes, of images or of pixels.
pub(super) const CLASSES: &[TaskKind] = &[TaskKind::Class, TaskKind::Mask];

impl Method {
    /// Whether it can serve tasks of this kind.
    pub fn serves(&self, kind: TaskKind) -> bool {
        self.tasks.contains(&kind)
    }

    /// Whether it looks at every stage, or at every level, unless told otherwise.
    pub fn looks_at_all(&self) -> bool {
        matches!(
            self.look,
            FeatureKind::Layer(Layers::All)
                | FeatureKind::Map(Layers::All | Layers::Levels)
                | FeatureKind::Together(Layers::All | Layers::Whole)
        )
    }
}
