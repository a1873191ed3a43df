//! From files to data sets and to what is measured on them, and the order of the crate's own files.

#[cfg(feature = "train")]
mod as_found;
#[cfg(feature = "train")]
mod coco;
#[cfg(feature = "formats")]
mod folders;
#[cfg(all(feature = "train", feature = "bench"))]
mod fuzz;
#[cfg(feature = "formats")]
mod idx;
#[cfg(feature = "train")]
mod labelme;
#[cfg(feature = "train")]
mod layouts;
#[cfg(feature = "train")]
mod masks;
#[cfg(feature = "train")]
mod members;
#[cfg(all(feature = "train", feature = "bench"))]
mod memory;
#[cfg(feature = "formats")]
mod metrics;
#[cfg(feature = "formats")]
mod pictures;
#[cfg(feature = "cli")]
#[path = "../support/program.rs"]
mod program;
#[cfg(all(feature = "train", feature = "bench"))]
#[path = "../support/readers.rs"]
mod readers;
#[cfg(feature = "train")]
mod real_data;
#[cfg(feature = "train")]
#[path = "../support/refusal_table.rs"]
mod refusal_table;
#[cfg(feature = "train")]
mod refusals;
mod structure;
#[cfg(feature = "train")]
#[allow(dead_code)] // the rest is for whole runs
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "train")]
mod table;
#[cfg(feature = "train")]
mod voc;
#[cfg(feature = "train")]
mod yolo;
