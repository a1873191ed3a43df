//! A file of settings: its text with the place of every key, typed access to its tables, and the files that it names. Whatever is
//! refused is refused with file, line, key and what to do.

mod origin;
mod paths;
mod read;
mod table;

pub(crate) use origin::Origin;
pub(crate) use paths::{Files, absent};
pub(crate) use read::{Choice, Section, WEIGHT, as_number, either, is_weight, nearest};
pub use table::KeyRow;
pub(crate) use table::{Flag, KeyText, NOT_SET, Number, Numbers, OneOf, Optional, REQUIRED, Range, Rule, Whole, table};
