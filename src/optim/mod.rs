//! Optimizers over a parameter arena, and learning-rate schedules.

mod optimizer;
mod schedule;

pub use optimizer::{Optimizer, Rule};
pub use schedule::{Curve, Schedule};

pub use crate::kernels::optimizer::{Adam, Sgd};
