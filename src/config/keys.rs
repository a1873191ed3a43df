//! Every key a run's file may hold, and what to say about the others.

use super::{balancing, data, distillation};
use crate::data::sources::Source;
use crate::settings::Origin;
use crate::settings::{either, nearest};
use crate::{Error, Result};

const TRAIN: &[&str] = super::TrainConfig::KEYS;

/// The tables of the file with their keys, in the order in which they are explained; without `[data]`, whose keys the sources tell.
const TABLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "name", "seeds", "data", "augment", "train", "teacher", "student", "joint", "distill", "balance", "cache",
            "tasks",
        ],
    ),
    ("augment", super::AugmentConfig::KEYS),
    ("train", TRAIN),
    (
        "teacher",
        &["kind", "count", "arch", "width", "stem", "dilate", "head", "decoder", "init", "train", "paths", "weights"],
    ),
    ("student", &["arch", "width", "stem", "dilate", "head", "decoder", "init", "train"]),
    ("joint", &["train"]),
    ("cache", super::CacheConfig::KEYS),
    ("teacher.train", TRAIN),
    ("student.train", TRAIN),
    ("joint.train", TRAIN),
    ("distill.train", TRAIN),
];

/// What other programs call these keys.
const ALIASES: &[(&str, &str)] = &[
    ("learning_rate", "lr"),
    ("batch_size", "batch"),
    ("wd", "weight_decay"),
    ("T", "temperature"),
    ("tau", "temperature"),
    ("scheduler", "schedule"),
    ("warmup", "warmup_epochs"),
    ("grad_clip", "clip_norm"),
    ("architecture", "arch"),
    ("model", "arch"),
    ("ce_weight", "task_weight"),
    ("seed", "seeds"),
];

/// Keys of the tables inside a table that had another name: the table, the old name and the new one. The old ones are to be read for one
/// release.
const RENAMED: &[(&str, &str, &str)] =
    &[("distill", "normalise", "normalize"), ("tasks", "positive_weights", "pos_weight")];

/// Gives old keys their new names; what to tell the user, a line a name. Where both are written, a new one of the command line counts;
/// in the file itself they contradict each other.
pub(super) fn rename(values: &mut toml::Table, origin: &mut Origin) -> Vec<String> {
    let mut notes = Vec::new();
    for (table, old, new) in RENAMED {
        let mut found: Vec<Vec<&str>> = Vec::new();
        let inner = values.get_mut(*table).and_then(toml::Value::as_table_mut);
        for (name, keys) in inner.into_iter().flat_map(|t| t.iter_mut()) {
            let Some(keys) = keys.as_table_mut().filter(|keys| keys.contains_key(*old)) else { continue };
            if keys.contains_key(*new) && !origin.is_set(&[table, name, new]) {
                continue;
            }
            if let Some(value) = keys.remove(*old) {
                keys.entry(new.to_string()).or_insert(value);
                origin.rename(&[table, name, new], &[table, name, old]);
                found.push(vec![table, name, old]);
            }
        }
        if let Some(first) = found.first() {
            let more = if found.len() > 1 { format!(" (and {} more)", found.len() - 1) } else { String::new() };
            let (place, key) = (origin.place(first), first.join("."));
            notes.push(format!(
                "{place}: {key}{more} is called `{new}` now; a later release will not know the old name"
            ));
        }
    }
    notes
}

/// Refuses the first key, in the order of the file, that is in no table's list.
pub(super) fn check(values: &toml::Table, origin: &Origin) -> Result<()> {
    let mut unknown = Vec::new();
    collect(values, &mut Vec::new(), &mut unknown);
    // Keys from the command line have no line and come last.
    let first = unknown.into_iter().min_by_key(|path: &Vec<&str>| origin.line(path, None).unwrap_or(usize::MAX));
    first.map_or(Ok(()), |path| Err(refusal(&path, origin)))
}

fn collect<'v>(values: &'v toml::Table, path: &mut Vec<&'v str>, unknown: &mut Vec<Vec<&'v str>>) {
    // Tables that are not listed (`tasks`, `teacher.paths`) have keys that the user chooses.
    let known = keys_of(&path.join("."));
    for (key, value) in values {
        path.push(key);
        if known.as_ref().is_some_and(|known| !known.contains(&key.as_str())) {
            unknown.push(path.clone());
        } else if let Some(inner) = value.as_table() {
            collect(inner, path, unknown);
        }
        path.pop();
    }
}

pub(super) fn keys_of(table: &str) -> Option<Vec<&'static str>> {
    if table == "balance" {
        return Some(balancing::keys());
    }
    if table == "distill" {
        return Some(distillation::KEYS.iter().copied().chain(distillation::names()).collect());
    }
    if let Some(method) = table.strip_prefix("distill.").and_then(distillation::keys) {
        return Some(method);
    }
    if table.strip_prefix("tasks.").is_some_and(|task| !task.contains('.')) {
        return Some(super::tasks::keys());
    }
    tables().into_iter().find(|(name, _)| *name == table).map(|(_, keys)| keys)
}

/// All tables with their keys.
fn tables() -> Vec<(String, Vec<&'static str>)> {
    let data = data::KEYS.iter().copied().chain(Source::keys()).collect();
    let inner = Source::tables().into_iter().map(|(name, keys)| (format!("data.{name}"), keys));
    let others = TABLES.iter().map(|(name, keys)| (name.to_string(), keys.to_vec()));
    let mut all: Vec<_> = others.collect();
    all.splice(1..1, std::iter::once(("data".to_string(), data)).chain(inner));
    all
}

fn refusal(path: &[&str], origin: &Origin) -> Error {
    let Some((key, table)) = path.split_last() else { return origin.error(path, "unknown key") };
    let known = keys_of(&table.join(".")).unwrap_or_default();
    let alias = ALIASES.iter().find(|(other, ours)| other == key && known.contains(ours)).map(|(_, ours)| *ours);
    let homes = homes(key);
    let message = if let Some(meant) = alias {
        format!("unknown key; did you mean `{meant}`?")
    } else if !homes.is_empty() {
        format!("unknown key here; `{key}` belongs in {}", either(&homes))
    } else if let Some(meant) = nearest(key, &known) {
        format!("unknown key; did you mean `{meant}`?")
    } else {
        format!("unknown key; the keys here are {}", known.join(", "))
    };
    origin.error(path, message)
}

/// Where a key that is unknown here would be known: the main tables, or else the inner ones.
fn homes(key: &str) -> Vec<String> {
    let all = tables();
    let tables = |inner: bool| -> Vec<String> {
        let fits = |(name, keys): &&(String, Vec<&str>)| keys.contains(&key) && name.contains('.') == inner;
        let say = |name: &str| {
            if name.is_empty() { "the top of the file, before any table".into() } else { format!("[{name}]") }
        };
        all.iter().filter(fits).map(|(name, _)| say(name)).collect()
    };
    let main = tables(false);
    let methods = distillation::homes(key);
    match (main.is_empty(), methods.is_empty()) {
        (false, _) => main,
        (true, false) => methods,
        (true, true) => tables(true),
    }
}
