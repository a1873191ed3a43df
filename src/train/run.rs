//! A whole run: for every seed the teachers, the single-task baselines, the joint and the distilled student.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::checkpoint;
use super::config::Config;
use super::event::Event;
use super::feed::Feed;
use super::files::write_atomic;
use super::objective::{Objective, Teacher};
use super::session::Session;
use super::stage::{Bench, Finished, Stage};
use super::summary::{StageResult, Summary};
use super::{config, dataset};
use crate::balance::Fixed;
use crate::data::augment::Augment;
use crate::data::{Dataset, seed};
use crate::gpu::Gpu;
use crate::nn::Network;
use crate::{Error, Result};

/// The names of a run's files.
pub mod names {
    /// The complete configuration.
    pub const CONFIG: &str = "config.toml";
    /// One line per epoch.
    pub const METRICS: &str = "metrics.jsonl";
    /// The outcome.
    pub const SUMMARY: &str = "summary.json";
}

/// Runs everything `config` asks for in the folder `out`, goes on where an interrupted run stopped, and tells `on_event`
/// what happens. `stop` set to true ends the run at the next step, with everything saved.
///
/// # Errors
/// [`Error::Interrupted`] after `stop`; [`Error::NonFinite`] where a loss is no number; [`Error::Config`] where the folder
/// holds a run of another configuration; data, file and GPU errors. Finished stages are kept in every case.
pub fn run(
    config: &Config,
    out: &Path,
    gpu: &Gpu,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(Event),
) -> Result<Summary> {
    let resolved = out.join(names::CONFIG);
    check_claim(config, &resolved)?;
    let data = dataset::load(config)?;
    let augment = augmentation(config);
    augment.check(&data.tasks)?;
    let notes = notes(&data);
    let trained = data.tasks.iter().filter(|t| !config.teacher.paths.contains_key(&t.name)).count();
    let per_seed = trained + data.tasks.len() + 2;
    let (out, data_fingerprint) = (out.to_path_buf(), data.fingerprint());
    let bench = Bench { gpu, out, data_fingerprint, feed: Feed::new(data, augment), stop };
    let given = bench.given_teachers(config)?;
    bench.check_features(config, &given, &resolved)?;
    // Written only now, so that a run whose data or teachers cannot be read leaves nothing behind.
    if !resolved.exists() {
        write_atomic(&resolved, config.to_toml().as_bytes())?;
    }
    mend(&bench.out.join(names::METRICS))?;
    let adapter = gpu.profile().to_string();
    on_event(Event::Run {
        name: &config.name,
        adapter: &adapter,
        seeds: &config.seeds,
        stages: per_seed * config.seeds.len(),
        notes: &notes,
    });
    let mut run = Run { config, bench: &bench, given, on_event, journal: bench.out.join(names::METRICS), index: 0 };
    let mut results = Vec::new();
    for seed in &config.seeds {
        results.extend(run.seed(*seed)?);
    }
    let seconds = results.iter().map(|r| r.seconds).sum();
    let summary = Summary::from_results(&config.name, &adapter, &config.seeds, results, seconds)?;
    write_atomic(bench.out.join(names::SUMMARY), summary.to_json()?.as_bytes())?;
    Ok(summary)
}

/// The configuration's `[augment]` table.
pub(super) fn augmentation(config: &Config) -> Augment {
    let a = &config.augment;
    Augment { shift: a.shift as u32, flip: a.flip, noise: a.noise as f32 }
}

/// Skipped files, for the user to see first.
fn notes(data: &Dataset) -> Vec<String> {
    let mut notes = Vec::new();
    if !data.skipped.is_empty() {
        notes.push(match data.skipped.len() {
            1 => "1 file was skipped:".into(),
            n => format!("{n} files were skipped:"),
        });
        notes.extend(data.skipped.iter().map(|s| format!("  {}: {}", s.path.display(), s.reason)));
    }
    notes
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

struct Run<'a> {
    config: &'a Config,
    bench: &'a Bench<'a>,
    /// Ready-made teachers, by task.
    given: Vec<Option<Teacher>>,
    on_event: &'a mut dyn FnMut(Event),
    journal: PathBuf,
    index: usize,
}

impl Run<'_> {
    /// Every stage of one seed.
    fn seed(&mut self, seed: u64) -> Result<Vec<StageResult>> {
        let (config, tasks) = (self.config, self.bench.feed.tasks.len());
        let mut results = Vec::new();
        let mut teachers = Vec::new();
        for task in 0..tasks {
            let name = self.bench.feed.tasks[task].name.clone();
            if let Some(teacher) = &self.given[task] {
                teachers.push(teacher.clone());
                continue;
            }
            let stage =
                self.stage(format!("teacher/{name}"), seed, &config.teacher.net, &config.teacher.train, vec![task]);
            results.push(self.single(&stage)?);
            teachers.push(self.bench.load_teacher(&self.bench.path(&stage, ".safetensors"))?);
        }
        let student = &config.student;
        for task in 0..tasks {
            let name = format!("single/{}", self.bench.feed.tasks[task].name);
            let stage = self.stage(name, seed, &student.net, &student.train, vec![task]);
            results.push(self.single(&stage)?);
        }
        let balance = self.balance()?;
        let all: Vec<usize> = (0..tasks).collect();
        let stage = self.stage("joint".into(), seed, &student.net, &student.train, all.clone());
        let names = self.bench.task_names(&stage);
        let objective = Objective::labels(&names, &balance, student.train.label_smoothing);
        let network = self.bench.network(&stage, self.student_seed(seed))?;
        results.push(self.train(&stage, &network, &objective)?);
        let distill = &config.distill;
        let stage = self.stage("distilled".into(), seed, &student.net, &distill.train, all);
        let network = self.bench.network(&stage, self.student_seed(seed))?;
        let objective = Objective::distilled(
            self.bench.gpu,
            &names,
            &balance,
            distill.train.label_smoothing,
            distill,
            teachers.iter().collect(),
            &network,
            seed::derive(seed, "adaptors"),
        )?;
        results.push(self.train(&stage, &network, &objective)?);
        // What taught must be what was loaded.
        for (teacher, task) in teachers.iter().zip(&self.bench.feed.tasks) {
            if teacher.network.fingerprint(self.bench.gpu)? != teacher.fingerprint {
                return Err(Error::Invalid(format!(
                    "the frozen teacher of {} changed while it taught; please report this",
                    task.name
                )));
            }
        }
        Ok(results)
    }

    /// Joint and distilled student begin with the same weights and see the same batches, so that they differ by the
    /// distillation alone.
    fn student_seed(&self, seed: u64) -> u64 {
        seed::derive(seed, "student")
    }

    fn stage<'b>(
        &mut self,
        name: String,
        seed: u64,
        net: &'b config::NetConfig,
        train: &'b config::TrainConfig,
        tasks: Vec<usize>,
    ) -> Stage<'b> {
        let branch = if name.starts_with("teacher/") { name.as_str() } else { "student" };
        let data_seed = seed::derive(seed::derive(seed, branch), "data");
        self.index += 1;
        Stage { data_seed, name, seed, index: self.index - 1, net, train, tasks }
    }

    fn balance(&self) -> Result<Fixed> {
        let weight = |t: &crate::data::Task| self.config.tasks.get(&t.name).map_or(1.0, |w| *w as f32);
        Fixed::new(self.bench.feed.tasks.iter().map(weight).collect())
    }

    /// A network of one head, trained on labels.
    fn single(&mut self, stage: &Stage) -> Result<StageResult> {
        let init = match stage.name.starts_with("teacher/") {
            true => seed::derive(seed::derive(stage.seed, &stage.name), "init"),
            false => self.student_seed(stage.seed),
        };
        let network = self.bench.network(stage, init)?;
        let names = self.bench.task_names(stage);
        let objective = Objective::labels(&names, &Fixed::equal(1), stage.train.label_smoothing);
        self.train(stage, &network, &objective)
    }

    /// Trains a stage, or takes its result from an earlier run.
    fn train(&mut self, stage: &Stage, network: &Network, objective: &Objective) -> Result<StageResult> {
        let path = self.bench.path(stage, ".json");
        if path.exists() {
            let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "read", e))?;
            let finished: Finished = checkpoint::from_json(&path, &text)?;
            finished.check(self.bench.data_fingerprint, &objective.fingerprints(), &path)?;
            (self.on_event)(Event::Cached { label: &stage.label() });
            return Ok(finished.result);
        }
        let (on_event, journal) = (&mut *self.on_event, &self.journal);
        let mut tell = |event: Event| {
            if let Event::Epoch(record) = &event {
                append(journal, &record.to_line()?)?;
            }
            on_event(event);
            Ok(())
        };
        Session::open(self.bench, stage, network, objective, &mut tell)?.run()
    }
}

/// Cuts off the half line that a killed run or a full disk may have left at the journal's end: the next line would
/// otherwise be glued to it. Its epoch is run again, as the state is only saved after the line.
fn mend(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    if whole == bytes.len() {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).open(path).map_err(|e| Error::io(path, "open", e))?;
    file.set_len(whole as u64).map_err(|e| Error::io(path, "shorten", e))
}

/// Adds a line to the journal.
fn append(path: &Path, line: &str) -> Result<()> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    let mut file = opened.map_err(|e| Error::io(path, "open", e))?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(|e| Error::io(path, "append to", e))?;
    // The state that follows is synced too: the line must not be the one that a power cut loses.
    file.sync_data().map_err(|e| Error::io(path, "append to", e))
}
