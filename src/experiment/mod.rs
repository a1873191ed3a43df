//! Experiments: what a run's file asks for, stage by stage and seed by seed, comparisons of many, and what they find out.

pub mod ablation;
mod dataset;
mod kind;
pub mod names;
mod overview;
mod run;
mod stages;
pub mod summary;
mod teachers;
mod verify_cache;

pub use dataset::load as load_data;
pub use kind::StageKind;
pub use overview::{Counts, NameCount, Overview, PerSplit, TaskLabels, TaskOverview, YesNo};
pub use run::{run, run_only};
pub use summary::Summary;
pub use verify_cache::{Verified, verify as verify_cache};
