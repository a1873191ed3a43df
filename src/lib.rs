//! limbeck: knowledge distillation on any GPU.

mod error;
pub mod gpu;
pub mod balance;
pub mod distill;
pub mod kernels;
pub mod loss;
pub mod nn;
pub mod optim;
pub mod params;
pub mod shape;
pub mod tape;
pub mod tensor;

pub use error::{Error, Result};
