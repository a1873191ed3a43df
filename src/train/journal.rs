//! A run's journal: a line an epoch, whole or not there.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

/// Cuts off the half line that a killed run or a full disk may have left at the journal's end: the next line would
/// otherwise be glued to it. Its epoch is run again, as the state is only saved after the line.
pub(crate) fn truncate_partial_line(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    if whole == bytes.len() {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).open(path).map_err(|e| Error::io(path, "open", e))?;
    file.set_len(whole as u64).map_err(|e| Error::io(path, "shorten", e))
}

/// Adds a line to the journal.
pub(crate) fn append(path: &Path, line: &str) -> Result<()> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    let mut file = opened.map_err(|e| Error::io(path, "open", e))?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(|e| Error::io(path, "append to", e))?;
    // The state that follows is synced too: the line must not be the one that a power cut loses.
    file.sync_data().map_err(|e| Error::io(path, "append to", e))
}
