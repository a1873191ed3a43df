//! Networks.

pub mod arch;
