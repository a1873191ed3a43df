//! Losses against frozen teachers, one file each, and the table that brings them to a run's file.
//!
//! A method is a file with its formula and source, and a row in [`METHODS`].

mod feature;
mod kd;
mod method;

pub use feature::{Adaptor, FeatureLoss};
pub use kd::Kd;
pub use method::{Distil, Domain, Given, Key, Layers, Look, Method, Setup, Tap, Taught};

/// Every method.
pub const METHODS: &[Method] = &[kd::KD, kd::STANDARDISED, feature::FITNET, feature::NORMALISED];

/// The method called `name`.
pub fn method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|m| m.name == name)
}
