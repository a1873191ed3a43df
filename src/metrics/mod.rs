//! What is reported: accuracy, precision, recall and F1 of each task from one accumulated confusion matrix, their mean and
//! standard deviation over seeds, and the multi-task delta against single-task baselines. Everything in f64 on the CPU.

mod confusion;
mod delta;

pub use confusion::{ClassMetrics, Confusion, TaskMetrics};
pub use delta::{DELTA_M_DEFINITION, MeanStd, Measure, delta_m};
