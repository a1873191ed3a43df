//! `[distill]` and a table for each of its methods.

use super::tasks::unknown_task;
use super::*;
use crate::distill::{self, FeatureKind, FeatureSite, METHODS, Method};
use crate::nn::{HeadMaps, detector_stages};
use crate::settings::Origin;
use crate::settings::{Section, WEIGHT, either, is_weight, nearest};

/// Keys of `[distill]` itself.
pub(super) const KEYS: &[&str] = &["methods", "task_weight", "adaptor_lr_factor", "train"];
/// Keys that every method has.
const COMMON: &[&str] = &["weight", "normalize", "cap", "warmup_epochs", "tasks"];
/// Keys of methods that look at layers.
const LAYERS: &[&str] = &["layers", "teacher_layers"];

/// The keys of `[distill.<name>]`.
pub(super) fn keys(name: &str) -> Option<Vec<&'static str>> {
    let method = distill::method(name)?;
    let layers = if method.look == FeatureKind::Logits { &[] } else { LAYERS };
    Some(COMMON.iter().chain(layers).copied().chain(method.keys.iter().map(|k| k.name)).collect())
}

/// The tables of methods that have a setting of this name.
pub(super) fn homes(key: &str) -> Vec<String> {
    let has = |m: &&Method| m.keys.iter().any(|k| k.name == key);
    METHODS.iter().filter(has).map(|m| format!("[distill.{}]", m.name)).collect()
}

/// The names of all methods.
pub(super) fn names() -> Vec<&'static str> {
    METHODS.iter().map(|m| m.name).collect()
}

pub(super) fn section(s: &Section, train: TrainConfig, teachers: TeacherKind) -> Result<DistillConfig> {
    let methods = methods(s)?;
    let task_weight = s.number("task_weight", 1.0, WEIGHT, is_weight)?;
    // Scaling needs a loss on labels to measure by, and teachers that answer before the first step.
    let scalable = task_weight > 0.0 && teachers != TeacherKind::Mutual;
    let mut tables = BTreeMap::new();
    for method in METHODS {
        if s.has(method.name) || methods.iter().any(|m| m == method.name) {
            tables.insert(method.name.to_string(), table(&s.table(method.name)?, method, scalable)?);
        }
    }
    Ok(DistillConfig {
        methods,
        task_weight,
        adaptor_lr_factor: s.number("adaptor_lr_factor", 1.0, "a factor above 0", |x| x > 0.0)?,
        tables,
        train,
    })
}

/// What `methods` lists; without it the methods that have tables; without any, `kd`.
fn methods(s: &Section) -> Result<Vec<String>> {
    let names = names();
    let what = "a list of methods in quotes, such as [\"kd\", \"normalised\"]";
    let Some(given) = s.list("methods", what, |v| v.as_str().map(str::to_string))? else {
        let written: Vec<String> = names.iter().filter(|n| s.has(n)).map(|n| n.to_string()).collect();
        return Ok(if written.is_empty() { vec!["kd".into()] } else { written });
    };
    if given.is_empty() {
        return Err(s.error("methods", format!("expected {what}, found an empty list")));
    }
    for (i, name) in given.iter().enumerate() {
        if given[..i].contains(name) {
            return Err(s.element_error("methods", i, format!("{name:?} is listed twice; remove the second")));
        }
        if !names.contains(&name.as_str()) {
            let quoted: Vec<String> = names.iter().map(|n| format!("{n:?}")).collect();
            let hint = nearest(name, &names).map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
            let message = format!("expected {}, found {name:?}{hint}", either(&quoted));
            return Err(s.element_error("methods", i, message));
        }
    }
    Ok(given)
}

/// A published weight suits the loss, the data and the kind of task it was published for: soft labels that weigh nine times the labels
/// of image classes weigh far more beside those of a detector. So a method without a weight in the file is held to the strength of the
/// labels, if that is `scalable`, and one with a weight is taken at its word. Only held, not raised to it: where a network and its
/// teacher happen to agree at the first step, a factor that makes them pull as hard as the labels grows without bound.
fn table(s: &Section, method: &Method, scalable: bool) -> Result<MethodConfig> {
    let normalize = s.flag("normalize", false)?;
    let cap = s.flag("cap", scalable && !normalize && !s.has("weight"))?;
    if cap && normalize {
        return Err(
            s.error("cap", "a normalised method has the strength of the labels already; leave one of the two out")
        );
    }
    let texts = |key, what| Ok(s.list(key, what, |v| v.as_str().map(str::to_string))?.unwrap_or_default());
    let layers = "a list of layers in quotes, such as [\"layer2\", \"layer3\"] or [\"pooled\"]";
    let config = MethodConfig {
        weight: s.number("weight", if normalize { 1.0 } else { method.weight }, WEIGHT, is_weight)?,
        normalize,
        cap,
        warmup_epochs: s.number("warmup_epochs", 0.0, "a number of epochs of at least 0", |x| x >= 0.0)?,
        tasks: texts("tasks", "a list of task names in quotes")?,
        layers: texts("layers", layers)?,
        teacher_layers: texts("teacher_layers", layers)?,
        settings: method
            .keys
            .iter()
            .map(|k| Ok((k.name.to_string(), s.number(k.name, k.default, k.domain.describe(), |x| k.domain.holds(x))?)))
            .collect::<Result<_>>()?,
    };
    for (key, names) in [("layers", &config.layers), ("teacher_layers", &config.teacher_layers)] {
        if let Some(i) = names.iter().position(|n| FeatureSite::parse(n).is_none()) {
            let message = format!("expected {}, found {:?}", FeatureSite::NAMES, names[i]);
            return Err(s.element_error(key, i, message));
        }
    }
    let (student, teacher) = (config.layers.len(), config.teacher_layers.len());
    if teacher > 0 && student != teacher {
        let message = format!("names {teacher} layers, but `layers` names {student}; they are compared one by one");
        return Err(s.error("teacher_layers", message));
    }
    let pair = |i: usize| (config.layers.get(i), config.teacher_layers.get(i));
    if let Some(i) = (1..student).find(|i| (0..*i).any(|j| pair(j) == pair(*i))) {
        let message = format!("{:?} is listed twice, with the same layer of the teacher; remove one", config.layers[i]);
        return Err(s.element_error("layers", i, message));
    }
    Ok(config)
}

/// Refuses what contradicts the rest of the configuration.
pub(super) fn check(config: &Config, origin: &Origin) -> Result<()> {
    let distill = &config.distill;
    if distill.used().all(|(_, m)| m.weight == 0.0) {
        let first = distill.methods.first().map_or("kd", String::as_str);
        let message = "every method has the weight 0, so there is nothing to distil; raise one of them";
        return Err(origin.error(&["distill", first, "weight"], message));
    }
    if config.teacher.kind == TeacherKind::Mutual {
        mutual(config, origin)?;
    }
    if distill.task_weight == 0.0
        && let Some((method, m)) = distill.used().find(|(_, m)| m.normalize || m.cap)
    {
        let key = if m.normalize { "normalize" } else { "cap" };
        let message =
            format!("{key} needs task_weight > 0, as it measures by the labels; raise it, or set {key} = false");
        return Err(origin.error(&["distill", method.name, key], message));
    }
    let tasks = config.task_names();
    suited(config, origin)?;
    places(config, origin)?;
    let stages = config.student.net.trunk()?.stages().len();
    for (name, method) in &distill.tables {
        let (epochs, used) = (distill.train.epochs, distill.methods.contains(name));
        if used && method.warmup_epochs > epochs as f64 {
            let message = format!(
                "a warm-up of {} epochs is longer than the {epochs} of training; lower it, or raise distill.train.epochs",
                method.warmup_epochs
            );
            return Err(origin.error(&["distill", name, "warmup_epochs"], message));
        }
        for (i, task) in method.tasks.iter().enumerate() {
            if !tasks.contains(&task.as_str()) {
                return Err(origin.error_in(&["distill", name, "tasks"], Some(i), unknown_task(task, &tasks)));
            }
        }
        let pixels = distill::method(name).is_some_and(|m| matches!(m.look, FeatureKind::Map(_)));
        for (key, layers) in [("layers", &method.layers), ("teacher_layers", &method.teacher_layers)] {
            if let Some(i) = layers.iter().position(|l| pixels && FeatureSite::parse(l) == Some(FeatureSite::Pooled)) {
                let message =
                    format!("{name} compares pixels, of which pooled features have none; name a stage, such as layer1");
                return Err(origin.error_in(&["distill", name, key], Some(i), message));
            }
        }
        if let Some(row) = distill::method(name) {
            layers(config, origin, (row, method), stages)?;
        }
    }
    Ok(())
}

/// What the head of a task of some kind has beside its answers, over a trunk of so many stages.
pub(crate) fn head_maps(kind: TaskKind, stages: usize) -> HeadMaps<()> {
    match kind {
        TaskKind::Mask | TaskKind::Depth => {
            HeadMaps { levels: vec![(); stages], first: 0, decoder: Some(()), logits: Some(()) }
        }
        TaskKind::Boxes => {
            let own = detector_stages(stages);
            HeadMaps { levels: vec![(); own.len()], first: own.start, ..HeadMaps::none() }
        }
        TaskKind::Class | TaskKind::Attributes | TaskKind::Number => HeadMaps::none(),
    }
}

/// Refuses layers that the student has not: in its trunk, or in the head of a task that the method is used for.
fn layers(config: &Config, origin: &Origin, (method, settings): (&Method, &MethodConfig), stages: usize) -> Result<()> {
    for (i, tap) in settings.layers.iter().enumerate().filter_map(|(i, l)| Some((i, FeatureSite::parse(l)?))) {
        for (task, kind) in config.task_names().into_iter().zip(config.task_kinds()) {
            let head = head_maps(kind, stages);
            let missing = tap.among(&vec![(); stages], Some(&()), &head).is_none();
            if missing && settings.serves(method, task, kind) {
                let mut message = tap.missing(&format!("the student of {task}"), stages, &head);
                if tap.in_head() {
                    message += "; name in `tasks` those it is for";
                }
                return Err(origin.error_in(&["distill", method.name, "layers"], Some(i), message));
            }
        }
    }
    Ok(())
}

/// Refuses a method for a task it cannot serve: where it is asked for that task by name, or has no other.
fn suited(config: &Config, origin: &Origin) -> Result<()> {
    let all: Vec<(&str, TaskKind)> = config.task_names().into_iter().zip(config.task_kinds()).collect();
    for (method, settings) in config.distill.used() {
        let serves = |task: &(&str, TaskKind)| method.serves(task.1);
        let kinds: Vec<String> = method.tasks.iter().map(|k| k.name().to_string()).collect();
        let message = |(task, kind): &(&str, TaskKind)| {
            format!("{} teaches tasks of kind {}; {task} is of kind {}", method.name, either(&kinds), kind.name())
        };
        for (i, name) in settings.tasks.iter().enumerate() {
            if let Some(task) = all.iter().find(|t| t.0 == name && !serves(t)) {
                return Err(origin.error_in(&["distill", method.name, "tasks"], Some(i), message(task)));
            }
        }
        if settings.tasks.is_empty()
            && let Some(first) = all.first().filter(|_| !all.iter().any(serves))
        {
            return Err(origin.error(&["distill", "methods"], message(first)));
        }
    }
    if config.cache.storage == Storage::TopK
        && let Some((task, kind)) = all.iter().find(|(_, kind)| *kind != TaskKind::Class)
    {
        let message =
            format!("the largest few logits say little of {task}, which is of kind {}; choose \"f16\"", kind.name());
        return Err(origin.error(&["cache", "storage"], message));
    }
    Ok(())
}

/// Refuses detectors that are compared place by place where their places are not the same.
fn places(config: &Config, origin: &Origin) -> Result<()> {
    let (student, teacher) = (config.student.net.trunk()?.strides(), config.teacher.net.trunk()?.strides());
    let levels = |strides: &[usize]| strides[detector_stages(strides.len())].to_vec();
    let (student, teacher) = (levels(&student), levels(&teacher));
    let mutual = config.teacher.kind == TeacherKind::Mutual;
    if student == teacher || config.trained_teachers() == 0 && !mutual {
        return Ok(());
    }
    for (task, _) in config.task_names().into_iter().zip(config.task_kinds()).filter(|t| t.1 == TaskKind::Boxes) {
        let compares = |(method, settings): &(&Method, &MethodConfig)| {
            let asked = settings.tasks.is_empty() || settings.tasks.iter().any(|t| t == task);
            matches!(method.look, FeatureKind::Logits) && method.serves(TaskKind::Boxes) && asked
        };
        let Some((method, _)) = config.distill.used().find(compares) else { continue };
        if mutual || !config.teacher.paths.contains_key(task) {
            let message = format!(
                "{} compares {task} place by place, but the teacher's detector has one every {teacher:?} pixels, the student's every \
                 {student:?}; give both as many stages, one stem and the same `dilate`",
                method.name
            );
            return Err(origin.error(&["teacher", "arch"], message));
        }
    }
    Ok(())
}

/// What networks that teach each other cannot do.
fn mutual(config: &Config, origin: &Origin) -> Result<()> {
    if config.balance.method != crate::balance::FIXED {
        let message =
            "networks that learn from each other cannot be balanced; leave the key out, or choose another teacher.kind";
        return Err(origin.error(&["balance", "method"], message));
    }
    if !config.teacher.paths.is_empty() {
        return Err(
            origin.error(&["teacher", "paths"], "with teacher.kind = \"mutual\" there are no ready-made teachers")
        );
    }
    for (method, settings) in config.distill.used() {
        if !settings.teacher_layers.is_empty() && settings.teacher_layers != settings.layers {
            let message = "with teacher.kind = \"mutual\" everybody learns from everybody, so that all look at the same layers; leave \
                           `teacher_layers` out";
            return Err(origin.error(&["distill", method.name, "teacher_layers"], message));
        }
    }
    if let Some((method, m)) = config.distill.used().find(|(_, m)| m.normalize || m.cap) {
        let key = if m.normalize { "normalize" } else { "cap" };
        let message =
            "with teacher.kind = \"mutual\" there is nothing to measure at the first step; set a weight instead";
        return Err(origin.error(&["distill", method.name, key], message));
    }
    Ok(())
}
