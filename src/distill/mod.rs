//! Losses against frozen teachers, one file each.

mod feature;
mod kd;

pub use feature::{Adaptor, FeatureLoss};
pub use kd::Kd;
