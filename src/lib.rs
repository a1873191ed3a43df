//! limbeck: knowledge distillation on any GPU.

pub mod balance;
pub mod data;
pub mod distill;
mod error;
pub mod gpu;
pub mod kernels;
pub mod loss;
pub mod metrics;
pub mod nn;
pub mod optim;
pub mod params;
#[cfg(feature = "report")]
pub mod report;
pub mod shape;
pub mod tape;
pub mod tensor;
#[cfg(feature = "train")]
pub mod train;
pub mod twin;

pub use error::{Error, Result};
