//! A cache held against the teachers it was made by.

use std::path::{Path, PathBuf};

use rand::RngExt;

use super::encoding::Part;
use super::store::{Key, Store};
use super::{folder, parts_of};
use crate::data::loader::Batch;
use crate::data::seed;
use crate::distill::{Spot, Taught};
use crate::gpu::Gpu;
use crate::train::checkpoint;
use crate::train::config::Config;
use crate::train::dataset;
use crate::train::feed::Feed;
use crate::train::run::{augmentation, names};
use crate::{Error, Result};

/// What was found in one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The file.
    pub file: PathBuf,
    /// The teacher's tasks.
    pub tasks: Vec<String>,
    /// Answers in the file.
    pub answers: u64,
    /// Those that were computed again.
    pub checked: usize,
    /// Those of them that differ from what the teacher says, in the precision of the file.
    pub wrong: usize,
}

/// Pictures shown to a teacher at once.
const BATCH: usize = 32;

/// Computes a random `part` (0..1, at least one answer) of every cache of the run in `dir` again; nothing where it has none.
///
/// # Errors
/// [`Error::Data`] for a file that is damaged, of other data, or whose teacher is not there; file, data and GPU errors.
pub fn verify(dir: &Path, part: f64, gpu: &Gpu) -> Result<Vec<Verified>> {
    let config = Config::load(&dir.join(names::CONFIG), &[])?;
    let data = dataset::load(&config)?;
    let fingerprint = format!("{:016x}", data.fingerprint());
    let feed = Feed::new(data, augmentation(&config));
    let caches = folder(dir);
    if !caches.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(&caches).map_err(|e| Error::io(&caches, "read", e))?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "cache")).collect();
    files.sort();
    let teachers = teachers(dir, &config)?;
    files.iter().map(|file| one(file, part, gpu, &feed, &fingerprint, &teachers)).collect()
}

/// Every network the run could have been taught by: its hash and its file.
fn teachers(dir: &Path, config: &Config) -> Result<Vec<(String, PathBuf)>> {
    let mut files: Vec<PathBuf> = config.teacher.paths.values().flatten().cloned().collect();
    for seed in &config.seeds {
        let folder = dir.join(format!("seed-{seed}"));
        let entries = std::fs::read_dir(&folder).map_err(|e| Error::io(&folder, "read", e))?;
        files.extend(entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "safetensors")));
    }
    let hash = |path: PathBuf| {
        let bytes = checkpoint::read(&path)?;
        Ok((format!("{:016x}", crate::data::fnv1a(crate::data::FNV_OFFSET, &bytes)), path))
    };
    files.into_iter().map(hash).collect()
}

fn one(file: &Path, part: f64, gpu: &Gpu, feed: &Feed, data: &str, teachers: &[(String, PathBuf)]) -> Result<Verified> {
    let mut store = Store::existing(file, u64::MAX)?;
    if store.header.data != data {
        return Err(Error::data(file, "header", "was made from other data than data.root holds now; remove it"));
    }
    let missing = || Error::data(file, "header", "its teacher is not in this run's folder; remove the file");
    let (_, path) = teachers.iter().find(|(hash, _)| *hash == store.header.teacher).ok_or_else(missing)?;
    let teacher = checkpoint::load(gpu, path)?.0.freeze(gpu)?;
    let mut keys = store.keys();
    let answers = keys.len() as u64;
    let wanted = ((part * answers as f64).ceil() as usize).clamp(1, keys.len().max(1)).min(keys.len());
    let mut rng = seed::stream(seed::derive(answers, "verify"));
    for i in 0..wanted {
        let j = rng.random_range(i..keys.len());
        keys.swap(i, j);
    }
    keys.truncate(wanted);
    let parts: Vec<Part> = store.header.parts.clone();
    let spots: Vec<Spot> = parts.iter().filter_map(|p| Spot::parse(&p.name)).collect();
    let mut wrong = 0;
    for chunk in keys.chunks(BATCH) {
        let taught = Taught::keep(teacher.infer(gpu, &pictures(gpu, feed, chunk)?)?, &spots)?;
        let tensors = parts_of(&taught, &spots)?;
        let values = tensors.iter().map(|(_, t)| t.to_f32(gpu)).collect::<Result<Vec<_>>>()?;
        for (i, key) in chunk.iter().enumerate() {
            let kept = store.get(key)?.unwrap_or_default();
            let same = parts.iter().zip(&values).zip(&kept).all(|((part, values), kept)| {
                let mut bytes = Vec::new();
                part.encode(&values[i * part.len..(i + 1) * part.len], &mut bytes);
                part.decode(&bytes).iter().map(|v| v.to_bits()).eq(kept.iter().map(|v| v.to_bits()))
            });
            wrong += usize::from(!same);
        }
    }
    let (file, tasks) = (file.to_path_buf(), store.header.tasks.clone());
    Ok(Verified { file, tasks, answers, checked: keys.len(), wrong })
}

/// The pictures of these keys as a teacher sees them.
fn pictures(gpu: &Gpu, feed: &Feed, keys: &[Key]) -> Result<crate::tensor::Tensor> {
    let indices: Vec<u32> = keys.iter().map(|k| k.sample).collect();
    if let Some(bad) = indices.iter().find(|i| **i as usize >= feed.train.len()) {
        return Err(Error::Invalid(format!("the cache knows sample {bad} of {}; remove it", feed.train.len())));
    }
    let split = feed.train.gather(&indices);
    let draws = keys.iter().map(Key::draw).collect();
    let batch = Batch { images: split.images.pixels, labels: split.labels, draws, valid: indices.len(), indices };
    let place = feed.place(gpu, &batch, &[])?;
    feed.training_input(gpu, &place)
}
