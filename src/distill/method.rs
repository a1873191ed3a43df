//! What all distillation methods have in common: what they see, what they are made from, and the table's row.

use std::collections::BTreeMap;

use crate::data::TaskKind;
use crate::gpu::Gpu;
use crate::loss::Losses;
use crate::nn::{Features, Outputs};
use crate::params::Params;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A place in a network where a method looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tap {
    /// The map after a stage of the trunk, from 0: `[n, h, w, c]`.
    Stage(usize),
    /// The pooled features, `[n, c]`.
    Pooled,
}

impl Tap {
    /// From a layer's name: `layer1`, `layer2`, … as PyTorch calls the stages, or `pooled`.
    pub fn parse(name: &str) -> Option<Tap> {
        if name == "pooled" {
            return Some(Tap::Pooled);
        }
        let stage: usize = name.strip_prefix("layer")?.parse().ok()?;
        stage.checked_sub(1).map(Tap::Stage)
    }
}

impl std::fmt::Display for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tap::Stage(i) => write!(f, "layer{}", i + 1),
            Tap::Pooled => write!(f, "pooled"),
        }
    }
}

/// What a teacher says of a batch: its logits, and its features where somebody looks.
#[derive(Debug, Clone)]
pub struct Taught {
    /// `[n, classes]` for each of its heads.
    pub logits: Vec<Tensor>,
    features: BTreeMap<Tap, Tensor>,
}

impl Taught {
    /// Keeps the logits and the features at `taps`; the memory of the others returns to the pool.
    pub fn keep(outputs: Outputs<Tensor>, taps: &[Tap]) -> Result<Self> {
        let Outputs { logits, features } = outputs;
        let one = |tap: &Tap| {
            let tensor = match tap {
                Tap::Pooled => Some(&features.pooled),
                Tap::Stage(i) => features.maps.get(*i),
            };
            let tensor = tensor.ok_or_else(|| missing("teacher", *tap, features.maps.len()))?;
            Ok((*tap, tensor.clone()))
        };
        Ok(Taught { logits, features: taps.iter().map(one).collect::<Result<_>>()? })
    }

    /// What a network that is trained along says: the values of its logits and of all its features.
    pub fn values(logits: &[Var], features: &Features<Var>) -> Self {
        let maps = features.maps.iter().enumerate().map(|(i, map)| (Tap::Stage(i), map.value().clone()));
        let pooled = (Tap::Pooled, features.pooled.value().clone());
        Taught {
            logits: logits.iter().map(|z| z.value().clone()).collect(),
            features: maps.chain(std::iter::once(pooled)).collect(),
        }
    }

    /// The features at `tap`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they were not kept.
    pub fn at(&self, tap: Tap) -> Result<&Tensor> {
        self.features.get(&tap).ok_or_else(|| Error::Invalid(format!("the teacher's {tap} was not kept")))
    }
}

fn missing(who: &str, tap: Tap, stages: usize) -> Error {
    Error::Invalid(format!("the {who} has no {tap}; it has layer1 to layer{stages} and pooled"))
}

/// A batch as one term of the loss sees it: one task, one teacher.
pub struct Given<'a> {
    /// The student's logits of the task, `[n, classes]`.
    pub logits: &'a Var,
    /// The student's features.
    pub features: &'a Features<Var>,
    /// The labels, `[n]` (`u32`; `u32::MAX`: none).
    pub labels: &'a Tensor,
    /// The teacher.
    pub teacher: &'a Taught,
    /// The teacher's head for the task.
    pub head: usize,
}

impl Given<'_> {
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
    pub fn student(&self, tap: Tap) -> Result<&Var> {
        match tap {
            Tap::Pooled => Ok(&self.features.pooled),
            Tap::Stage(i) => self.features.maps.get(i).ok_or_else(|| missing("student", tap, self.features.maps.len())),
        }
    }
}

/// A loss against one teacher on one task, ready to be applied.
pub trait Distil {
    /// Adds `weight` times the loss as term `term`: its value to the ledger, its gradient to the tape.
    fn apply(&self, losses: &mut Losses, term: usize, weight: f32, given: &Given) -> Result<()>;

    /// What it trains beside the student (adaptors): not part of the student, not exported with it.
    fn params(&self) -> Vec<&Params> {
        Vec::new()
    }

    /// Keeps of the last [`Distil::apply`] what later steps need; part of a step, after its gradients.
    fn remember(&self, _gpu: &Gpu) -> Result<()> {
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
    pub student: &'a [(Tap, usize)],
    /// The same of the teacher.
    pub teacher: &'a [(Tap, usize)],
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
    pub fn layer(&self) -> Result<((Tap, usize), (Tap, usize))> {
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
    student: Tap,
    teacher: Tap,
}

impl<F: Fn(&mut Losses, usize, f32, &Var, &Tensor) -> Result<()>> Distil for Between<F> {
    fn apply(&self, losses: &mut Losses, term: usize, weight: f32, given: &Given) -> Result<()> {
        (self.loss)(losses, term, weight, given.student(self.student)?, given.teacher.at(self.teacher)?)
    }
}

/// The method whose loss `loss(losses, term, weight, student, teacher)` adds, between the layers of `setup`.
pub(super) fn between(
    setup: &Setup,
    loss: impl Fn(&mut Losses, usize, f32, &Var, &Tensor) -> Result<()> + 'static,
) -> Result<Box<dyn Distil>> {
    let ((student, _), (teacher, _)) = setup.layer()?;
    Ok(Box::new(Between { loss, student, teacher }))
}

/// What a method looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
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
}

impl Layers {
    /// The taps of a trunk of `stages` stages.
    pub fn taps(self, stages: usize) -> Vec<Tap> {
        match self {
            Layers::Pooled => vec![Tap::Pooled],
            Layers::Last => vec![Tap::Stage(stages.saturating_sub(1))],
            Layers::Middle => vec![Tap::Stage(stages / 2)],
            Layers::All => (0..stages).map(Tap::Stage).collect(),
            Layers::Whole => (0..stages).map(Tap::Stage).chain([Tap::Pooled]).collect(),
        }
    }
}

/// What a setting may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Above 0.
    Positive,
    /// At least 0.
    NotNegative,
    /// A number of things.
    Count,
}

/// The most that may be counted.
const MOST: f64 = 1_048_576.0;

impl Domain {
    /// Whether it holds `value`.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Domain::Positive => value > 0.0,
            Domain::NotNegative => value >= 0.0,
            Domain::Count => value.fract() == 0.0 && (1.0..=MOST).contains(&value),
        }
    }

    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Domain::Positive => "a number above 0",
            Domain::NotNegative => "a number of at least 0",
            Domain::Count => "a whole number from 1 to 1048576",
        }
    }
}

/// A setting of a method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its published default.
    pub default: f64,
    /// What it may be.
    pub domain: Domain,
}

/// A row of the table of methods.
pub struct Method {
    /// Its name in a run's file.
    pub name: &'static str,
    /// Its published weight.
    pub weight: f64,
    /// What it looks at.
    pub look: Look,
    /// The kinds of tasks it can serve.
    pub tasks: &'static [TaskKind],
    /// Its settings.
    pub keys: &'static [Key],
    /// Makes the loss.
    pub make: fn(&Setup) -> Result<Box<dyn Distil>>,
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

    /// Whether it looks at every stage unless told otherwise.
    pub fn looks_at_all(&self) -> bool {
        matches!(
            self.look,
            Look::Layer(Layers::All) | Look::Map(Layers::All) | Look::Together(Layers::All | Layers::Whole)
        )
    }
}
