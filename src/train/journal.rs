//! A run's journal: a line an epoch, whole or not there.

use std::fs::OpenOptions;
use std::path::Path;

use crate::files::{flush, shorten, write_all, write_atomic};
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
    shorten(&file, path, whole as u64).map_err(|e| Error::io(path, "shorten", e))
}

/// Removes the lines of a stage's epochs from `epoch` on, of which its stored state knows nothing: they will be run again.
pub(crate) fn truncate_stage(path: &Path, stage: &str, seed: u64, epoch: usize) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Place {
        stage: String,
        seed: u64,
        epoch: usize,
    }
    if !path.exists() {
        return Ok(());
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let repeated = |line: &&[u8]| {
        let place: Option<Place> = serde_json::from_slice(line).ok();
        place.is_some_and(|own| own.stage == stage && own.seed == seed && own.epoch >= epoch)
    };
    let kept: Vec<u8> =
        bytes.split_inclusive(|b| *b == b'\n').filter(|line| !repeated(line)).flatten().copied().collect();
    if kept.len() == bytes.len() { Ok(()) } else { write_atomic(path, &kept) }
}

/// Adds a line to the journal.
pub(crate) fn append(path: &Path, line: &str) -> Result<()> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    let mut file = opened.map_err(|e| Error::io(path, "open", e))?;
    write_all(&mut file, path, format!("{line}\n").as_bytes()).map_err(|e| Error::io(path, "append to", e))?;
    // The state that follows is synced too: the line must not be the one that a power cut loses.
    flush(&file, path).map_err(|e| Error::io(path, "append to", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_that_will_be_run_again_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        truncate_stage(&path, "joint", 0, 0).unwrap();
        let line =
            |stage: &str, seed: u64, epoch: usize| format!("{{\"stage\":{stage:?},\"seed\":{seed},\"epoch\":{epoch}}}");
        let all =
            [line("joint", 0, 0), line("joint", 1, 1), line("joint", 0, 1), "garbage".into(), line("single/a", 0, 1)];
        all.iter().for_each(|line| append(&path, line).unwrap());
        truncate_stage(&path, "joint", 0, 1).unwrap();
        let left = std::fs::read_to_string(&path).unwrap();
        assert_eq!(left.lines().collect::<Vec<_>>(), [&all[0], &all[1], &all[3], &all[4]]);
        truncate_stage(&path, "joint", 0, 1).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), left);
    }
}
