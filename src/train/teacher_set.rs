//! The teachers of a student, and who teaches what.

#[cfg(feature = "train")]
use crate::Error;
use crate::Result;
use crate::gpu::Gpu;
use crate::hash;
use crate::kernels::fcos::Level;
use crate::nn::{Frozen, HeadMaps, Network};
use crate::train::inputs::Inputs;

/// A teacher: a frozen network, and what a loss must know of it.
#[derive(Debug, Clone)]
pub struct Teacher {
    /// The frozen network; `None` for one that is trained along with the student.
    pub(crate) network: Option<Frozen>,
    /// Channels of each stage's map.
    pub(crate) channels: Vec<usize>,
    /// Channels of the maps of each of its heads.
    pub(crate) heads: Vec<HeadMaps<usize>>,
    /// The levels of its detectors.
    pub(crate) levels: Vec<Level>,
    /// The tasks of its heads.
    pub(crate) tasks: Vec<String>,
    /// Hash of everything it computes with, on this adapter: must not change while it teaches.
    #[cfg_attr(not(feature = "train"), expect(dead_code, reason = "compared by the stages of a run alone"))]
    pub(crate) fingerprint: u64,
    /// Hash of its file: must be the same when a distillation is resumed, on whatever adapter.
    #[cfg_attr(not(feature = "train"), expect(dead_code, reason = "compared by the stages of a run alone"))]
    pub(crate) file_hash: u64,
}

/// Who teaches a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TeacherAssignment {
    /// The teacher, among all.
    pub teacher: usize,
    /// Its head for the task.
    pub head: usize,
    /// Its weight among the teachers of the task.
    pub weight: f32,
}

/// All teachers of a student, and who teaches what.
#[derive(Debug, Clone, Default)]
pub(crate) struct TeacherSet {
    pub teachers: Vec<Teacher>,
    /// By task.
    pub lessons: Vec<Vec<TeacherAssignment>>,
}

impl TeacherSet {
    /// No teachers yet, for so many tasks.
    pub(crate) fn new(tasks: usize) -> Self {
        TeacherSet { teachers: Vec::new(), lessons: vec![Vec::new(); tasks] }
    }

    /// Adds a teacher, or finds it among the others, and gives its number. One file is loaded and run once, however many tasks
    /// it teaches.
    #[cfg(feature = "train")]
    pub(crate) fn add(&mut self, teacher: Teacher) -> usize {
        if let Some(known) = self.teachers.iter().position(|t| t.file_hash == teacher.file_hash) {
            return known;
        }
        self.push(teacher)
    }

    /// Adds a teacher as one of its own, and gives its number.
    pub(crate) fn push(&mut self, teacher: Teacher) -> usize {
        self.teachers.push(teacher);
        self.teachers.len() - 1
    }

    /// Lets `teacher` teach `task` with its head of that number.
    pub(crate) fn assign(&mut self, task: usize, teacher: usize, head: usize, weight: f32) {
        self.lessons[task].push(TeacherAssignment { teacher, head, weight });
    }

    /// The stages of a lesson's teacher, and the maps of the head that gives it.
    #[cfg(feature = "train")]
    pub(crate) fn maps(&self, lesson: &TeacherAssignment) -> (usize, HeadMaps<()>) {
        let teacher = &self.teachers[lesson.teacher];
        let head = teacher.heads.get(lesson.head).map_or_else(HeadMaps::none, |head| HeadMaps {
            levels: vec![(); head.levels.len()],
            first: head.first,
            decoder: head.decoder.map(|_| ()),
            logits: head.logits.map(|_| ()),
        });
        (teacher.channels.len(), head)
    }

    /// Refuses teachers that are no longer what was loaded.
    #[cfg(feature = "train")]
    pub(crate) fn check_unchanged(&self, gpu: &Gpu) -> Result<()> {
        for teacher in &self.teachers {
            if let Some(network) = &teacher.network
                && network.fingerprint(gpu)? != teacher.fingerprint
            {
                let message = format!(
                    "the frozen teacher of {} changed while it taught; please report this",
                    teacher.tasks.join(", ")
                );
                return Err(Error::Invalid(message));
            }
        }
        Ok(())
    }
}

impl Teacher {
    /// `network` as it now is, for the data of `inputs`, on which it was trained.
    ///
    /// # Errors
    /// GPU errors.
    pub fn new(gpu: &Gpu, network: &Network, inputs: &Inputs) -> Result<Self> {
        let [h, w, _] = inputs.image();
        let tasks = network.spec().heads.iter().map(|head| head.task.clone()).collect();
        let (channels, heads, levels) =
            (network.stage_channels(), network.head_channels(), network.detector_levels([h, w]));
        let frozen = network.freeze(gpu)?;
        let fingerprint = frozen.fingerprint(gpu)?;
        let file_hash = fingerprint;
        Ok(Teacher { network: Some(frozen), channels, heads, levels, tasks, fingerprint, file_hash })
    }

    /// One that is trained along: number `k`, for these tasks, on images of that size.
    pub(crate) fn peer(network: &Network, k: usize, tasks: &[&str], image: [usize; 2]) -> Self {
        // It has no file that could change; what it began with hangs on the run's seed alone.
        let file_hash = hash::fnv1a(format!("peer {k}").as_bytes());
        let tasks = tasks.iter().map(|t| t.to_string()).collect();
        let (channels, heads) = (network.stage_channels(), network.head_channels());
        let levels = network.detector_levels(image);
        Teacher { network: None, channels, heads, levels, tasks, fingerprint: 0, file_hash }
    }
}
