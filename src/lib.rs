//! limbeck: knowledge distillation on any GPU.

mod error;
pub mod gpu;
pub mod shape;

pub use error::{Error, Result};
