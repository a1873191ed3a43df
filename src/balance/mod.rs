//! Weights of the tasks, one file per method.

mod fixed;

pub use fixed::Fixed;
