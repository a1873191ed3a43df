//! Weights of the tasks, one file per method.

mod fixed;
mod gramian;
mod solve;

pub use fixed::Fixed;
pub use gramian::Gramian;
