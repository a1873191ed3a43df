//! Training: the run's file, its stages, what they report and what they leave on disk.

pub mod ablate;
mod answer;
mod apply;
mod balancing;
pub mod cache;
pub mod checkpoint;
pub mod config;
mod dataset;
mod evaluate;
pub mod event;
mod feed;
mod heads;
mod judge;
mod labels;
mod layers;
mod objective;
mod overview;
mod progress;
mod run;
mod session;
mod stage;
mod stages;
mod step;
pub mod summary;
mod supervision;
mod tally;
mod teachers;

pub use answer::{Answer, Found, TaskPrediction};
pub use apply::{Classifier, Evaluation, Prediction, evaluate, predict};
pub use config::Config;
pub use dataset::load as load_data;
pub use event::{EpochRecord, Event};
pub use overview::{Counts, NameCount, Overview, PerSplit, TaskLabels, TaskOverview, YesNo};
pub use run::{names, run};
pub use step::Pulls;
pub use summary::{StageResult, Summary};
