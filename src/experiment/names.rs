//! The names of a run's files.

/// The complete configuration.
pub const CONFIG: &str = "config.toml";
/// One line per epoch.
pub const METRICS: &str = "metrics.jsonl";
/// The outcome.
pub const SUMMARY: &str = "summary.json";
/// What the data are, counted ([`super::Overview`]).
pub const DATA: &str = "data.json";
/// What was left out of the data, is incomplete, or is named nowhere, a line each; where there is such.
pub const SKIPPED: &str = "skipped.txt";
