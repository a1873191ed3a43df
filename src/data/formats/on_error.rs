//! Whether what cannot be used ends everything, or is left out.

use std::path::Path;

use crate::data::Skipped;
use crate::{Error, Result};

/// What is done with an entry that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum OnError {
    /// The whole file is refused.
    #[default]
    Fail,
    /// It is left out, counted and named.
    Skip,
}

impl OnError {
    /// Bears what is wrong at `place` of the file at `path`, or refuses the file for it.
    pub(super) fn refuse(self, path: &Path, place: &str, reason: &str, skipped: &mut Vec<Skipped>) -> Result<()> {
        match self {
            OnError::Skip => {
                skipped.push(Skipped::left_out(path, reason).at(place));
                Ok(())
            }
            OnError::Fail => {
                Err(Error::data(path, place, format!("{reason}; fix it, or set data.on_error = \"skip\"")))
            }
        }
    }
}
