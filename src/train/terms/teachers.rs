//! The terms of a student with teachers: each method against each teacher of each task.

use super::*;
use crate::data::seed;
use crate::distill::{Method, MethodConfig, Setup};
use crate::train::layers::{channels, parts};
use crate::train::teacher_set::{TeacherAssignment, TeacherSet};

/// What a student learns from beside the labels.
pub(crate) struct DistillPlan<'a> {
    /// The methods with their settings.
    pub methods: Vec<(&'static Method, &'a MethodConfig)>,
    /// The weight of the labels.
    pub task_weight: f32,
    /// Every teacher once.
    pub teachers: Vec<Teacher>,
    /// Who teaches each task.
    pub lessons: Vec<Vec<TeacherAssignment>>,
    /// Seed of the adaptors.
    pub seed: u64,
}

/// Refuses settings that would change nothing, or something else than they say.
fn check(methods: &[(&'static Method, MethodConfig)], objectives: &[TaskObjective]) -> Result<()> {
    for (method, config) in methods {
        let invalid = |message: String| Err(Error::Invalid(format!("{}: {message}", method.name)));
        if config.normalize && config.cap {
            return invalid("normalize and cap exclude each other; begin with MethodConfig::normalized".into());
        }
        let layers = config.layers.iter().chain(&config.teacher_layers);
        if let Some(layer) = layers.into_iter().find(|layer| FeatureSite::parse(layer).is_none()) {
            return invalid(format!("{layer:?} is no layer; layer2, pooled, decoder, logits and level2 are such"));
        }
        if !config.teacher_layers.is_empty() && config.teacher_layers.len() != config.layers.len() {
            return invalid("`layers` and `teacher_layers` are compared one by one and must be as many".into());
        }
        let known = |task: &&String| objectives.iter().any(|objective| objective.task.name == **task);
        if let Some(task) = config.tasks.iter().find(|task| !known(task)) {
            return invalid(format!("the student has no task {task:?}"));
        }
    }
    Ok(())
}

impl LossTerms {
    /// The same labels, and beside them `methods` against the teachers: every teacher of a task counts alike. What methods train beside
    /// the student is drawn from `seed`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a head of a task that the data of `inputs` does not have, a layer that a network does not have, layers that
    /// cannot be compared one by one, a task or a setting that is not there, and for `cap` together with `normalize`.
    pub fn distilled(
        gpu: &Gpu,
        inputs: &Inputs,
        student: &Network,
        teachers: &[Teacher],
        methods: &[(&'static Method, MethodConfig)],
        seed: u64,
    ) -> Result<Self> {
        let objectives = inputs.objectives(student)?;
        check(methods, &objectives)?;
        let mut set = TeacherSet::new(objectives.len());
        for teacher in teachers {
            let number = set.push(teacher.clone());
            for (task, objective) in objectives.iter().enumerate() {
                if let Some(head) = teacher.tasks.iter().position(|name| *name == objective.task.name) {
                    set.assign(task, number, head, 1.0);
                }
            }
        }
        let [h, w, _] = inputs.image();
        let TeacherSet { teachers, lessons } = set;
        let methods = methods.iter().map(|(method, config)| (*method, config)).collect();
        let plan = DistillPlan { methods, task_weight: 1.0, teachers, lessons, seed };
        Self::with_teachers(gpu, &objectives, &student.detector_levels([h, w]), plan, student)
    }

    /// The terms of learner number `own` of `networks`, which learn from each other (deep mutual learning: Zhang et al. 2018, arXiv
    /// 1706.00384): labels, and `methods` against what every other one says. Each of the networks gets terms of its own by this, and
    /// [`StepRecorder::step`](crate::train::StepRecorder::step) all learners, in this order.
    ///
    /// # Errors
    /// As [`LossTerms::distilled`]; [`Error::Invalid`] where there is no network of that number, and for methods with `cap` or `normalize`,
    /// which measure a single learner ([`MethodConfig::published`] has neither).
    pub fn mutual(
        gpu: &Gpu,
        inputs: &Inputs,
        networks: &[&Network],
        own: usize,
        methods: &[(&'static Method, MethodConfig)],
        seed: u64,
    ) -> Result<Self> {
        let student =
            networks.get(own).ok_or_else(|| Error::Invalid(format!("network {own} of {}", networks.len())))?;
        if let Some((method, _)) = methods.iter().find(|(_, config)| config.cap || config.normalize) {
            return Err(Error::Invalid(format!(
                "{}: cap and normalize do not go with learners that learn from each other; begin with MethodConfig::published",
                method.name
            )));
        }
        let [h, w, _] = inputs.image();
        let others = networks.iter().enumerate().filter(|(k, _)| *k != own);
        let peer = |(k, network): (usize, &&Network)| {
            let tasks: Vec<&str> = network.spec().heads.iter().map(|head| head.task.as_str()).collect();
            Teacher::peer(network, k, &tasks, [h, w])
        };
        let others: Vec<Teacher> = others.map(peer).collect();
        Self::distilled(gpu, inputs, student, &others, methods, seed)
    }

    /// Labels and teachers.
    pub(crate) fn with_teachers(
        gpu: &Gpu,
        objectives: &[TaskObjective],
        levels: &[Level],
        teaching: DistillPlan,
        student: &Network,
    ) -> Result<Self> {
        let DistillPlan { methods, task_weight, teachers, lessons, seed } = teaching;
        let mut made = Self::of_objectives(gpu, &[], levels)?;
        made.kept = vec![Vec::new(); teachers.len()];
        made.teachers = teachers;
        let (own, own_heads) = (student.stage_channels(), student.head_channels());
        let strides = student.strides();
        let mut draws = 0;
        for (task, objective) in objectives.iter().enumerate() {
            let (name, weight) = (&objective.task.name, objective.weight);
            made.push_labels(gpu, task, objective, weight * task_weight, levels)?;
            let total: f32 = lessons[task].iter().map(|l| l.weight).sum();
            for &(method, settings) in &methods {
                if !settings.serves(method, name, objective.task.kind) || settings.weight == 0.0 {
                    continue;
                }
                for (number, lesson) in lessons[task].iter().enumerate() {
                    let teacher = &made.teachers[lesson.teacher];
                    let pairs = settings.taps(method, own.len(), teacher.channels.len());
                    for (layer, taps) in parts(method, pairs) {
                        let mut term = format!("{name}/{}{layer}", method.name);
                        if lessons[task].len() > 1 {
                            term += &format!("#{}", number + 1);
                        }
                        let who = &made.teachers[lesson.teacher];
                        let there = (own.as_slice(), own_heads.get(task), who, lesson.head);
                        let (student, teacher) = channels(&term, &taps, there)?;
                        let setup = Setup {
                            gpu,
                            name: &format!("adaptors.{term}"),
                            task: objective.task.kind,
                            settings: &settings.settings,
                            student: &student,
                            teacher: &teacher,
                            strides: &strides,
                            levels: &who.levels,
                            seed: seed::derive_n(seed, draws),
                        };
                        draws += 1;
                        let loss = (method.make)(&setup)?;
                        made.tapped.extend(student.iter().map(|(tap, _)| *tap));
                        // Logits are kept in any case.
                        let taps = teacher.iter().map(|(tap, _)| *tap).filter(|tap| *tap != FeatureSite::Logits);
                        made.kept[lesson.teacher].extend(taps.map(|tap| TeacherSite::new(tap, lesson.head)));
                        made.names.push(term);
                        let factor = weight * settings.weight as f32 * lesson.weight / total;
                        made.terms.push(Term {
                            task,
                            factor,
                            full: factor,
                            part: 1.0,
                            warmup: settings.warmup_epochs,
                            task_weight: weight,
                            scaling: match settings {
                                MethodConfig { normalize: true, .. } => Scaling::Normalize,
                                MethodConfig { cap: true, weight, .. } => Scaling::Cap(*weight as f32),
                                _ => Scaling::None,
                            },
                            kind: Kind::Taught { loss, teacher: lesson.teacher, head: lesson.head },
                        });
                    }
                }
            }
        }
        for taps in &mut made.kept {
            taps.sort();
            taps.dedup();
        }
        Ok(made)
    }
}
