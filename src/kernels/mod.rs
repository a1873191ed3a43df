//! Launchers of the handwritten WGSL kernels: parameters, choice of variant, dispatch, and each kernel's cases.
//!
//! `shaders/x.wgsl`, `kernels/x.rs` and `reference/x.rs` belong together; a row of [`TABLE`] brings a kernel to the tests,
//! the shader validation and the benchmark.

/// Turns of loops that an invocation may spend on its part of a sum: half of [`MAX_TURNS`](crate::gpu::MAX_TURNS), so that there
/// is room for what surrounds it.
const PART: usize = 1 << 15;

pub mod adaptive_pool;
pub mod attention;
pub mod augment;
pub mod bank;
pub mod batch_norm;
pub mod binary_cross_entropy;
#[cfg(feature = "selftest")]
pub mod case;
pub mod concat;
pub mod confusion;
pub mod contrast;
pub mod conv2d;
pub mod correlation;
pub mod cross_entropy;
pub mod dice;
pub mod distill_kl;
pub mod dkd;
pub mod elementwise;
mod expect;
pub mod fcos;
pub mod feature_loss;
pub mod focal;
pub mod fuse;
pub mod gradient_norm;
pub mod gramian;
pub mod imitation;
pub mod linear;
mod loss_out;
pub mod normalize;
pub mod optimizer;
pub mod pkt;
pub mod pool;
pub mod reduce;
pub mod regression;
pub mod relabel;
pub mod relation;
pub mod resize;
pub mod rkd;
pub mod rows;
pub mod sigmoid_kl;
pub mod softmax;
#[cfg(feature = "selftest")]
mod table;
pub mod topk;
pub mod transpose;
pub mod vid;

pub use loss_out::LossOut;

#[cfg(feature = "selftest")]
pub use case::{Case, Check, Kernel, Permutation, Prepared, Size, Workload, no_workloads};
#[cfg(feature = "selftest")]
pub use table::TABLE;
