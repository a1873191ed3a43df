//! Networks on disk: safetensors with PyTorch's names and layouts, and beside them what is needed to use them.

mod bundle;
mod card;
mod seal;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::write_atomic;
use crate::gpu::Gpu;
use crate::hash;
use crate::nn::Network;
use crate::{Error, Result};

pub(crate) use bundle::{Bundle, Stored};
pub use card::{ModelCard, TaskCard};

/// Version of the metadata.
const SCHEMA: u32 = 2;

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(path, "read", e))
}

/// Stores `network` with its card.
///
/// # Errors
/// [`Error::Io`] where the file cannot be written; an earlier file of that name is then still there.
pub fn save(gpu: &Gpu, path: &Path, network: &Network, card: &ModelCard) -> Result<()> {
    let mut bundle = Bundle::default();
    bundle.add_network(gpu, network)?;
    bundle.write(path, &to_json(card)?)
}

/// Loads a network that [`save`] stored.
///
/// # Errors
/// [`Error::Io`], or [`Error::Checkpoint`] where the file is damaged or of another form.
pub fn load(gpu: &Gpu, path: &Path) -> Result<(Network, ModelCard)> {
    let bytes = read(path)?;
    let (stored, text) = Stored::parse(path, &bytes)?;
    let card: ModelCard = from_json(path, &text)?;
    if card.schema != SCHEMA {
        return Err(Error::checkpoint(path, format!("has form {}, this version reads {SCHEMA}", card.schema)));
    }
    let spec = card.spec(path)?;
    // Before anything of that size is made.
    let (least, has) = (card::least_weights(&spec), stored.values());
    if least > has {
        let message = format!(
            "is damaged: its card describes a network of more than {least} weights, and it has {has} values; restore a copy, or delete \
             it to start over"
        );
        return Err(Error::checkpoint(path, message));
    }
    let network = Network::new(gpu, spec, 0)?;
    stored.restore(gpu, &network)?;
    Ok((network, card))
}

/// Stores `value` as a JSON object with a hash of its own.
///
/// # Errors
/// [`Error::Io`]; an earlier file of that name is then still there.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_atomic(path, seal::seal(&to_json(value)?, hash::EMPTY).as_bytes())
}

/// What [`write_json`] stored.
///
/// # Errors
/// [`Error::Io`], or [`Error::Checkpoint`] where the file is damaged or of another form.
pub(crate) fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let bytes = read(path)?;
    from_json(path, &seal::unseal(path, &String::from_utf8_lossy(&bytes), hash::EMPTY)?)
}

/// The hash of a whole file.
pub(crate) fn file_hash(path: &Path) -> Result<String> {
    Ok(format!("{:016x}", hash::extend_words(hash::EMPTY, &read(path)?)))
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Invalid(format!("cannot be written as JSON: {e}")))
}

pub(crate) fn from_json<T: for<'a> Deserialize<'a>>(path: &Path, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| {
        let message =
            format!("its description cannot be read ({e}); it is damaged, or another version of limbeck wrote it");
        Error::checkpoint(path, message)
    })
}
