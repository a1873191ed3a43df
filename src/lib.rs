//! limbeck: knowledge distillation on any GPU.

mod error;
pub mod gpu;
pub mod kernels;
pub mod shape;
pub mod tensor;
pub mod twin;

pub use error::{Error, Result};
