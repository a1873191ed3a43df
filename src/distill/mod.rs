//! Losses against teachers, one file each, and the table that brings them to a run's file.
//!
//! A method is a file with its formula and source, and a row in [`METHODS`].

mod attention;
mod boxes;
mod channels;
mod cka;
mod config;
mod crd;
mod dist;
mod dkd;
mod feature;
mod imitation;
mod kd;
mod method;
mod pkt;
mod relation;
mod review;
mod rkd;
mod sigmoid;
mod similarity;
mod site;
mod spatial;
mod vid;

pub use attention::AttentionTransfer;
pub use boxes::BoxKd;
pub use channels::ChannelLoss;
pub use cka::Cka;
pub use config::MethodConfig;
pub use crd::Crd;
pub use dist::Dist;
pub use dkd::Dkd;
pub use feature::{Adaptor, FeatureLoss};
pub use imitation::{Imitation, Whereabouts};
pub use kd::Kd;
pub use method::{DistillInput, DistillLoss, Domain, FeatureKind, Key, Layers, Method, Setup};
pub use pkt::ProbabilisticTransfer;
pub use review::Review;
pub use rkd::{Relation, Rkd};
pub use sigmoid::SigmoidKd;
pub use similarity::SimilarityPreserving;
pub use site::{FeatureSite, TeacherOutputs, TeacherSite};
pub use vid::Vid;

/// Every method.
pub const METHODS: &[Method] = &[
    kd::KD,
    kd::STANDARDISED,
    dkd::DKD,
    dist::DIST,
    sigmoid::SIGMOID_KD,
    feature::FITNET,
    feature::NORMALISED,
    attention::AT,
    similarity::SP,
    rkd::DISTANCE,
    rkd::ANGLE,
    pkt::PKT,
    cka::CKA,
    vid::VID,
    channels::CWD,
    channels::PKD,
    imitation::FGFI,
    crd::CRD,
    review::REVIEW,
];

/// The method called `name`.
pub fn method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|m| m.name == name)
}
