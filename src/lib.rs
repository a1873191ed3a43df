//! limbeck: knowledge distillation on any GPU.

pub mod data;
mod error;
pub mod metrics;
pub mod nn;
#[cfg(feature = "report")]
pub mod report;
pub mod shape;
#[cfg(feature = "train")]
pub mod train;

pub use error::{Error, Result};
