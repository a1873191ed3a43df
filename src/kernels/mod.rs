//! Launchers of the handwritten WGSL kernels: parameters, choice of variant, dispatch, and each kernel's cases.
//!
//! `shaders/x.wgsl`, `kernels/x.rs` and `twin/x.rs` belong together; a row of [`TABLE`] brings a kernel to the tests,
//! the shader validation and the benchmark.

pub mod case;
pub mod batch_norm;
pub mod conv2d;
pub mod elementwise;
pub mod gradient_norm;
pub mod linear;
pub mod optimizer;
pub mod reduce;

pub use case::{Case, Check, Kernel, Permutation};

/// Every kernel.
pub const TABLE: &[Kernel] = &[];
