//! `[tasks]`: how much each task counts, and what its loss is.

use serde::Serialize;

use crate::Result;
use crate::data::TaskKind;
use crate::settings::{Choice, Section, as_number, either, nearest};

/// One task in a run's file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskConfig {
    /// Weight of its losses.
    pub weight: f64,
    /// How its answers are judged, of tasks that let one choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<TaskLoss>,
    /// Where Huber's parabola ends, in standard deviations of the training labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// The exponent of the focal loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// How much each class counts; all alike where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// How much what speaks for yes counts, of each attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pos_weight: Option<ClassWeights>,
}

impl TaskConfig {
    /// A task of this weight with its kind's usual loss.
    pub fn of_weight(weight: f64) -> Self {
        TaskConfig { weight, loss: None, delta: None, gamma: None, class_weights: None, pos_weight: None }
    }
}

/// Losses that a task may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskLoss {
    /// Numbers, standardised on the training split: squared error.
    L2,
    /// Absolute error.
    L1,
    /// Squared up to `delta`, absolute beyond (Huber 1964).
    Huber,
    /// Classes, of images or pixels: cross entropy.
    CrossEntropy,
    /// Cross entropy that cares less for what is known well, by `gamma` (Lin et al. 2017).
    Focal,
    /// Classes of pixels: how much what is said and what is there overlap, class by class (Dice).
    Dice,
    /// The sum of cross entropy and Dice (nnU-Net: Isensee et al. 2021).
    #[serde(rename = "cross_entropy+dice")]
    CrossEntropyDice,
    /// The sum of focal loss and Dice.
    #[serde(rename = "focal+dice")]
    FocalDice,
}

impl Choice for TaskLoss {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("l2", Self::L2),
        ("l1", Self::L1),
        ("huber", Self::Huber),
        ("cross_entropy", Self::CrossEntropy),
        ("focal", Self::Focal),
        ("dice", Self::Dice),
        ("cross_entropy+dice", Self::CrossEntropyDice),
        ("focal+dice", Self::FocalDice),
    ];
}

impl TaskLoss {
    /// What tasks of a kind choose among, the usual one first.
    fn of(kind: TaskKind) -> &'static [Self] {
        match kind {
            TaskKind::Number | TaskKind::Depth => &[Self::L2, Self::L1, Self::Huber],
            TaskKind::Class => &[Self::CrossEntropy, Self::Focal],
            TaskKind::Mask => &[Self::CrossEntropy, Self::Focal, Self::Dice, Self::CrossEntropyDice, Self::FocalDice],
            TaskKind::Attributes | TaskKind::Boxes => &[],
        }
    }

    /// Whether it is Dice, or has it as a part.
    pub(crate) fn has_dice(self) -> bool {
        matches!(self, Self::Dice | Self::CrossEntropyDice | Self::FocalDice)
    }

    fn word(self) -> String {
        let own = Self::WORDS.iter().find(|(_, loss)| *loss == self);
        own.map(|(word, _)| format!("{word:?}")).unwrap_or_default()
    }
}

/// How much each class or attribute counts in a loss.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ClassWeights {
    /// By how rare it is among the training labels: classes count alike together; an attribute's yes as much as its no.
    Rule(Balanced),
    /// A number for each, in their order.
    List(Vec<f64>),
}

/// `"balanced"`: of a class, all labels over the number of classes and the labels of this one; of an attribute, how often it does not
/// hold over how often it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Balanced {
    /// The only rule.
    Balanced,
}

/// The losses that `delta` belongs to.
const HUBER: &[TaskLoss] = &[TaskLoss::Huber];

/// The losses that `gamma` belongs to.
const FOCAL: &[TaskLoss] = &[TaskLoss::Focal, TaskLoss::FocalDice];

/// Keys of `[tasks.<name>]`.
/// What to say of a name that is no task's.
pub(super) fn unknown_task(name: &str, tasks: &[&str]) -> String {
    let hint = nearest(name, tasks).map(|t| format!("; did you mean `{t}`?")).unwrap_or_default();
    format!("the data has no task `{name}`; its tasks are {}{hint}", tasks.join(", "))
}

pub(super) const KEYS: &[&str] = &["weight", "loss", "delta", "gamma", "class_weights", "pos_weight"];

/// `name = 0.5`, or a table; as if `1.0` were written where there is nothing.
pub(super) fn task(s: &Section, name: &str, kind: TaskKind) -> Result<TaskConfig> {
    let weight = |s: &Section, key: &str| s.number(key, 1.0, "a weight of at least 0", |x| x >= 0.0);
    let losses = TaskLoss::of(kind);
    if !s.is_table(name) {
        return Ok(TaskConfig { loss: losses.first().copied(), ..TaskConfig::of_weight(weight(s, name)?) });
    }
    let s = s.table(name)?;
    let loss = match losses.first() {
        Some(usual) => Some(s.choice("loss", *usual)?),
        None => None,
    };
    if s.has("loss") && !loss.is_some_and(|loss| losses.contains(&loss)) {
        let words: Vec<String> = losses.iter().map(|l| l.word()).collect();
        let those = if words.is_empty() { "has no choice".into() } else { format!("takes {}", either(&words)) };
        return Err(s.error("loss", format!("{name} is of kind {}, which {those}", kind.name())));
    }
    let owns = |owners: &[TaskLoss]| loss.is_some_and(|loss| owners.contains(&loss));
    for (key, owners) in [("delta", HUBER), ("gamma", FOCAL)] {
        if s.has(key) && !owns(owners) {
            let words: Vec<String> = owners.iter().filter(|o| losses.contains(o)).map(|o| o.word()).collect();
            let those = if words.is_empty() { owners[0].word() } else { either(&words) };
            return Err(s.error(key, format!("belongs to loss = {those}; set that, or leave {key} out")));
        }
    }
    let delta = owns(HUBER).then(|| s.number("delta", 1.0, "a number above 0", |x| x > 0.0));
    let gamma = owns(FOCAL).then(|| s.number("gamma", 2.0, "a number of at least 1", |x| x >= 1.0));
    Ok(TaskConfig {
        weight: weight(&s, "weight")?,
        loss,
        delta: delta.transpose()?,
        gamma: gamma.transpose()?,
        class_weights: weights(&s, "class_weights", kind, (name, &[TaskKind::Class, TaskKind::Mask], "a class"))?,
        pos_weight: weights(&s, "pos_weight", kind, (name, &[TaskKind::Attributes], "attributes"))?,
    })
}

/// `class_weights = "balanced"`, or a list; of tasks of some kinds.
fn weights(
    s: &Section,
    key: &str,
    kind: TaskKind,
    (name, kinds, asked): (&str, &[TaskKind], &str),
) -> Result<Option<ClassWeights>> {
    if !s.has(key) {
        return Ok(None);
    }
    if !kinds.contains(&kind) {
        return Err(s.error(key, format!("belongs to tasks that ask for {asked}; {name} is of kind {}", kind.name())));
    }
    let what = "\"balanced\", or a list of numbers of at least 0, one for each";
    if s.is_list(key) {
        let list = s.list(key, what, |v| as_number(v).filter(|x| x.is_finite() && *x >= 0.0))?.unwrap_or_default();
        if !list.iter().any(|w| *w > 0.0) {
            return Err(s.error(key, format!("expected {what}, one of them above 0")));
        }
        return Ok(Some(ClassWeights::List(list)));
    }
    match s.text(key, what)?.as_deref() {
        Some("balanced") => Ok(Some(ClassWeights::Rule(Balanced::Balanced))),
        other => Err(s.error(key, format!("expected {what}, found {:?}", other.unwrap_or_default()))),
    }
}
