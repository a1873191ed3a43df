//! Every key of a run's file with what it may be, its default and what it means: what `limbeck keys` prints.

use super::{AugmentConfig, CacheConfig, TrainConfig};
use crate::balance::{self, FIXED};
use crate::data::sources::{Source, SourceReference};
use crate::distill::{self, FeatureKind, Method};
use crate::loss;
use crate::settings::{KeyRow, KeyText, NOT_SET, WEIGHT, either};

/// A table of a run's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReference {
    /// Its name as the file writes it; empty for the top of the file.
    pub table: String,
    /// What it is, in a sentence or two.
    pub about: String,
    /// Its keys, in the order in which they are explained.
    pub rows: Vec<KeyRow>,
}

const TABLE: &str = "a table";

const TOP: &[KeyText] = &[
    KeyText::new(
        "name",
        "letters, digits, `-`, `_` and `.`, not beginning with a point",
        "the file's name",
        "The run's name and default folder, runs/NAME.",
    ),
    KeyText::new(
        "seeds",
        "a list of different whole numbers",
        "[0, 1, 2]",
        "One whole run of all stages for each seed.",
    ),
];

const DATA: &[KeyText] = &[
    KeyText::new(
        "source",
        "a source",
        "\"digits\"",
        "Where the images come from; each source has keys of its own, below.",
    ),
    KeyText::new("root", "a folder", "\".\"", "Where the paths below start, relative to the working directory."),
    KeyText::new(
        "split_seed",
        "a whole number of at least 0",
        "0",
        "Seed of the split and of compositions; the same for all seeds.",
    ),
    KeyText::new("flip_invariant", "a list of tasks", "[]", "Tasks whose label survives mirroring the image."),
    KeyText::new("crop_invariant", "a list of tasks", "[]", "Tasks whose number a part of the image keeps."),
    KeyText::new(
        "labelled",
        "a table: TASK = a part above 0 and at most 1",
        "every label",
        "The part of the training labels that is kept, by task.",
    ),
    KeyText::new(
        "disjoint",
        "true or false",
        "false",
        "No training image keeps the labels of two tasks of `labelled`.",
    ),
];

const NETWORK: &[KeyText] = &[
    KeyText::new(
        "arch",
        "an architecture, such as \"resnet20\"",
        "",
        "resnet8 to resnet110, these with x2, x4 or x8; resnet18 to 152.",
    ),
    KeyText::new("width", "a multiplier above 0 and at most 16", "", "Multiplier of every width."),
    KeyText::new(
        "stem",
        "\"small\" or \"imagenet\"",
        "\"small\"",
        "The first layers of resnet18 to 152; \"imagenet\" is for large images.",
    ),
    KeyText::new(
        "dilate",
        "a whole number",
        "0",
        "The last stages that keep their resolution and dilate their convolutions.",
    ),
    KeyText::new("head", "a list of sizes from 1 to 65536", "[]", "Hidden layers of each head over pooled features."),
    KeyText::new("decoder", "a whole number from 1 to 1024", "32", "Channels of decoders and detectors."),
    KeyText::new(
        "init",
        "\"he_normal\", \"he_uniform\", \"xavier_normal\" or \"xavier_uniform\"",
        "\"he_normal\"",
        "How the weights begin.",
    ),
    KeyText::new("train", TABLE, "[train]", "How it is trained, where that differs: keys of [train]."),
];

const TEACHER: &[KeyText] = &[
    KeyText::new(
        "kind",
        "\"single\", \"joint\", \"self\" or \"mutual\"",
        "\"single\"",
        "Who teaches: a network for each task, one for all, the joint student, or networks that learn along.",
    ),
    KeyText::new(
        "count",
        "a whole number from 1 to 64",
        "1",
        "Teachers trained for each task, or peers that learn along.",
    ),
    KeyText::new(
        "paths",
        "a table: TASK = a .safetensors file, a list of them, or []",
        NOT_SET,
        "Ready-made teachers by task, relative to the working directory; [] for none.",
    ),
    KeyText::new(
        "weights",
        "a table: TASK = a list of weights above 0 and up to 1e9",
        "equal",
        "Weights of a task's ready-made teachers.",
    ),
];

const DISTILL: &[KeyText] = &[
    KeyText::new(
        "methods",
        "a list of methods",
        "[\"kd\"], or those with a table",
        "The methods in use; each has a table, below.",
    ),
    KeyText::new("task_weight", WEIGHT, "1.0", "Weight of the losses on labels."),
    KeyText::new("adaptor_lr_factor", "a factor above 0", "1.0", "Learning rate of adaptors, in that of the student."),
    KeyText::new(
        "train",
        TABLE,
        "[joint.train]",
        "How the distilled student is trained, where that differs: keys of [train].",
    ),
];

const METHOD: &[KeyText] = &[
    KeyText::new(
        "weight",
        WEIGHT,
        "",
        "Its weight beside the labels; its published one, or 1 with `normalize`, unless written.",
    ),
    KeyText::new(
        "normalize",
        "true or false",
        "false",
        "Count `weight` in strengths of the labels' gradient, measured in the first epoch.",
    ),
    KeyText::new(
        "cap",
        "true or false",
        "true, but see there",
        "Scale it down where it would pull harder than the labels. False with `weight`, `normalize`, teachers that learn along or `task_weight = 0`.",
    ),
    KeyText::new(
        "warmup_epochs",
        "a number of epochs of at least 0",
        "0.0",
        "Epochs over which its weight rises from nothing.",
    ),
    KeyText::new("tasks", "a list of tasks", "[]", "The tasks it is used for; all that it can serve where empty."),
];

const LAYERS: &[KeyText] = &[
    KeyText::new(
        "layers",
        "a list of layers",
        "the method's",
        "Where the student is looked at, such as \"layer2\", \"pooled\", \"decoder\".",
    ),
    KeyText::new("teacher_layers", "a list of layers", "`layers`", "Where the teacher is looked at."),
];

const BALANCE: &[KeyText] = &[
    KeyText::new(
        "method",
        "a method",
        "\"fixed\"",
        "How the tasks are weighted at each step; \"fixed\": by [tasks] alone.",
    ),
    KeyText::new("over", "\"tasks\" or \"terms\"", "\"tasks\"", "What is balanced: tasks, or every term of the loss."),
    KeyText::new(
        "level",
        "\"features\" or \"parameters\"",
        "\"features\"",
        "Where gradients are compared: at the trunk's output or its parameters.",
    ),
    KeyText::new(
        "probe",
        "true or false",
        "true",
        "Measure each term's gradient and the tasks' agreement once an epoch.",
    ),
    KeyText::new("rescale", "true or false", "true", "Scale each step's weights to a mean size of 1."),
];

const TASK: &[KeyText] = &[
    KeyText::new("weight", WEIGHT, "1.0", "Weight of its losses; `TASK = 0.5` is short for it."),
    KeyText::new("loss", "", "", "The loss on its labels, or a sum such as \"cross_entropy+dice\"."),
    KeyText::new(
        "class_weights",
        "\"balanced\", or a list of numbers",
        NOT_SET,
        "How much each class counts, of tasks of classes.",
    ),
    KeyText::new(
        "pos_weight",
        "\"balanced\", or a list of numbers",
        NOT_SET,
        "How much positive answers count, of attributes.",
    ),
];

fn rows(texts: &[KeyText]) -> Vec<KeyRow> {
    texts.iter().map(KeyText::row).collect()
}

fn table(table: impl Into<String>, about: impl Into<String>, rows: Vec<KeyRow>) -> TableReference {
    TableReference { table: table.into(), about: about.into(), rows }
}

/// The rows of a network whose architecture and width are these unless written.
fn network(arch: &str, width: f64) -> Vec<KeyRow> {
    let default = |row: KeyRow| match row.key {
        "arch" => KeyRow { default: format!("{arch:?}"), ..row },
        "width" => KeyRow { default: format!("{width:?}"), ..row },
        _ => row,
    };
    rows(NETWORK).into_iter().map(default).collect()
}

fn method(method: &Method) -> TableReference {
    let default = |row: KeyRow| match row.key {
        "weight" => KeyRow { default: format!("{:?}", method.weight), ..row },
        _ => row,
    };
    let mut all: Vec<KeyRow> = rows(METHOD).into_iter().map(default).collect();
    if method.look != FeatureKind::Logits {
        all.extend(rows(LAYERS));
    }
    all.extend(method.keys.iter().map(|key| KeyRow {
        key: key.name,
        allowed: key.domain.describe().into(),
        default: format!("{:?}", key.default),
        meaning: "A setting of the method.",
    }));
    let kinds: Vec<String> = method.tasks.iter().map(|kind| kind.name().to_string()).collect();
    table(format!("distill.{}", method.name), format!("For tasks of kind {}.", either(&kinds)), all)
}

fn balance() -> TableReference {
    let mut all = rows(BALANCE);
    let names: Vec<&str> = std::iter::once(FIXED).chain(balance::METHODS.iter().map(|m| m.name)).collect();
    all[0].allowed = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    for key in balance::METHODS.iter().flat_map(|m| m.keys) {
        if all.iter().any(|row| row.key == key.name) {
            continue;
        }
        // Several methods may have a setting of this name, each its own default.
        let own = balance::METHODS.iter().filter_map(|m| Some((m, m.keys.iter().find(|k| k.name == key.name)?)));
        let own: Vec<_> = own.collect();
        let said = |f: &dyn Fn(&balance::Key) -> String| {
            let mut all: Vec<String> = own.iter().map(|(m, k)| format!("{} ({})", f(k), m.name)).collect();
            if own.iter().all(|(_, k)| f(k) == f(key)) {
                let names: Vec<&str> = own.iter().map(|(m, _)| m.name).collect();
                all = vec![format!("{} ({})", f(key), names.join(", "))];
            }
            all.join(", ")
        };
        all.push(KeyRow {
            key: key.name,
            allowed: said(&|k| format!("from {} to {}", k.range.0, k.range.1)),
            default: said(&|k| format!("{:?}", k.default)),
            meaning: "A setting of the method.",
        });
    }
    table("balance", "How the tasks are balanced, in the joint and in the distilled student.", all)
}

fn task() -> TableReference {
    let mut all = rows(TASK);
    let kinds = |m: &loss::LossMethod| m.kinds.iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
    let losses: Vec<String> =
        loss::METHODS.iter().map(|m| format!("{:?} ({}: {})", m.name, kinds(m), m.about)).collect();
    all[1].allowed = losses.join("; ");
    all[1].default = "the first of the task's kind".into();
    for (method, key) in loss::METHODS.iter().flat_map(|m| m.keys.iter().map(move |key| (m, key))) {
        all.push(KeyRow {
            key: key.name,
            allowed: format!("{} ({})", key.domain.describe(), method.name),
            default: format!("{:?}", key.default),
            meaning: "A setting of the loss.",
        });
    }
    table(
        "tasks.TASK",
        "How much a task counts and how its labels are learnt; tasks of attributes and boxes choose no loss.",
        all,
    )
}

/// Every table with its keys.
pub fn reference() -> Vec<TableReference> {
    let mut all = vec![
        table("", "At the top of the file, before any table.", rows(TOP)),
        table("data", "What is learnt from. Keys of every source.", rows(DATA)),
    ];
    for SourceReference { name, keys, tables } in Source::reference() {
        all.push(table(format!("data, source = {name:?}"), "", keys));
        all.extend(tables.into_iter().map(|(inner, keys)| table(format!("data.{inner}, source = {name:?}"), "", keys)));
    }
    let mut teacher = rows(&TEACHER[..2]);
    teacher.extend(network("resnet14", 1.0));
    teacher.extend(rows(&TEACHER[2..]));
    let train = |default: &'static str| {
        vec![KeyRow { key: "train", allowed: TABLE.into(), default: default.into(), meaning: "Keys of [train]." }]
    };
    all.extend([
        table("augment", "How training images are varied, the same for teacher and student.", AugmentConfig::rows()),
        table(
            "train",
            "How a stage is trained. Stages take it from here unless their own table says otherwise.",
            TrainConfig::rows(),
        ),
        table("teacher", "The teachers.", teacher),
        table("student", "The student's network, and how single-task networks are trained.", network("resnet8", 0.5)),
        table("joint", "How the students of all tasks are trained, joint and distilled.", train("[student.train]")),
        table("distill", "How the student learns from the teachers.", rows(DISTILL)),
    ]);
    all.extend(distill::METHODS.iter().map(method));
    all.extend([balance(), table("cache", "Teachers' answers on disk.", CacheConfig::rows()), task()]);
    all
}

#[cfg(test)]
mod tests {
    use super::super::keys::keys_of;
    use super::*;
    use std::collections::BTreeSet;

    /// What is explained is what is read: no key more, none less.
    #[test]
    fn every_key_that_is_read_is_explained() {
        let mut told: std::collections::BTreeMap<String, BTreeSet<&str>> = Default::default();
        for table in reference() {
            let name = table.table.split(", source").next().unwrap().replace("TASK", "x");
            told.entry(name).or_default().extend(table.rows.iter().map(|row| row.key));
            for row in &table.rows {
                assert!(!row.allowed.is_empty() && !row.default.is_empty() && row.meaning.len() > 5, "{row:?}");
            }
        }
        for (name, keys) in &told {
            let mut known: BTreeSet<&str> = keys_of(name).unwrap_or_else(|| panic!("[{name}]")).into_iter().collect();
            // Tables of their own.
            let inner: Vec<&str> = match name.as_str() {
                "" => known.iter().copied().filter(|key| keys_of(key).is_some() || *key == "tasks").collect(),
                "distill" => distill::METHODS.iter().map(|m| m.name).collect(),
                _ => Vec::new(),
            };
            inner.iter().for_each(|key| assert!(known.remove(key)));
            assert_eq!(keys, &known, "[{name}]");
        }
        for name in ["data.masks", "data.depth", "data.limit", "augment", "cache", "balance", "joint", "distill.kd"] {
            assert!(told.contains_key(name), "[{name}]");
        }
    }
}
