//! Teachers on their way from disk into a run.

use std::path::Path;

use crate::checkpoint::{self, ModelCard};
use crate::config::{Config, NetConfig, TeacherKind, head_maps};
use crate::data::TaskKind;
use crate::distill::{FeatureKind, FeatureSite, Layers};
use crate::hash;
use crate::nn::{HeadMaps, Network};
use crate::train::stage::StageContext;
use crate::train::teacher_set::{Teacher, TeacherSet};
use crate::{Error, Result};

impl StageContext<'_> {
    /// The ready-made teachers of `[teacher.paths]`; read before any work starts.
    pub(crate) fn given_teachers(&self, config: &Config) -> Result<TeacherSet> {
        let mut teachers = TeacherSet::new(self.inputs.tasks.len());
        for (task, t) in self.inputs.tasks.iter().enumerate() {
            for (i, path) in config.teacher.paths.get(&t.name).into_iter().flatten().enumerate() {
                let (teacher, head) = self.given_teacher(path, task)?;
                let number = teachers.add(teacher);
                let weight = config.teacher.weights.get(&t.name).and_then(|w| w.get(i)).copied().unwrap_or(1.0);
                teachers.assign(task, number, head, weight as f32);
            }
        }
        Ok(teachers)
    }

    /// Refuses, before any work, layers that a teacher has not, and methods that look at every layer of trunks that have not as many.
    pub(crate) fn check_layers(&self, config: &Config, given: &TeacherSet, path: &Path) -> Result<()> {
        self.check_named(config, given, path)?;
        let student = trunk_stages(&config.student.net)?;
        let mut teachers: Vec<usize> = given.teachers.iter().map(|t| t.channels.len()).collect();
        if config.trained_teachers() > 0 || config.teacher.kind == TeacherKind::Mutual {
            teachers.push(trunk_stages(&config.teacher.net)?);
        }
        for (method, settings) in config.distill.used() {
            let Some(teacher) = teachers.iter().find(|t| **t != student) else { break };
            if settings.layers.is_empty() && method.looks_at_all() {
                let kind = if method.look == FeatureKind::Map(Layers::Levels) { "level" } else { "layer" };
                let what = match config.teacher.kind {
                    TeacherKind::Mutual => {
                        format!("give `layers` that both have, such as [\"{kind}{}\"]", student.min(*teacher))
                    }
                    _ => format!(
                        "give `layers` and `teacher_layers`, such as [\"{kind}{student}\"] and [\"{kind}{teacher}\"]"
                    ),
                };
                return Err(Error::Config {
                    path: path.to_path_buf(),
                    line: None,
                    key: format!("distill.{}.layers", method.name),
                    message: format!(
                        "the student has {student} stages and a teacher {teacher}, so which belong together must be said; {what}"
                    ),
                });
            }
        }
        Ok(())
    }

    fn check_named(&self, config: &Config, given: &TeacherSet, path: &Path) -> Result<()> {
        let trained = match config.teacher.kind {
            TeacherKind::Own => &config.student.net,
            _ => &config.teacher.net,
        };
        let trained = trunk_stages(trained)?;
        for (method, settings) in config.distill.used() {
            let (key, names) = match settings.teacher_layers.is_empty() {
                true => ("layers", &settings.layers),
                false => ("teacher_layers", &settings.teacher_layers),
            };
            let used = self.inputs.tasks.iter().enumerate().filter(|(_, t)| settings.serves(method, &t.name, t.kind));
            for ((k, task), tap) in
                used.flat_map(|t| names.iter().filter_map(move |n| Some((t, FeatureSite::parse(n)?))))
            {
                let mut all: Vec<(usize, HeadMaps<()>)> = given.lessons[k].iter().map(|l| given.maps(l)).collect();
                if !config.teacher.paths.contains_key(&task.name) {
                    all.push((trained, head_maps(task.kind, trained)));
                }
                let lacking = all.iter().find(|(n, head)| tap.among(&vec![(); *n], Some(&()), head).is_none());
                if let Some((stages, head)) = lacking {
                    return Err(Error::Config {
                        path: path.to_path_buf(),
                        line: None,
                        key: format!("distill.{}.{key}", method.name),
                        message: tap.missing(&format!("a teacher of {}", task.name), *stages, head),
                    });
                }
            }
        }
        Ok(())
    }

    /// A teacher trained in this run.
    pub(crate) fn load_teacher(&self, path: &Path) -> Result<Teacher> {
        let (network, card) = checkpoint::load(self.gpu, path)?;
        self.teacher_of(path, &network, &card, None)
    }

    /// A teacher from its file. What its heads say of numbers is standardised by the labels it was trained on; from here on by those of
    /// this run. A head is of the task of its name, or of task number `only`.
    fn teacher_of(&self, path: &Path, network: &Network, card: &ModelCard, only: Option<usize>) -> Result<Teacher> {
        let gpu = self.gpu;
        let mut file_hash = hash::fnv1a(&checkpoint::read(path)?);
        let (channels, heads) = (network.stage_channels(), network.head_channels());
        let [h, w, _] = self.inputs.image();
        let levels = network.detector_levels([h, w]);
        let mut network = network.freeze(gpu)?;
        for (head, known) in card.tasks.iter().enumerate() {
            let target = only.or_else(|| self.inputs.tasks.iter().position(|t| t.name == known.name));
            let Some(target) = target.map(|t| &self.inputs.targets[t]).filter(|t| t.task.kind == known.kind) else {
                continue;
            };
            let moments = known.moments.unwrap_or((0.0, 1.0));
            if known.kind.is_numeric() && moments != target.moments {
                network.restandardise(gpu, head, moments, target.moments)?;
                // It says other numbers than its file does, also to a cache.
                let (mean, std) = target.moments;
                file_hash = hash::extend(file_hash, &[mean.to_le_bytes(), std.to_le_bytes()].concat());
            }
        }
        let tasks = card.tasks.iter().map(|t| t.name.clone()).collect();
        Ok(Teacher {
            fingerprint: network.fingerprint(gpu)?,
            network: Some(network),
            channels,
            heads,
            levels,
            tasks,
            file_hash,
        })
    }

    /// A ready-made teacher, checked against the task it is to teach, and its head for it: the one of that name, or the only
    /// one.
    fn given_teacher(&self, path: &Path, task: usize) -> Result<(Teacher, usize)> {
        let (network, card) = checkpoint::load(self.gpu, path)?;
        let want = &self.inputs.tasks[task];
        let named = card.tasks.iter().position(|t| t.name == want.name);
        let head = named.or((card.tasks.len() == 1).then_some(0));
        let fits = |head: &usize| {
            let known = &card.tasks[*head];
            (known.kind, &known.classes, card.image) == (want.kind, &want.classes, self.inputs.image())
        };
        let Some(head) = head.filter(fits) else {
            let of = |kind: TaskKind, classes: &[String]| match classes.len() {
                0 => format!("of kind {}", kind.name()),
                n => format!("of kind {} with {n} classes", kind.name()),
            };
            let known: Vec<String> =
                card.tasks.iter().map(|t| format!("{:?} {}", t.name, of(t.kind, &t.classes))).collect();
            let message = format!(
                "cannot teach {:?}: it knows {} on images {:?}, needed is that task, or one alone, {} and the same names on images {:?}",
                want.name,
                known.join(", "),
                card.image,
                of(want.kind, &want.classes),
                self.inputs.image()
            );
            return Err(Error::checkpoint(path, message));
        };
        if (&card.mean, &card.std) != (&self.inputs.mean, &self.inputs.std) {
            let message = "was trained on images normalised in another way; train it on the same data";
            return Err(Error::checkpoint(path, message));
        }
        Ok((self.teacher_of(path, &network, &card, named.is_none().then_some(task))?, head))
    }
}

fn trunk_stages(net: &NetConfig) -> Result<usize> {
    Ok(net.trunk()?.stages().len())
}
