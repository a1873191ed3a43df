//! Training: the run's file, its stages, what they report and what they leave on disk.

pub mod ablate;
mod apply;
mod balancing;
pub mod cache;
pub mod checkpoint;
pub mod config;
mod dataset;
pub mod event;
mod feed;
mod files;
mod judge;
mod objective;
mod progress;
mod run;
mod session;
mod stage;
mod stages;
mod step;
pub mod summary;
mod teachers;

pub use apply::{Classifier, Evaluation, Prediction, TaskPrediction, evaluate, predict};
pub use config::Config;
pub use event::{EpochRecord, Event};
pub use files::write_atomic;
pub use run::{names, run};
pub use step::Pulls;
pub use summary::{StageResult, Summary};
