//! Weights of the tasks, one file per method.
//!
//! Methods on gradients need the [`Gramian`] alone and give weights `w`; the step descends along `Σ_k w_k g_k`.

mod aligned;
mod cagrad;
mod cone;
mod fixed;
mod gramian;
mod imtl;
mod mgda;
mod pcgrad;
mod solve;
#[cfg(test)]
mod tests;

pub use aligned::aligned_mtl;
pub use cagrad::CaGrad;
pub use cone::{dual_proj, upgrad};
pub use fixed::Fixed;
pub use gramian::Gramian;
pub use imtl::imtl_g;
pub use mgda::mgda;
pub use pcgrad::pcgrad;
