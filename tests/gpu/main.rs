//! What the GPU computes: kernels, networks and steps of training, against references, against PyTorch, and against themselves.
//!
//! All tests share this process; what one of them counts (buffers, bytes, dispatches) it counts on a device of its own.
#![cfg(feature = "selftest")]

#[cfg(all(feature = "bench", feature = "cli"))]
mod bench;
#[cfg(feature = "formats")]
mod bottleneck;
#[cfg(feature = "formats")]
mod dense;
mod dense_distill;
#[cfg(feature = "formats")]
mod golden_files;
#[cfg(feature = "formats")]
mod goldens;
mod kernels;
#[cfg(feature = "train")]
mod launches;
mod learners;
mod networks;
mod not_finite;
#[cfg(all(feature = "bench", feature = "cli"))]
#[path = "../support/program.rs"]
mod program;
#[cfg(feature = "formats")]
mod reference;
#[cfg(feature = "train")]
#[path = "../support/refusal_table.rs"]
mod refusal_table;
#[cfg(feature = "train")]
mod refusals;
#[cfg(feature = "train")]
mod replay;
#[cfg(feature = "train")]
mod support;
#[cfg(feature = "train")]
mod training;
