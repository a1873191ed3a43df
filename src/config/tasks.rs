//! `[tasks]`: how much each task counts, and what its loss is.

use std::collections::BTreeMap;

use crate::Result;
use crate::data::TaskKind;
use crate::loss::{self, LossMethod};
use crate::settings::{Section, WEIGHT, as_number, either, is_weight, nearest};
use crate::tasks::{Balanced, ClassWeights, TaskConfig};

/// Keys of `[tasks.<name>]`, apart from the settings of losses.
const COMMON: &[&str] = &["weight", "loss", "class_weights", "pos_weight"];

/// Keys of `[tasks.<name>]`.
pub(super) fn keys() -> Vec<&'static str> {
    COMMON.iter().copied().chain(loss::METHODS.iter().flat_map(|m| m.keys).map(|k| k.name)).collect()
}

/// What to say of a name that is no task's.
pub(super) fn unknown_task(name: &str, tasks: &[&str]) -> String {
    let hint = nearest(name, tasks).map(|t| format!("; did you mean `{t}`?")).unwrap_or_default();
    format!("the data has no task `{name}`; its tasks are {}{hint}", tasks.join(", "))
}

/// The losses that tasks of a kind choose among, the usual one first.
fn losses(kind: TaskKind) -> Vec<&'static LossMethod> {
    loss::METHODS.iter().filter(|m| m.kinds.contains(&kind)).collect()
}

/// `"l2", "l1" or "huber"`.
fn names<'a>(all: impl IntoIterator<Item = &'a &'static LossMethod>) -> String {
    either(&all.into_iter().map(|m| format!("{:?}", m.name)).collect::<Vec<_>>())
}

/// `name = 0.5`, or a table; as if `1.0` were written where there is nothing.
pub(super) fn task(s: &Section, name: &str, kind: TaskKind) -> Result<TaskConfig> {
    let weight = |s: &Section, key: &str| s.number(key, 1.0, WEIGHT, is_weight);
    let usual = losses(kind).first().map(|m| m.name.to_string());
    if !s.is_table(name) {
        return Ok(TaskConfig { loss: usual, weight: weight(s, name)?, ..TaskConfig::default() });
    }
    let s = s.table(name)?;
    let text = s.text("loss", &loss_of(name, kind))?.or(usual);
    let chosen = chosen(&s, text.as_deref(), name, kind)?;
    let mut settings = BTreeMap::new();
    for key in loss::METHODS.iter().flat_map(|m| m.keys) {
        // Losses may have settings of one name, each its own default.
        let own = chosen.iter().flat_map(|m| m.keys).find(|own| own.name == key.name);
        if let Some(key) = own {
            let value = s.number(key.name, key.default, key.domain.describe(), |x| key.domain.holds(x))?;
            settings.insert(key.name.to_string(), value);
        } else if s.has(key.name) {
            let has = |m: &&LossMethod| m.keys.iter().any(|own| own.name == key.name);
            let owners: Vec<&LossMethod> = loss::METHODS.iter().filter(has).collect();
            let own: Vec<&&LossMethod> = owners.iter().filter(|m| m.kinds.contains(&kind)).collect();
            let those = if own.is_empty() { names(&owners) } else { names(own) };
            let message = format!("belongs to loss = {those}, alone or in a sum; set that, or leave {} out", key.name);
            return Err(s.error(key.name, message));
        }
    }
    Ok(TaskConfig {
        weight: weight(&s, "weight")?,
        loss: text,
        settings,
        class_weights: weights(&s, "class_weights", kind, (name, &[TaskKind::Class, TaskKind::Mask], "a class"))?,
        pos_weight: weights(&s, "pos_weight", kind, (name, &[TaskKind::Attributes], "attributes"))?,
    })
}

/// What may be written for the loss of a task.
fn loss_of(name: &str, kind: TaskKind) -> String {
    let all = losses(kind);
    match all.as_slice() {
        [] => format!("no loss: {name} is of kind {}, which has no choice", kind.name()),
        all => format!("{}, or a sum such as \"{}+{}\"", names(all), all[0].name, all[all.len() - 1].name),
    }
}

/// The losses that `text` names.
fn chosen(s: &Section, text: Option<&str>, name: &str, kind: TaskKind) -> Result<Vec<&'static LossMethod>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    if let Some(methods) = loss::methods(text).filter(|all| all.iter().all(|m| m.kinds.contains(&kind))) {
        return Ok(methods);
    }
    let parts: Vec<&str> = text.split('+').collect();
    if let Some(twice) = (1..parts.len()).find(|i| parts[..*i].contains(&parts[*i])) {
        return Err(s.error("loss", format!("{:?} is listed twice; remove one", parts[twice])));
    }
    let own = losses(kind);
    let other = |part: &str| loss::METHODS.iter().any(|m| m.name == part);
    if text.split('+').all(other) || own.is_empty() {
        let those = match own.is_empty() {
            true => "has no choice of a loss".into(),
            false => format!("takes {}", loss_of(name, kind)),
        };
        return Err(s.error("loss", format!("{name} is of kind {}, which {those}", kind.name())));
    }
    let known: Vec<&str> = own.iter().map(|m| m.name).collect();
    let wrong = text.split('+').find(|part| !other(part)).unwrap_or(text);
    let hint = nearest(wrong, &known).map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
    Err(s.error("loss", format!("expected {}, found {text:?}{hint}", loss_of(name, kind))))
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
    let what = "\"balanced\", or a list of numbers from 0 to 1e9, one for each";
    if s.is_list(key) {
        let list = s.list(key, what, |v| as_number(v).filter(|x| is_weight(*x)))?.unwrap_or_default();
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
