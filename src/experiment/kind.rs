//! The kinds of stages of a run, and which of them need which.

use crate::config::{Config, TeacherKind};

/// A kind of stage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageKind {
    /// The teachers.
    Teachers,
    /// A network of the student's size for each task.
    Single,
    /// The student of all tasks without teachers.
    Joint,
    /// The student with its teachers.
    Distilled,
}

impl StageKind {
    /// All of them, in the order in which they are trained.
    pub const ALL: [StageKind; 4] = [StageKind::Teachers, StageKind::Single, StageKind::Joint, StageKind::Distilled];

    /// Whether a run of `kinds` trains stages of this one: it is asked for, or another is made of it.
    pub(crate) fn is_needed(self, kinds: &[StageKind], config: &Config) -> bool {
        let of = |kind: StageKind| kinds.contains(&kind);
        of(self)
            || match self {
                StageKind::Teachers => of(StageKind::Distilled),
                StageKind::Single => config.joint_is_single() && StageKind::Joint.is_needed(kinds, config),
                StageKind::Joint => of(StageKind::Distilled) && config.teacher.kind == TeacherKind::Own,
                StageKind::Distilled => false,
            }
    }
}
