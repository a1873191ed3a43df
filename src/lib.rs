//! limbeck: knowledge distillation on any GPU.

pub mod data;
mod error;
pub mod metrics;
pub mod shape;

pub use error::{Error, Result};
