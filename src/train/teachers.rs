//! Teachers on their way from disk into a run.

use std::path::Path;

use super::checkpoint;
use super::config::{Config, Feature};
use super::objective::Teacher;
use super::stage::{Bench, network_spec};
use crate::data::{FNV_OFFSET, fnv1a};
use crate::nn::TrunkSpec;
use crate::{Error, Result};

impl Bench<'_> {
    /// The ready-made teachers of `[teacher.paths]`, by task; read before any work starts.
    pub(super) fn given_teachers(&self, config: &Config) -> Result<Vec<Option<Teacher>>> {
        let given = |(task, t): (usize, &crate::data::Task)| {
            config.teacher.paths.get(&t.name).map(|path| self.given_teacher(path, task)).transpose()
        };
        self.feed.tasks.iter().enumerate().map(given).collect()
    }

    /// Refuses feature distillation between trunks whose maps cannot be laid over each other.
    pub(super) fn check_features(&self, config: &Config, given: &[Option<Teacher>], path: &Path) -> Result<()> {
        if config.distill.feature == Feature::None {
            return Ok(());
        }
        let channels = self.feed.image()[2];
        let student = network_spec(&config.student.net, &[], channels)?.trunk;
        let trained = network_spec(&config.teacher.net, &[], channels)?.trunk;
        let form = |t: &TrunkSpec| (t.stages().len(), t.stem);
        for (teacher, task) in given.iter().zip(&self.feed.tasks) {
            let trunk = teacher.as_ref().map_or(trained, |t| t.trunk);
            if form(&trunk) != form(&student) {
                return Err(Error::Config {
                    path: path.to_path_buf(),
                    line: None,
                    key: "distill.feature".into(),
                    message: format!(
                        "the teacher of {:?} ({}, {} stages) and the student ({}, {} stages) have maps of different sizes; take \
                         both from one family with one stem, or set distill.feature = \"none\"",
                        task.name,
                        trunk.arch,
                        trunk.stages().len(),
                        student.arch,
                        student.stages().len()
                    ),
                });
            }
        }
        Ok(())
    }

    pub(super) fn load_teacher(&self, path: &Path) -> Result<Teacher> {
        let gpu = self.gpu;
        let (network, _) = checkpoint::load(gpu, path)?;
        let file_hash = fnv1a(FNV_OFFSET, &checkpoint::read(path)?);
        let (channels, trunk) = (network.stage_channels(), network.spec().trunk);
        let network = network.freeze(gpu)?;
        Ok(Teacher { fingerprint: network.fingerprint(gpu)?, network, channels, trunk, file_hash })
    }

    /// A ready-made teacher, checked against the task it is to teach.
    fn given_teacher(&self, path: &Path, task: usize) -> Result<Teacher> {
        let (_, card) = checkpoint::load(self.gpu, path)?;
        let want = &self.feed.tasks[task];
        let fits = card.tasks.len() == 1 && card.tasks[0].classes == want.classes && card.image == self.feed.image();
        if !fits {
            let message = format!(
                "cannot teach {:?}: it knows {} on images {:?}, needed is one task of {} classes on images {:?}",
                want.name,
                card.tasks
                    .iter()
                    .map(|t| format!("{:?} of {} classes", t.name, t.classes.len()))
                    .collect::<Vec<_>>()
                    .join(", "),
                card.image,
                want.classes.len(),
                self.feed.image()
            );
            return Err(Error::checkpoint(path, message));
        }
        if (&card.mean, &card.std) != (&self.feed.mean, &self.feed.std) {
            let message = "was trained on images normalised in another way; train it on the same data";
            return Err(Error::checkpoint(path, message));
        }
        self.load_teacher(path)
    }
}
