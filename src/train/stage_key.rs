//! What makes a trained network what it is: the key under which it is kept, and by which it is found again rather than trained anew.
//!
//! The key is a hash of settings as JSON, so the names of their fields are part of it: to rename one would lose every stored network.
//! The test below holds the keys of stored runs. Who changes what they say on purpose, because the same settings train another network
//! now, raises [`VERSION`].

use std::fmt;

use serde::Serialize;

use crate::Result;
use crate::checkpoint::to_json;
use crate::config::{
    AugmentConfig, BalanceConfig, CacheConfig, DistillConfig, EvaluateOn, NetConfig, Storage, TaskConfig,
    TeacherConfig, TeacherKind, TrainConfig,
};
use crate::hash;
use crate::train::teacher_set::TeacherAssignment;

/// What the same settings train: raised where they come to train something else. The first has no mark.
const VERSION: u32 = 1;

/// The key of a stage; without its name and seed, which its file's name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StageKey(u64);

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The settings of any stage. Its fields stand in this order, without their names.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings<'a>(
    /// The hash of the data.
    pub u64,
    pub &'a AugmentConfig,
    pub &'a NetConfig,
    pub &'a TrainConfig,
    /// The names of its tasks.
    pub Vec<&'a str>,
    /// How each is learnt, apart from its weight, which single-task networks do not have.
    pub Vec<TaskConfig>,
);

impl StageKey {
    pub(crate) fn new(settings: &Settings, evaluate_on: EvaluateOn) -> Result<Self> {
        // As the first version called it.
        let mut text = to_json(settings)?.replace("\"pos_weight\":", "\"positive_weights\":");
        if evaluate_on == EvaluateOn::Canvas {
            text += "measured on the canvas";
        }
        if VERSION > 1 {
            text += &format!("version {VERSION}");
        }
        Ok(StageKey(hash::fnv1a(text.as_bytes())))
    }

    /// The key of the same stage, its tasks weighted and balanced; `taught` is [`taught`] by whom, empty for labels alone.
    pub(crate) fn balanced(self, weights: &[f64], balance: &BalanceConfig, taught: &str) -> Result<Self> {
        Ok(StageKey(hash::extend(self.0, to_json(&(weights, balance, taught))?.as_bytes())))
    }
}

/// How a student is taught, and by whom: hashes of its teachers, and which of them teaches each task.
pub(crate) fn taught(
    distill: &DistillConfig,
    teachers: (&[u64], &[Vec<TeacherAssignment>]),
    teacher: &TeacherConfig,
    cache: &CacheConfig,
) -> Result<String> {
    let used: Vec<_> = distill.used().map(|(method, settings)| (method.name, settings)).collect();
    let mutual = (teacher.kind == TeacherKind::Mutual).then_some((&teacher.net, teacher.count));
    let mut text =
        to_json(&(used, distill.task_weight, distill.adaptor_lr_factor, teachers.0, lessons(teachers.1), mutual))?;
    // As the first version called it.
    text = text.replace("\"normalize\":", "\"normalise\":");
    // What is kept less precisely teaches something else.
    if cache.storage != Storage::None {
        text += &to_json(&(cache.storage, cache.k))?;
    }
    Ok(text)
}

/// Who teaches what, as the first version wrote it.
fn lessons(lessons: &[Vec<TeacherAssignment>]) -> String {
    let one = |l: &TeacherAssignment| {
        format!("Lesson {{ teacher: {}, head: {}, weight: {:?} }}", l.teacher, l.head, l.weight)
    };
    let task = |all: &Vec<TeacherAssignment>| format!("[{}]", all.iter().map(one).collect::<Vec<_>>().join(", "));
    format!("[{}]", lessons.iter().map(task).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// The demo as it was when its networks were stored under the keys below.
    const DEMO: &str = r#"
seeds = [0, 1, 2]
[data]
source = "digits"
canvas = [10, 10]
samples = { train = 1600, val = 400, test = 1500 }
[train]
epochs = 9
batch = 40
lr = 0.1
weight_decay = 5e-4
[teacher]
arch = "resnet8"
width = 1.0
[student]
arch = "resnet8"
width = 0.5
"#;

    fn key(config: &Config, tasks: &[&str], evaluate_on: EvaluateOn) -> StageKey {
        let (student, weight) = (&config.student, 1.0);
        let losses = tasks.iter().map(|t| TaskConfig { weight, ..config.tasks[*t].clone() }).collect();
        let data = 0xca16_9398_f033_d67f;
        let settings = Settings(data, &config.augment, &student.net, &student.train, tasks.to_vec(), losses);
        StageKey::new(&settings, evaluate_on).unwrap()
    }

    #[test]
    fn stored_networks_are_found_again() {
        let config = Config::parse(DEMO, "demo.toml".as_ref(), &[]).unwrap();
        let image = EvaluateOn::Image;
        assert_eq!(key(&config, &["first"], image).to_string(), "49ac16967d6884ed");
        assert_ne!(key(&config, &["first"], EvaluateOn::Canvas), key(&config, &["first"], image));
        let both = key(&config, &["first", "second"], image);
        let balanced = |taught: &str| both.balanced(&[1.0, 1.0], &config.balance, taught).unwrap().to_string();
        assert_eq!(balanced(""), "d5ebf384d451a772");
        let lessons = [0, 1].map(|teacher| vec![TeacherAssignment { teacher, head: 0, weight: 1.0 }]);
        let teachers = (&[0x05be_762a_132d_b625, 0xf572_8449_793d_98be][..], &lessons[..]);
        let by = taught(&config.distill, teachers, &config.teacher, &config.cache).unwrap();
        assert_eq!(balanced(&by), "b484a6a2f601a539");
    }

    #[test]
    fn lessons_are_written_as_they_were() {
        let one = |teacher, weight| TeacherAssignment { teacher, head: 1, weight };
        let all = vec![vec![one(0, 1.0), one(2, 0.25)], vec![]];
        assert_eq!(
            lessons(&all),
            "[[Lesson { teacher: 0, head: 1, weight: 1.0 }, Lesson { teacher: 2, head: 1, weight: 0.25 }], []]"
        );
    }
}
