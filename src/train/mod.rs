//! Training: a stage's loss, its steps and epochs, what it reports and what it leaves on disk.

mod balanced_step;
mod balancing;
pub(crate) mod cache;
mod evaluate;
pub mod event;
pub(crate) mod feed;
mod gradient_stats;
mod heads;
pub(crate) mod journal;
mod layers;
pub(crate) mod result;
pub(crate) mod session;
pub(crate) mod stage;
pub(crate) mod stage_key;
mod state;
pub(crate) mod step;
pub(crate) mod teacher_set;
pub(crate) mod terms;

pub use event::{EpochRecord, Event};
pub use gradient_stats::GradientStats;
pub use result::StageResult;
