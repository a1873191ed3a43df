//! The GPU: adapter and device, WGSL preprocessing and reflection, pipelines, buffer pool, recording and replay.
//!
//! The only module that names `wgpu`, and the only one with `unsafe` but for the program's end at a second Ctrl-C. It knows buffers and shaders, nothing of tensors.

mod adapter;
mod builders;
mod cache_dir;
mod capture;
mod clock;
mod compiling;
mod device;
mod expr;
mod launch;
mod layout;
mod lock;
mod matrix;
mod memory;
mod open;
mod pipeline;
mod pipeline_store;
mod pool;
mod program;
mod provoke;
mod record;
mod reflect;
mod stamps;
mod tuned_variants;
mod view;
mod wait;
mod warmup;
mod wgsl;

pub use adapter::{AdapterClass, Feature, Matrix, Profile, devices};
pub use cache_dir::cache_dir;
pub use clock::{Clock, Timing};
pub use compiling::{CompileProgress, Compiling};
pub use device::{Gpu, GpuStats, Options};
pub use expr::Defines;
pub use launch::{Launch, MAX_TURNS};
pub use pool::{Buffer, PoolStats};
pub use program::{Program, ReplayedStep};
#[cfg(feature = "selftest")]
pub use provoke::DeviceFault;
pub use reflect::{Binding, Interface, Module, Param, WordType, parse};
pub use tuned_variants::TunedVariants;
pub use view::View;
pub use wait::is_caught;
pub use wgsl::{Expanded, Source, preprocess};
