//! A whole run: for every seed the teachers, the single-task baselines, the joint student, unless it is the single-task one, and the
//! distilled student.

use super::names;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::config::Config;
use crate::data::{Dataset, SkippedGroup};
use crate::experiment::dataset;
use crate::experiment::kind::StageKind;
use crate::experiment::overview::Overview;
use crate::experiment::stages::Stages;
use crate::experiment::summary::Summary;
use crate::files::{remove, write_atomic};
use crate::gpu::Gpu;
use crate::train::event::{Event, read_records};
use crate::train::folder_lock::FolderLock;
use crate::train::inputs::Inputs;
use crate::train::journal::truncate_partial_line;
use crate::train::result::StageResult;
use crate::train::stage::{StageContext, StageStore};
use crate::{Error, Result};

/// Runs everything `config` asks for in the folder `out`, goes on where an interrupted run stopped, and tells `on_event`
/// what happens. `stop` set to true ends the run at the next step, with everything saved.
///
/// # Errors
/// [`Error::Interrupted`] after `stop`; [`Error::NonFinite`] where a loss is no number; [`Error::Config`] where the folder
/// holds a run of another configuration; [`Error::Busy`] while another process trains in the folder, [`Error::Vanished`] where it is taken away meanwhile; data, file and GPU errors. Finished stages are kept in every case.
pub fn run(
    config: &Config,
    out: &Path,
    gpu: &Gpu,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(Event),
) -> Result<Summary> {
    let lock = FolderLock::take(out)?;
    let summary = stages(config, (out, &lock), &StageKind::ALL, gpu, stop, on_event)?;
    lock.check()?;
    write_atomic(out.join(names::SUMMARY), summary.to_json()?.as_bytes())?;
    Ok(summary)
}

/// The same of the stages of these kinds, and those that they need: teachers for the distilled student. What was trained is found by a
/// later run in the folder. The summary is of these stages and is not stored.
///
/// # Errors
/// As [`run`].
pub fn run_only(
    config: &Config,
    out: &Path,
    kinds: &[StageKind],
    gpu: &Gpu,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(Event),
) -> Result<Summary> {
    let lock = FolderLock::take(out)?;
    stages(config, (out, &lock), kinds, gpu, stop, on_event)
}

/// Stages in a folder that is locked.
fn stages(
    config: &Config,
    (out, lock): (&Path, &FolderLock),
    kinds: &[StageKind],
    gpu: &Gpu,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(Event),
) -> Result<Summary> {
    let resolved = out.join(names::CONFIG);
    check_claim(config, &resolved)?;
    let journal = out.join(names::METRICS);
    if journal.exists() {
        truncate_partial_line(&journal)?;
        // What cannot be read at the end is better told of at the beginning.
        read_records(&journal)?;
    }
    let data = dataset::load(config)?;
    let augment = config.augment.augment();
    augment.check(&data.tasks)?;
    let (overview, skipped) = (Overview::of(&data, &config.data.source), listed(&data));
    let joint = usize::from(!config.joint_is_single());
    let counts = [config.trained_teachers(), data.tasks.len(), joint, 1].into_iter().zip(StageKind::ALL);
    let per_seed: usize = counts.filter(|(_, kind)| kind.is_needed(kinds, config)).map(|(count, _)| count).sum();
    if per_seed == 0 {
        return Err(Error::Invalid(
            "there is nothing to train: the run has no stage of the kinds that were asked for".into(),
        ));
    }
    let (store, data_fingerprint) = (StageStore::Run(out.to_path_buf()), data.fingerprint());
    let context = StageContext { gpu, store, data_fingerprint, inputs: Inputs::of_run(config, data), stop, lock };
    let given = context.given_teachers(config)?;
    context.check_layers(config, &given, &resolved)?;
    // Written only now, so that a run whose data or teachers cannot be read leaves nothing behind.
    if !resolved.exists() {
        write_atomic(&resolved, config.to_toml().as_bytes())?;
    }
    keep_overview(out, [names::DATA, names::SKIPPED], &overview, &skipped)?;
    let notes: Vec<String> = config.notes.iter().cloned().chain(overview.lines(names::SKIPPED)).collect();
    let adapter = gpu.profile().to_string();
    on_event(Event::Run {
        name: &config.name,
        adapter: &adapter,
        seeds: &config.seeds,
        stages: per_seed * config.seeds.len(),
        notes: &notes,
    });
    let mut stages = Stages::new(config, &context, given, on_event, Some(&journal));
    let mut results = Vec::new();
    for seed in &config.seeds {
        results.extend(stages.seed(*seed, kinds)?);
    }
    let trained = |r: &&StageResult| r.stage != "joint" || !config.joint_is_single();
    let seconds = results.iter().filter(trained).map(|r| r.seconds).sum();
    let evaluate_on = context.inputs.evaluate_on;
    Ok(Summary { evaluate_on, ..Summary::from_results(&config.name, &adapter, &config.seeds, results, seconds)? })
}

/// Everything that was skipped, a line each, what belongs together in one place.
pub(crate) fn listed(data: &Dataset) -> String {
    SkippedGroup::all(&data.skipped).1.iter().map(|skipped| format!("{skipped}\n")).collect()
}

/// Writes the overview, and all that was `skipped` where there is such, to files of these names in `out`.
pub(crate) fn keep_overview(out: &Path, [data, list]: [&str; 2], overview: &Overview, skipped: &str) -> Result<()> {
    write_atomic(out.join(data), overview.to_json()?.as_bytes())?;
    let path = out.join(list);
    if !skipped.is_empty() {
        write_atomic(&path, skipped.as_bytes())?;
    } else if path.exists() {
        // Of a time when something was.
        remove(&path)?;
    }
    Ok(())
}

/// Finds that the folder is new, or this configuration's already.
fn check_claim(config: &Config, path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", e))?;
    let differences = config.differences(&Config::parse(&text, path, &[])?);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::Config {
        path: path.to_path_buf(),
        line: None,
        key: "this folder holds a run of another configuration".into(),
        message: format!("{}; choose another folder with --out, or remove this one", differences.join("; ")),
    })
}
