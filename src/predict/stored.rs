//! What a run's folder holds: its seeds, and the network of each.

use std::path::{Path, PathBuf};

use crate::experiment::names;
use crate::{Error, Result};

/// The seeds that the run in `dir` has networks of, in ascending order.
///
/// # Errors
/// [`Error::Io`] for a folder that cannot be read, [`Error::Invalid`] for one that holds no run.
pub fn seeds(dir: &Path) -> Result<Vec<u64>> {
    Ok(folders(dir)?.into_iter().map(|(seed, _)| seed).collect())
}

/// The folders `seed-*` of a run, by seed.
pub(super) fn folders(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = std::fs::read_dir(dir).map_err(|e| Error::io(dir, "read", e))?;
    let seed = |path: PathBuf| Some((path.file_name()?.to_str()?.strip_prefix("seed-")?.parse().ok()?, path));
    let mut found: Vec<_> = entries.flatten().filter_map(|e| seed(e.path())).collect();
    found.sort();
    if found.is_empty() {
        return Err(Error::Invalid(format!(
            "{} holds no run: it has no seed-* folder; `limbeck run FILE.toml` makes one",
            dir.display()
        )));
    }
    Ok(found)
}

/// The seeds in the order in which the run trains them; none where its configuration cannot be read. Neither the rest of that nor the data
/// it names matters to a stored network.
pub(super) fn seed_order(dir: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(dir.join(names::CONFIG)).unwrap_or_default();
    let table: toml::Table = toml::from_str(&text).unwrap_or_default();
    let seeds = table.get("seeds").and_then(toml::Value::as_array).into_iter().flatten();
    seeds.filter_map(|seed| seed.as_integer()?.try_into().ok()).collect()
}

/// The file of `model` in one seed's folder.
pub(super) fn weights(folder: &Path, model: &str) -> Result<PathBuf> {
    let path = folder.join(format!("{}.safetensors", model.replace('/', "-")));
    if path.exists() {
        return Ok(path);
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "read", e))?;
    let name = |p: PathBuf| {
        let stem = p.file_name()?.to_str()?.strip_suffix(".safetensors")?.to_string();
        (!stem.contains('.')).then(|| stem.replacen('-', "/", 1))
    };
    let mut known: Vec<String> = entries.flatten().filter_map(|e| name(e.path())).collect();
    known.sort();
    Err(Error::Invalid(format!("{} has no model {model:?}; it has: {}", folder.display(), known.join(", "))))
}
