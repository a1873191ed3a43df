//! Whole runs, from a file of settings to what is stored and reported, and the program and the examples as a user meets them.

#[cfg(feature = "train")]
mod average;
#[cfg(feature = "train")]
mod cache;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "train")]
mod comparisons;
#[cfg(feature = "cli")]
mod crash_points;
#[cfg(feature = "train")]
mod dense;
#[cfg(feature = "train")]
mod dense_distill;
#[cfg(feature = "train")]
mod depth_maps;
#[cfg(feature = "report")]
mod evaluation;
mod examples;
#[cfg(feature = "train")]
mod failures;
#[cfg(feature = "train")]
mod interruption;
#[cfg(all(feature = "train", feature = "selftest"))]
mod lost_device;
#[cfg(feature = "train")]
mod methods;
#[cfg(feature = "report")]
mod one_task;
#[cfg(feature = "cli")]
mod predict;
#[path = "../support/program.rs"]
mod program;
#[cfg(feature = "cli")]
mod saved;
#[cfg(all(unix, feature = "cli"))]
mod signals;
#[cfg(feature = "train")]
mod stored;
#[cfg(feature = "train")]
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "train")]
mod teachers;
#[cfg(all(unix, feature = "cli"))]
mod torture;
#[cfg(feature = "train")]
mod trust;
