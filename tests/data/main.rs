//! From files to data sets and to what is measured on them, and the order of the crate's own files.

#[cfg(feature = "train")]
mod annotations;
#[cfg(feature = "formats")]
mod files;
#[cfg(feature = "formats")]
mod metrics;
#[cfg(feature = "train")]
mod real_data;
mod structure;
