//! limbeck: knowledge distillation on any GPU.

mod error;
pub mod shape;
pub mod twin;

pub use error::{Error, Result};
