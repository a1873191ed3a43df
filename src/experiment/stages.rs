//! The stages of one seed: teachers, single-task baselines, the joint and the distilled student.

use std::path::Path;

use crate::Result;
use crate::checkpoint;
use crate::config::{Config, NetConfig, Storage, TaskConfig, TeacherKind, TrainConfig};
use crate::data::{Task, seed};
use crate::experiment::kind::StageKind;
use crate::files::{remove, write_atomic};
use crate::kernels::fcos::Level;
use crate::nn::Network;
use crate::tasks::TaskObjective;
use crate::train::event::Event;
use crate::train::journal::{append, truncate_partial_line, truncate_stage};
use crate::train::result::StageResult;
use crate::train::session::StageTrainer;
use crate::train::stage::{Finished, NETWORKS, Stage, StageContext};
use crate::train::stage_key::{self, Settings, StageKey};
use crate::train::teacher_set::{Teacher, TeacherSet};
use crate::train::terms::{DistillPlan, LossTerms};

/// Runs the stages of a configuration.
pub(crate) struct Stages<'a> {
    config: &'a Config,
    context: &'a StageContext<'a>,
    /// Ready-made teachers.
    given: TeacherSet,
    on_event: &'a mut dyn FnMut(Event),
    /// One for all stages; without it each has its own.
    journal: Option<&'a Path>,
    index: usize,
}

impl<'a> Stages<'a> {
    pub(crate) fn new(
        config: &'a Config,
        context: &'a StageContext<'a>,
        given: TeacherSet,
        on_event: &'a mut dyn FnMut(Event),
        journal: Option<&'a Path>,
    ) -> Self {
        Stages { config, context, given, on_event, journal, index: 0 }
    }

    /// The stages of these kinds of one seed, and those that they need.
    pub(crate) fn seed(&mut self, seed: u64, kinds: &[StageKind]) -> Result<Vec<StageResult>> {
        let needed = |kind: StageKind| kind.is_needed(kinds, self.config);
        let [teachers, single, joint] = [StageKind::Teachers, StageKind::Single, StageKind::Joint].map(needed);
        let mut results = Vec::new();
        let mut set = if teachers { self.teachers(seed, &mut results)? } else { self.given.clone() };
        let singles = if single { self.singles(seed)? } else { Vec::new() };
        let joint = if joint { Some(self.joint(seed, &singles, Some(&mut set))?) } else { None };
        results.extend(singles);
        results.extend(joint);
        if kinds.contains(&StageKind::Distilled) {
            results.push(self.distilled(seed, &set)?);
            // What taught must be what was loaded.
            set.check_unchanged(self.context.gpu)?;
        }
        Ok(results)
    }

    /// Tasks without ready-made teachers.
    fn open_tasks(&self) -> Vec<usize> {
        let open = |task: &usize| !self.config.teacher.paths.contains_key(&self.context.inputs.tasks[*task].name);
        self.all().into_iter().filter(open).collect()
    }

    fn all(&self) -> Vec<usize> {
        (0..self.context.inputs.tasks.len()).collect()
    }

    /// The tasks' settings.
    fn task_configs(&self) -> Vec<TaskConfig> {
        let one = |t: &Task| self.config.tasks.get(&t.name).cloned().unwrap_or_default();
        self.context.inputs.tasks.iter().map(one).collect()
    }

    /// The levels of a network's detectors.
    fn levels(&self, network: &Network) -> Vec<Level> {
        let [h, w, _] = self.context.inputs.image();
        network.detector_levels([h, w])
    }

    /// The tasks' weights. Among one task a weight says nothing: it would be a factor of the learning rate by another name, and
    /// make the joint student another network than the single-task one that it is.
    fn weights(&self) -> Vec<f64> {
        match self.task_configs().as_slice() {
            [_] => vec![1.0],
            several => several.iter().map(|t| t.weight).collect(),
        }
    }

    /// What a stage is to learn of its tasks; `weighted`: as the configuration weights them, otherwise all alike.
    fn objectives(&self, stage: &Stage, weighted: bool) -> Vec<TaskObjective<'a>> {
        let (context, configs, weights) = (self.context, self.task_configs(), self.weights());
        let objective = |t: &usize| TaskObjective {
            task: &context.inputs.tasks[*t],
            weight: if weighted { weights[*t] as f32 } else { 1.0 },
            config: configs[*t].clone(),
            frequencies: &context.inputs.targets[*t].frequencies,
            label_smoothing: stage.train.label_smoothing as f32,
        };
        stage.tasks.iter().map(objective).collect()
    }

    /// Trains the seed's teachers.
    pub(crate) fn teachers(&mut self, seed: u64, results: &mut Vec<StageResult>) -> Result<TeacherSet> {
        let (config, context, open) = (self.config, self.context, self.open_tasks());
        let groups: Vec<(String, Vec<usize>)> = match config.teacher.kind {
            TeacherKind::Single => open.iter().map(|t| (context.inputs.tasks[*t].name.clone(), vec![*t])).collect(),
            TeacherKind::Joint if !open.is_empty() => vec![("all".to_string(), open)],
            _ => Vec::new(),
        };
        let mut teachers = self.given.clone();
        for (name, tasks) in groups {
            for number in 1..=config.teacher.count {
                let name = match number {
                    1 => format!("teacher/{name}"),
                    n => format!("teacher/{name}-{n}"),
                };
                let init = seed::derive(seed::derive(seed, &name), "init");
                let stage = self.stage(name, seed, &config.teacher.net, &config.teacher.train, tasks.clone())?;
                results.push(self.labels(&stage, init, false)?);
                let teacher = teachers.add(context.load_teacher(&context.path(&stage, ".safetensors"))?);
                tasks.iter().enumerate().for_each(|(head, task)| teachers.assign(*task, teacher, head, 1.0));
            }
        }
        Ok(teachers)
    }

    /// Networks of the student's size, one for each task.
    pub(crate) fn singles(&mut self, seed: u64) -> Result<Vec<StageResult>> {
        let (context, student) = (self.context, &self.config.student);
        let mut results = Vec::new();
        for task in self.all() {
            let name = format!("single/{}", context.inputs.tasks[task].name);
            let stage = self.stage(name, seed, &student.net, &student.train, vec![task])?;
            // It stands for the joint student too, of which gradients may be asked for.
            let stage = Stage { probe: self.config.balance.probe && self.config.joint_is_single(), ..stage };
            results.push(self.labels(&stage, student_seed(seed), false)?);
        }
        Ok(results)
    }

    /// The student of two tasks alone, with equal weights.
    pub(crate) fn pair(&mut self, seed: u64, pair: [usize; 2]) -> Result<StageResult> {
        let (context, student) = (self.context, &self.config.student);
        let [a, b] = pair.map(|task| context.inputs.tasks[task].name.as_str());
        let stage = self.stage(format!("pair/{a}+{b}"), seed, &student.net, &student.train, pair.to_vec())?;
        let stage = Stage { probe: self.config.balance.probe, ..stage };
        self.labels(&stage, student_seed(seed), false)
    }

    /// The student of all tasks, without teachers; where it is to teach itself it joins the `teachers`. With one task it is not trained
    /// where it is among the `singles`, those of this configuration.
    pub(crate) fn joint(
        &mut self,
        seed: u64,
        singles: &[StageResult],
        teachers: Option<&mut TeacherSet>,
    ) -> Result<StageResult> {
        let (config, context) = (self.config, self.context);
        let stage = self.stage("joint".into(), seed, &config.student.net, &config.joint.train, self.all())?;
        let stage = self.balanced(stage, "")?;
        let stage = Stage { balance: stage.balance.filter(|_| !config.joint_is_single()), ..stage };
        let result = match singles {
            [single] if config.joint_is_single() => self.same(&stage, single)?,
            _ => self.labels(&stage, student_seed(seed), true)?,
        };
        if let (Some(teachers), TeacherKind::Own) = (teachers, config.teacher.kind) {
            let teacher = teachers.add(context.load_teacher(&context.path(&stage, ".safetensors"))?);
            self.open_tasks().into_iter().for_each(|task| teachers.assign(task, teacher, task, 1.0));
        }
        Ok(result)
    }

    /// The student of all tasks with its teachers.
    pub(crate) fn distilled(&mut self, seed: u64, teachers: &TeacherSet) -> Result<StageResult> {
        let (config, context, distill) = (self.config, self.context, &self.config.distill);
        let stage = self.stage("distilled".into(), seed, &config.student.net, &distill.train, self.all())?;
        let cache = (config.cache.storage != Storage::None).then_some(&config.cache);
        let stage = Stage { adaptor_lr_factor: distill.adaptor_lr_factor, cache, ..stage };
        let hashes: Vec<u64> = teachers.teachers.iter().map(|t| t.file_hash).collect();
        let how = stage_key::taught(distill, (&hashes, &teachers.lessons), &config.teacher, &config.cache)?;
        let stage = self.balanced(stage, &how)?;
        let network = context.network(&stage, student_seed(seed))?;
        let (tasks, objectives) = (context.task_names(&stage), self.objectives(&stage, true));
        let loss_terms = |teachers: &TeacherSet, student: &Network, seed: u64| {
            let (methods, task_weight) = (distill.used().collect(), distill.task_weight as f32);
            let (teachers, lessons) = (teachers.teachers.clone(), teachers.lessons.clone());
            let teaching = DistillPlan { methods, task_weight, teachers, lessons, seed };
            let [h, w, _] = context.inputs.image();
            LossTerms::with_teachers(context.gpu, &objectives, &student.detector_levels([h, w]), teaching, student)
        };
        let adaptors = seed::derive(seed, "adaptors");
        if config.teacher.kind != TeacherKind::Mutual {
            let terms = loss_terms(teachers, &network, adaptors)?;
            return self.train(&stage, vec![(network, terms)]);
        }
        // Everybody teaches everybody else, all tasks.
        let mut networks = vec![network];
        for k in 1..=config.teacher.count {
            let peer =
                Stage { net: &config.teacher.net, tasks: stage.tasks.clone(), name: stage.name.clone(), ..stage };
            networks.push(context.network(&peer, seed::derive_n(seed::derive(seed, "peer"), k as u64))?);
        }
        let [h, w, _] = context.inputs.image();
        let teaching = |own: usize| {
            let mut others = TeacherSet::new(tasks.len());
            for (k, network) in networks.iter().enumerate().filter(|(k, _)| *k != own) {
                let number = others.add(Teacher::peer(network, k, &tasks, [h, w]));
                (0..tasks.len()).for_each(|task| others.assign(task, number, task, 1.0));
            }
            loss_terms(&others, &networks[own], seed::derive_n(adaptors, own as u64))
        };
        let loss_terms = (0..networks.len()).map(teaching).collect::<Result<Vec<_>>>()?;
        self.train(&stage, networks.into_iter().zip(loss_terms).collect())
    }

    fn stage<'b>(
        &self,
        name: String,
        seed: u64,
        net: &'b NetConfig,
        train: &'b TrainConfig,
        tasks: Vec<usize>,
    ) -> Result<Stage<'b>> {
        let branch = if name.starts_with("teacher/") { name.as_str() } else { "student" };
        let data_seed = seed::derive(seed::derive(seed, branch), "data");
        let index = self.index;
        let names: Vec<&str> = tasks.iter().map(|t| self.context.inputs.tasks[*t].name.as_str()).collect();
        let configs = self.task_configs();
        let losses: Vec<_> = tasks.iter().map(|t| TaskConfig { weight: 1.0, ..configs[*t].clone() }).collect();
        let settings = Settings(self.context.data_fingerprint, &self.config.augment, net, train, names, losses);
        let key = StageKey::new(&settings, self.context.inputs.evaluate_on)?;
        let (balance, probe, cache, adaptor_lr_factor) = (None, false, None, 1.0);
        Ok(Stage { name, seed, index, key, net, train, tasks, data_seed, balance, probe, cache, adaptor_lr_factor })
    }

    /// A stage of all tasks as the configuration weights and balances them; `how` tells how it is taught.
    fn balanced<'b>(&self, stage: Stage<'b>, how: &str) -> Result<Stage<'b>>
    where
        'a: 'b,
    {
        let balance = &self.config.balance;
        let key = stage.key.balanced(&self.weights(), balance, how)?;
        Ok(Stage { key, balance: Some(balance), probe: balance.probe, ..stage })
    }

    /// Trains a stage on labels alone.
    fn labels(&mut self, stage: &Stage, init: u64, weighted: bool) -> Result<StageResult> {
        let network = self.context.network(stage, init)?;
        let loss_terms =
            LossTerms::of_objectives(self.context.gpu, &self.objectives(stage, weighted), &self.levels(&network))?;
        self.train(stage, vec![(network, loss_terms)])
    }

    /// Takes the single-task network for the joint student of its one task: the same beginning, batches and loss. It gets the files of
    /// the stage too, so that whoever asks for it by this name finds it. One that an earlier version did train stays.
    fn same(&self, stage: &Stage, single: &StageResult) -> Result<StageResult> {
        if let Some(result) = self.finished(stage, &[])? {
            return Ok(result);
        }
        let (context, student) = (self.context, &self.config.student);
        let own = self.stage(single.stage.clone(), stage.seed, &student.net, &student.train, stage.tasks.clone())?;
        // Whether there is an average is up to the settings.
        let kept = |ending: &&str| !ending.starts_with(".ema") || context.path(&own, ending).exists();
        for ending in NETWORKS.into_iter().filter(kept) {
            write_atomic(context.path(stage, ending), &checkpoint::read(&context.path(&own, ending))?)?;
        }
        let finished = Finished::load(&context.path(&own, ".json"))?;
        let (key, result) = (Some(stage.key.to_string()), StageResult { stage: stage.name.clone(), ..single.clone() });
        let finished = Finished { key, result, ..finished };
        // Last, as it marks the stage as finished.
        finished.store(&context.path(stage, ".json"))?;
        // Of an earlier version, interrupted while it trained this. A state that cannot be removed does no harm.
        let _ = remove(&context.path(stage, ".state.safetensors"));
        Ok(finished.result)
    }

    /// The result of a stage that was finished earlier, with teachers of these hashes.
    fn finished(&self, stage: &Stage, teachers: &[String]) -> Result<Option<StageResult>> {
        let path = self.context.path(stage, ".json");
        if !path.exists() {
            return Ok(None);
        }
        let finished = Finished::load(&path)?;
        finished.check(self.context, stage, teachers)?;
        // Of a process that was killed after it had stored the result. One that cannot be removed does no harm.
        let _ = remove(&self.context.path(stage, ".state.safetensors"));
        Ok(Some(finished.result))
    }

    /// Trains a stage, or takes its result from an earlier run: the first of these networks, the others learning along.
    fn train(&mut self, stage: &Stage, networks: Vec<(Network, LossTerms)>) -> Result<StageResult> {
        self.index += 1;
        let teachers = networks.first().map_or_else(Vec::new, |(_, terms)| terms.fingerprints());
        if let Some(result) = self.finished(stage, &teachers)? {
            (self.on_event)(Event::Cached { label: &stage.label() });
            return Ok(result);
        }
        let own = self.context.path(stage, ".jsonl");
        let (on_event, journal) = (&mut *self.on_event, self.journal.unwrap_or(&own));
        self.context.lock.check()?;
        truncate_partial_line(journal)?;
        let mut tell = |event: Event| {
            if let Event::Epoch(record) = &event {
                append(journal, &record.to_line()?)?;
            }
            on_event(event);
            Ok(())
        };
        let trainer = StageTrainer::open(self.context, stage, networks, &mut tell)?;
        truncate_stage(journal, &stage.name, stage.seed, trainer.finished_epochs())?;
        trainer.run()
    }
}

/// Joint and distilled student begin with the same weights and see the same batches, so that they differ by the distillation
/// alone.
fn student_seed(seed: u64) -> u64 {
    seed::derive(seed, "student")
}
