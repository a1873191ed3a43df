//! The GPU: adapter and device, WGSL preprocessing and reflection, pipelines, buffer pool, recording and replay.
//!
//! The only module that names `wgpu` and the only one with `unsafe`. It knows buffers and shaders, nothing of tensors.

mod adapter;
mod builders;
mod cache_dir;
mod capture;
mod clock;
mod device;
mod expr;
mod layout;
mod matrix;
mod memory;
mod pipeline;
mod pipeline_store;
mod pool;
mod program;
mod record;
mod reflect;
mod tuned_variants;
mod warmup;
mod wgsl;

pub use adapter::{AdapterClass, Profile, devices};
pub use cache_dir::cache_dir;
pub use clock::{Clock, Timing};
pub use device::{Feature, Gpu, GpuStats, Options};
pub use matrix::Matrix;
pub use pool::{Buffer, PoolStats};
pub use program::{Program, ReplayedStep};
pub use record::{Launch, MAX_TURNS, View};
pub use reflect::{Binding, Interface, Module, Param, WordType, parse};
pub use tuned_variants::TunedVariants;
pub use wgsl::{Defines, Expanded, Source, preprocess};
