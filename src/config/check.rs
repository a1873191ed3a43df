//! What no single key can show: combinations that cannot work, and files that are not there.

use super::tasks::unknown_task;
use super::*;
use crate::data::Task;
use crate::loss::LossMethod;
use crate::settings::{Files, Origin, absent};

/// Refuses settings that contradict each other.
pub(super) fn combinations(config: &Config, origin: &Origin) -> Result<()> {
    tasks(config, origin)?;
    teachers(config, origin)?;
    augmentation(config, origin)?;
    for (table, train) in [
        ("", &config.train),
        ("teacher", &config.teacher.train),
        ("student", &config.student.train),
        ("joint", &config.joint.train),
        ("distill", &config.distill.train),
    ] {
        stage(table, train, origin)?;
    }
    distillation::check(config, origin)?;
    Ok(())
}

/// Refuses tasks of which one is called as a second teacher of another would be.
fn teachers(config: &Config, origin: &Origin) -> Result<()> {
    let tasks = config.task_names();
    let second = |task: &&str| (2..=config.teacher.count).find(|n| tasks.contains(&format!("{task}-{n}").as_str()));
    if config.teacher.kind == TeacherKind::Single
        && let Some((task, n)) = tasks.iter().find_map(|task| Some((task, second(task)?)))
    {
        let message = format!(
            "teacher number {n} of {task:?} would be called as the first of the task {:?}; rename one of the tasks, or ask for fewer",
            format!("{task}-{n}")
        );
        return Err(origin.error(&["teacher", "count"], message));
    }
    Ok(())
}

fn tasks(config: &Config, origin: &Origin) -> Result<()> {
    let labelled: f64 = config.data.labelled.values().sum();
    if config.data.disjoint && labelled > 1.0 + 1e-9 {
        let message =
            format!("the parts in data.labelled come to {labelled} together, so some images would have two labels");
        return Err(origin.error(&["data", "disjoint"], message));
    }
    let tasks = config.task_names();
    if let [first, second] = tasks.as_slice()
        && first == second
    {
        return Err(origin
            .error(&["data", "second", "task"], format!("both tasks are named `{first}`; give them different names")));
    }
    for (key, names) in
        [("flip_invariant", &config.data.flip_invariant), ("crop_invariant", &config.data.crop_invariant)]
    {
        if let Some(i) = names.iter().position(|name| !tasks.contains(&name.as_str())) {
            return Err(origin.error_in(&["data", key], Some(i), unknown_task(&names[i], &tasks)));
        }
    }
    let trained = [&config.teacher.train, &config.student.train, &config.joint.train, &config.distill.train];
    let smoothed = trained.iter().any(|t| t.label_smoothing > 0.0);
    let unlike = |t: &TaskConfig| {
        let chosen = t.loss.as_deref().and_then(crate::loss::methods).unwrap_or_default();
        // Numbers are not smoothed at all, and Dice compares sets of pixels: beside a loss of each pixel it needs no smoothing.
        let pixels = |m: &&&LossMethod| m.kinds.contains(&TaskKind::Class);
        let unlike = chosen.iter().filter(pixels).any(|m| !m.smooths);
        let alone = !chosen.is_empty() && chosen.iter().all(|m| m.kinds == [TaskKind::Mask]);
        t.class_weights.is_some() || unlike || alone
    };
    if let Some((name, _)) = config.tasks.iter().find(|(_, t)| smoothed && unlike(t)) {
        let message =
            "train.label_smoothing goes with cross entropy without class weights, alone or beside dice; set it to 0";
        return Err(origin.error(&["tasks", name], message));
    }
    if config.tasks.values().all(|t| t.weight == 0.0) {
        return Err(
            origin.error(&["tasks"], "every task has the weight 0, so nothing would be learnt; raise one of them")
        );
    }
    Ok(())
}

fn augmentation(config: &Config, origin: &Origin) -> Result<()> {
    let (augment, varied) = (&config.augment, config.augment.augment());
    if config.cache.storage != Storage::None && augment.noise > 0.0 {
        let message = "every picture has noise of its own, so no teacher's answer would be found again; set augment.noise = 0, or \
                       leave the cache out";
        return Err(origin.error(&["cache", "storage"], message));
    }
    if config.cache.storage != Storage::None && !varied.repeats() {
        let message = "with augment.crop, scale, rotate or mosaic hardly a picture comes back, so no teacher's answer would be found \
                       again; leave them out, or the cache";
        return Err(origin.error(&["cache", "storage"], message));
    }
    if config.cache.storage != Storage::None && config.teacher.kind == TeacherKind::Mutual {
        let message = "networks that learn from each other change their answers; leave the cache out";
        return Err(origin.error(&["cache", "storage"], message));
    }
    // What belongs to places moves with them, and drawn scenes are as likely mirrored as not.
    // So does the number of objects.
    let drawn = config.data.source.moves();
    let fixed = |(task, kind): &(&str, TaskKind)| {
        !drawn && !kind.is_spatial() && !config.data.flip_invariant.iter().any(|f| f == task)
    };
    let tasks = config.task_names().into_iter().zip(config.task_kinds());
    let missing: Vec<&str> = tasks.filter(fixed).map(|(task, _)| task).collect();
    if augment.flip && !missing.is_empty() {
        let message = format!(
            "mirroring may change the label of {}; set flip = false, or list in data.flip_invariant every task whose label survives it",
            missing.join(", ")
        );
        return Err(origin.error(&["augment", "flip"], message));
    }
    let kept = |task: &str| config.data.crop_invariant.iter().any(|t| t == task);
    for (task, kind) in config.task_names().into_iter().zip(config.task_kinds()) {
        let one = Task { crop: kind != TaskKind::Number || kept(task), ..Task::new(task, kind, &[]) };
        if let Some((key, message)) = varied.conflict(&one) {
            return Err(origin.error(&["augment", key], message));
        }
    }
    let size = config.data.source.size();
    if let Some([h, w]) = size
        && augment.shift >= h.min(w)
    {
        let message = format!(
            "a shift of {} pixels moves images of {h}x{w} out of sight; choose a few pixels, such as 1",
            augment.shift
        );
        return Err(origin.error(&["augment", "shift"], message));
    }
    Ok(())
}

/// `table` is the stage whose settings these are; empty for `[train]` itself.
fn stage(table: &str, train: &TrainConfig, origin: &Origin) -> Result<()> {
    // A value inherited from `[train]` is not written in the stage's own table; the error then points at that table, because
    // `[train]` by itself was found to be sound.
    let path: &[&str] = if table.is_empty() { &["train"] } else { &[table, "train"] };
    let error = |key: &str, message: String| origin.error(&[path, &[key]].concat(), message);
    if let Some(i) = train.milestones.windows(2).position(|m| m[0] >= m[1]) {
        let message = format!(
            "milestones must increase, but {:?} is followed by {:?}",
            train.milestones[i],
            train.milestones[i + 1]
        );
        return Err(error("milestones", message));
    }
    if train.schedule == Schedule::Step && train.milestones.is_empty() {
        let message = "the step schedule never steps without milestones; give some, such as [0.6, 0.8], or set schedule = \"constant\"";
        return Err(error("milestones", message.into()));
    }
    if train.warmup_epochs > train.epochs as f64 {
        let message = format!(
            "a warm-up of {} epochs is longer than the {} epochs of training; lower warmup_epochs or raise epochs",
            train.warmup_epochs, train.epochs
        );
        return Err(error("warmup_epochs", message));
    }
    if train.optimizer == Optimizer::Sgd && train.nesterov && train.momentum == 0.0 {
        return Err(error(
            "momentum",
            "Nesterov's rule needs a momentum above 0; set nesterov = false or, say, momentum = 0.9".into(),
        ));
    }
    Ok(())
}

/// Looks for every file the run will read.
pub(super) fn files(config: &Config, origin: &Origin) -> Result<()> {
    config.data.source.look(&Files::new(&config.data.root, origin))?;
    let paths = config.teacher.paths.iter().flat_map(|(task, paths)| paths.iter().map(move |p| (task, p)));
    for (task, path) in paths {
        if !path.is_file() {
            let message = format!(
                "{}; give the .safetensors file of a trained teacher, or remove the key to train one",
                absent(path, "file")
            );
            return Err(origin.error(&["teacher", "paths", task], message));
        }
    }
    Ok(())
}
