//! Comparisons: many configurations side by side, each stage trained once.
//!
//! A file names a run to vary and the rows of a table: a stage (joint or distilled) with values set on top of the run's, grids of
//! such rows, and searches for the best of many. Stages lie in a store under a hash of everything that makes them what they are,
//! so that rows share teachers and baselines, and a row that was finished is not trained again.

mod file;
mod outcome;
mod plan;
mod search;

pub use file::Ablation;
pub use outcome::{Outcome, Row, Transfer};
pub use plan::{RowPlan, RowStage, SearchPlan, Space, Strategy};
pub use search::Trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::config::{AugmentConfig, Config, DataConfig, TeacherKind};
use crate::experiment::dataset;
use crate::experiment::overview::Overview;
use crate::experiment::run::{keep_overview, listed};
use crate::experiment::stages::Stages;
use crate::files::write_atomic;
use crate::gpu::Gpu;
use crate::train::event::Event;
use crate::train::folder_lock::FolderLock;
use crate::train::inputs::Inputs;
use crate::train::result::StageResult;
use crate::train::stage::{StageContext, StageStore};
use crate::train::teacher_set::TeacherSet;
use crate::{Error, Result};

/// The names of a comparison's files.
pub mod names {
    /// The outcome.
    pub const OUTCOME: &str = "ablation.json";
    /// The folder of the stages.
    pub const STAGES: &str = "stages";

    /// The overview of the first data that rows use, of the second, …, and the list of what was skipped.
    pub(crate) fn of_data(number: usize) -> [String; 2] {
        match number {
            1 => ["data.json".into(), "skipped.txt".into()],
            n => [format!("data-{n}.json"), format!("skipped-{n}.txt")],
        }
    }
}

/// Runs every row of `ablation` in the folder `out`, or goes on where an interrupted run stopped, and writes the outcome after each
/// row. `on_event` hears what happens.
///
/// # Errors
/// As [`crate::experiment::run()`], with [`Error::Busy`] for the folder of the comparison; finished stages are kept in every case.
pub fn ablate(
    ablation: &Ablation,
    out: &Path,
    gpu: &Gpu,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(Event),
) -> Result<Outcome> {
    let lock = FolderLock::take(out)?;
    let base = ablation.config(&[])?;
    let seeds = base.seeds.clone();
    let mut work = Work {
        ablation,
        base,
        gpu,
        stop,
        lock: &lock,
        out: out.join(names::STAGES),
        loaded: None,
        overviews: Vec::new(),
        index: 0,
        done: BTreeMap::new(),
        groups: BTreeSet::new(),
    };
    let adapter = gpu.profile().to_string();
    let stages = work.count()?;
    on_event(Event::Run { name: &ablation.name, adapter: &adapter, seeds: &seeds, stages, notes: &[] });
    // What the first row is trained on is told before anything is; other data when a row comes to them.
    let searched = ablation.searches.first().map(|s| &s.sets);
    let first = ablation.rows.first().map(|r| &r.sets).or(searched).map_or(&[][..], Vec::as_slice);
    work.inputs(&ablation.config(first)?, on_event)?;
    let mut outcome = Outcome::new(&ablation.name, &adapter, &seeds);
    let path = out.join(names::OUTCOME);
    for plan in &ablation.rows {
        on_event(Event::Row { name: &plan.name });
        let row = work.row(plan, &seeds, on_event)?;
        outcome.rows.push(row);
        write_atomic(&path, outcome.to_json()?.as_bytes())?;
    }
    for plan in &ablation.searches {
        on_event(Event::Row { name: &plan.name });
        let (chosen, trials) = search::run(&mut work, plan, seeds[0], on_event)?;
        let row = work.row(&chosen, &seeds, on_event)?;
        outcome.rows.push(row);
        outcome.searches.insert(plan.name.clone(), trials);
        write_atomic(&path, outcome.to_json()?.as_bytes())?;
    }
    if ablation.transfer {
        outcome.transfer = work.transfer(&seeds, on_event)?;
    }
    outcome.references(&work.groups, &work.done.values().collect::<Vec<_>>())?;
    outcome.define(work.done.values());
    write_atomic(&path, outcome.to_json()?.as_bytes())?;
    Ok(outcome)
}

/// Data that is loaded, and what it was loaded for.
struct Loaded {
    data: DataConfig,
    augment: AugmentConfig,
    inputs: Inputs,
    fingerprint: u64,
}

/// What the rows share.
struct Work<'a> {
    ablation: &'a Ablation,
    base: Config,
    gpu: &'a Gpu,
    stop: &'a AtomicBool,
    lock: &'a FolderLock,
    out: PathBuf,
    loaded: Option<Loaded>,
    /// Hashes of all data that were loaded, in that order.
    overviews: Vec<u64>,
    /// Stages so far.
    index: usize,
    /// Every stage that was asked for, by its name, seed and size; of those that agree in these the newest.
    done: BTreeMap<(String, u64, usize), StageResult>,
    /// Those that belong together.
    groups: BTreeSet<outcome::Group>,
}

/// The results of one configuration with one seed.
struct Cell {
    result: StageResult,
    singles: Vec<StageResult>,
}

/// Passes news on, with the stages counted over all rows; what is `known` already is not told again.
fn telling<'e>(
    known: &'e BTreeSet<String>,
    index: &'e mut usize,
    on_event: &'e mut dyn FnMut(Event),
) -> impl FnMut(Event) + 'e {
    move |event| match event {
        Event::Cached { label } if known.contains(label) => {}
        Event::Stage { label, epochs, steps, params, beside, macs, resumed, .. } => {
            *index += 1;
            on_event(Event::Stage { index: *index - 1, label, epochs, steps, params, beside, macs, resumed });
        }
        Event::Cached { .. } => {
            *index += 1;
            on_event(event);
        }
        other => on_event(other),
    }
}

impl Work<'_> {
    /// The data of a configuration, loaded once for those that agree on it.
    fn inputs(&mut self, config: &Config, on_event: &mut dyn FnMut(Event)) -> Result<(Inputs, u64)> {
        if let Some(l) = &self.loaded
            && l.data == config.data
            && l.augment == config.augment
        {
            let of = |name: &String| l.inputs.tasks.iter().find(|task| task.name == *name);
            let known = config.tasks.iter().filter_map(|(name, settings)| Some((settings, of(name)?)));
            known.into_iter().try_for_each(|(settings, task)| settings.check(task))?;
            return Ok((l.inputs.clone(), l.fingerprint));
        }
        let data = dataset::load(config)?;
        let augment = config.augment.augment();
        augment.check(&data.tasks)?;
        let fingerprint = data.fingerprint();
        if !self.overviews.contains(&fingerprint) {
            self.overviews.push(fingerprint);
            let overview = Overview::of(&data, &config.data.source);
            let [json, list] = names::of_data(self.overviews.len());
            let folder = self.out.parent().unwrap_or(&self.out);
            keep_overview(folder, [&json, &list], &overview, &listed(&data))?;
            // Notes are indented by whoever shows them.
            let lines: Vec<String> = config.notes.iter().cloned().chain(overview.lines(&list)).collect();
            lines.iter().for_each(|l| on_event(Event::Note { text: l.strip_prefix("  ").unwrap_or(l) }));
        }
        let inputs = Inputs::of_run(config, data);
        let (data, augment) = (config.data.clone(), config.augment);
        self.loaded = Some(Loaded { data, augment, inputs: inputs.clone(), fingerprint });
        Ok((inputs, fingerprint))
    }

    /// Trains one configuration with one seed, or finds it trained.
    fn cell(&mut self, config: &Config, stage: RowStage, seed: u64, on_event: &mut dyn FnMut(Event)) -> Result<Cell> {
        let (inputs, data_fingerprint) = self.inputs(config, on_event)?;
        let store = StageStore::Store(self.out.clone());
        let context = StageContext { gpu: self.gpu, store, inputs, data_fingerprint, stop: self.stop, lock: self.lock };
        let given = match stage {
            RowStage::Joint => TeacherSet::new(context.inputs.tasks.len()),
            RowStage::Distilled => context.given_teachers(config)?,
        };
        if stage == RowStage::Distilled {
            context.check_layers(config, &given, &self.ablation.base)?;
        }
        let known = self.known();
        let mut tell = telling(&known, &mut self.index, on_event);
        // The baseline is the run's own: a row is compared with networks of its student's size, trained as the run says.
        let mut baseline = config.clone();
        baseline.student.train = self.base.student.train.clone();
        let singles = Stages::new(&baseline, &context, TeacherSet::new(0), &mut tell, None).singles(seed)?;
        let mut all = singles.clone();
        let mut stages = Stages::new(config, &context, given, &mut tell, None);
        // Trained as the run says, they are also what the row's joint student is, where there is one task.
        let own = if config.student.train == baseline.student.train { singles.as_slice() } else { &[] };
        let result = match stage {
            RowStage::Joint => stages.joint(seed, own, None)?,
            RowStage::Distilled => {
                let mut teachers = stages.teachers(seed, &mut all)?;
                if config.teacher.kind == TeacherKind::Own {
                    all.push(stages.joint(seed, own, Some(&mut teachers))?);
                }
                let result = stages.distilled(seed, &teachers)?;
                teachers.check_unchanged(self.gpu)?;
                result
            }
        };
        for kind in ["single/", "teacher/"] {
            let own = all.iter().filter(|r| r.stage.starts_with(kind));
            self.groups.insert(own.map(|r| (r.stage.clone(), r.params)).collect());
        }
        self.groups.remove(&outcome::Group::new());
        for result in all.into_iter().chain([result.clone()]) {
            self.done.insert((result.stage.clone(), result.seed, result.params), result);
        }
        Ok(Cell { result, singles })
    }

    /// The labels of what rows share and was told of already.
    fn known(&self) -> BTreeSet<String> {
        let shared = self.done.keys().filter(|(name, ..)| name.contains('/'));
        shared.map(|(name, seed, _)| format!("seed {seed} · {name}")).collect()
    }

    fn row(&mut self, plan: &RowPlan, seeds: &[u64], on_event: &mut dyn FnMut(Event)) -> Result<Row> {
        let config = self.ablation.config(&plan.sets)?;
        let cells = seeds.iter().map(|seed| self.cell(&config, plan.stage, *seed, on_event));
        let cells = cells.collect::<Result<Vec<_>>>()?;
        Row::new(plan, &cells.iter().map(|c| (&c.result, c.singles.as_slice())).collect::<Vec<_>>())
    }

    /// Every two tasks together.
    fn transfer(&mut self, seeds: &[u64], on_event: &mut dyn FnMut(Event)) -> Result<Vec<Transfer>> {
        let config = self.base.clone();
        let (inputs, data_fingerprint) = self.inputs(&config, on_event)?;
        let known = self.known();
        let names: Vec<String> = inputs.tasks.iter().map(|t| t.name.clone()).collect();
        let store = StageStore::Store(self.out.clone());
        let context = StageContext { gpu: self.gpu, store, inputs, data_fingerprint, stop: self.stop, lock: self.lock };
        let mut all = Vec::new();
        for (i, j) in (0..names.len()).flat_map(|j| (0..j).map(move |i| (i, j))) {
            let mut cells = Vec::new();
            for seed in seeds {
                let mut tell = telling(&known, &mut self.index, on_event);
                let mut stages = Stages::new(&config, &context, TeacherSet::new(names.len()), &mut tell, None);
                let singles = stages.singles(*seed)?;
                cells.push((stages.pair(*seed, [i, j])?, singles));
            }
            all.extend(Transfer::both([&names[i], &names[j]], &cells)?);
        }
        Ok(all)
    }

    /// An upper bound of the stages: what rows share is counted once where that shows in their settings.
    fn count(&self) -> Result<usize> {
        let mut distinct: BTreeSet<String> = BTreeSet::new();
        let mut add = |sets: &[String], stage: RowStage, seeds: &[u64]| {
            let config = self.ablation.config(sets)?;
            let tasks = config.task_names().len();
            for seed in seeds {
                let student = format!("{:?}{:?}{:?}", config.data, config.augment, config.student.net);
                distinct.extend((0..tasks).map(|t| format!("single {t} {seed} {student}")));
                if stage == RowStage::Distilled {
                    let teachers = format!("{:?}{:?}{:?}", config.data, config.augment, config.teacher);
                    distinct.extend((0..config.trained_teachers()).map(|t| format!("teacher {t} {seed} {teachers}")));
                }
                let same = config.joint_is_single() && config.student.train == self.base.student.train;
                if stage == RowStage::Distilled || !same {
                    distinct.insert(format!("{stage:?} {seed} {}", config.to_toml()));
                }
            }
            Ok::<_, Error>(())
        };
        for row in &self.ablation.rows {
            add(&row.sets, row.stage, &self.base.seeds)?;
        }
        let mut trials = 0;
        for search in &self.ablation.searches {
            trials += plan::trials(search) + self.base.seeds.len();
        }
        let tasks = self.base.task_names().len();
        let pairs =
            if self.ablation.transfer { tasks * tasks.saturating_sub(1) / 2 * self.base.seeds.len() } else { 0 };
        Ok(distinct.len() + trials + pairs)
    }
}
