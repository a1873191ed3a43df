//! What a run's folder holds, read without the run: for tests that change such files at random.

use std::path::Path;

use super::cache::store::Store;
use super::stage::Finished;
use super::state::Progress;
use crate::Result;
use crate::checkpoint::{Stored, from_json, read};

/// Reads a file that a stage stored, as a run that goes on there would: all answers of a cache (`.cache`), the text of a half-finished stage
/// (`.state.safetensors`), and a finished stage's result (anything else).
///
/// # Errors
/// [`crate::Error::Io`], [`crate::Error::Data`] and [`crate::Error::Checkpoint`] for what is none of these.
pub fn read_stored(path: &Path) -> Result<()> {
    let ends = |ending: &str| path.to_string_lossy().ends_with(ending);
    if ends(".cache") {
        let mut store = Store::existing(path, u64::MAX)?;
        return store.keys().iter().try_for_each(|key| store.get(key).map(drop));
    }
    if ends(".state.safetensors") {
        let bytes = read(path)?;
        let (_, text) = Stored::parse(path, &bytes)?;
        // Whether it fits is up to the stage.
        let _ = from_json::<Progress>(path, &text)?.check(path, 4, 4, 4);
        return Ok(());
    }
    Finished::load(path).map(drop)
}
