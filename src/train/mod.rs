//! Training: the run's file, its stages, what they report and what they leave on disk.

pub mod config;
pub mod event;
mod files;
pub mod summary;

pub use config::Config;
pub use event::{EpochRecord, Event};
pub use files::write_atomic;
pub use summary::{StageResult, Summary};
