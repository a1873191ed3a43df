//! Weights of the tasks, one file per method, and the table that brings them to a run's file.
//!
//! Methods on losses need their values, methods on gradients the [`Gramian`] alone; both give weights `w`, and the step descends
//! along `Σ_k w_k g_k`. A method is a file with its formula and source, and a row in [`METHODS`].

mod adam;
mod aligned;
mod cagrad;
mod cone;
mod config;
mod dwa;
mod fair;
mod famo;
mod gradnorm;
mod gradvac;
mod gramian;
mod imtl;
mod method;
mod mgda;
mod pcgrad;
mod simple;
mod solve;
mod stch;
#[cfg(test)]
mod tests;
mod uncertainty;

pub use aligned::aligned_mtl;
pub use cagrad::CaGrad;
pub use cone::{dual_proj, upgrad};
pub use config::{BalanceConfig, BalanceLevel, Over};
pub use fair::{fairgrad, nash_mtl};
pub use gradvac::gradvac;
pub use gramian::{Gramian, TOLERANCE};
pub use imtl::imtl_g;
pub use method::{Balance, Balancer, Key, Method, Needs, Seen, Setup};
pub use mgda::mgda;
pub use pcgrad::pcgrad;

/// The name of constant weights, which need no method: those of the run's file, all ones unless it says otherwise. Well tuned they
/// are a strong baseline (Xin et al. 2022, arXiv 2209.11379; Kurin et al. 2022, arXiv 2201.04122).
pub const FIXED: &str = "fixed";

/// Every method.
pub const METHODS: &[Method] = &[
    uncertainty::UNCERTAINTY,
    dwa::DWA,
    simple::RLW,
    simple::GLS,
    uncertainty::IMTL_L,
    stch::STCH,
    famo::FAMO,
    gradnorm::GRADNORM,
    mgda::MGDA,
    pcgrad::PCGRAD,
    gradvac::GRADVAC,
    cagrad::CAGRAD,
    imtl::IMTL_G,
    fair::NASH_MTL,
    aligned::ALIGNED_MTL,
    fair::FAIRGRAD,
    simple::DB_MTL,
    cone::UPGRAD,
    cone::DUAL_PROJ,
];

/// The method called `name`.
pub fn method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|m| m.name == name)
}
