//! A file of settings: its text with the place of every key, typed access to its tables, and the files that it names. Whatever is
//! refused is refused with file, line, key and what to do.

mod origin;
mod paths;
mod read;

pub(crate) use origin::Origin;
pub(crate) use paths::{Files, absent};
pub(crate) use read::{Choice, Section, as_number, either, nearest};
