//! Teachers' answers on disk, so that a picture is shown to a teacher once.
//!
//! An answer is found by the data set, the sample, how it was varied, the teacher's file, and what is kept of it. What is written
//! for the first time is read back in the precision of the file before the student sees it: a run that was interrupted, or that
//! finds answers of another run, sees the same numbers.

pub(crate) mod encoding;
pub(crate) mod store;

use std::path::{Path, PathBuf};

use encoding::Part;
use store::{Header, Key, Store};

use crate::config::{CacheConfig, Storage};
use crate::data::augment::Augment;
use crate::data::loader::Batch;
use crate::distill::{TeacherOutputs, TeacherSite};
use crate::files::remove;
use crate::gpu::Gpu;
use crate::tensor::Tensor;
use crate::train::terms::LossTerms;
use crate::{Error, Result};

/// The caches of all teachers of a stage.
pub(crate) struct TeacherCache {
    config: CacheConfig,
    folder: PathBuf,
    data: u64,
    /// One a teacher; opened with the first batch, when the answers' sizes are known.
    stores: Vec<Store>,
    hits: u64,
    misses: u64,
}

/// The tensors of a teacher's answers, and what they are called.
pub(crate) fn parts_of(taught: &TeacherOutputs, spots: &[TeacherSite]) -> Result<Vec<(String, Tensor)>> {
    let logits = taught.logits.iter().enumerate().map(|(i, t)| Ok((format!("logits {i}"), t.clone())));
    logits.chain(spots.iter().map(|spot| Ok((spot.to_string(), taught.at(*spot)?.clone())))).collect()
}

fn layout(config: &CacheConfig, tensors: &[(String, Tensor)], batch: usize) -> Vec<Part> {
    let part = |(name, tensor): &(String, Tensor)| {
        let (len, logits) = (tensor.len() / batch.max(1), name.starts_with("logits"));
        let storage = if config.storage == Storage::TopK && !logits { Storage::F16 } else { config.storage };
        let k = if storage == Storage::TopK { config.k.min(len) } else { 0 };
        Part { name: name.clone(), len, storage, k }
    };
    tensors.iter().map(part).collect()
}

impl TeacherCache {
    /// In `folder`, for the data set of that hash.
    pub(crate) fn new(config: &CacheConfig, folder: PathBuf, data: u64) -> Self {
        TeacherCache { config: config.clone(), folder, data, stores: Vec::new(), hits: 0, misses: 0 }
    }

    /// Answers that were found, and that teachers had to give.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    /// Opens the files, now that `taught` shows what answers look like; tells for each what it may come to, before anything is
    /// written.
    pub(crate) fn open(
        &mut self,
        loss_terms: &LossTerms,
        taught: &[TeacherOutputs],
        (batch, samples, epochs): (usize, usize, usize),
        augment: &Augment,
        tell: &mut dyn FnMut(String) -> Result<()>,
    ) -> Result<()> {
        if !self.stores.is_empty() {
            return Ok(());
        }
        let reach = 2 * augment.shift as u64 + 1;
        let variants = reach * reach * if augment.flip { 2 } else { 1 };
        let pictures = samples as u64 * variants.min(epochs as u64);
        let most = self.config.max_mb as u64 * 1_000_000;
        let share = most / loss_terms.teachers().len().max(1) as u64;
        let mut plans: Vec<(PathBuf, Header)> = Vec::new();
        let mut wanted = 0;
        for ((teacher, spots), taught) in loss_terms.teachers().iter().zip(loss_terms.kept()).zip(taught) {
            let parts = layout(&self.config, &parts_of(taught, spots)?, batch);
            let (data, tasks) = (format!("{:016x}", self.data), teacher.tasks.clone());
            let header = Header { data, teacher: format!("{:016x}", teacher.file_hash), tasks, batch, parts };
            let text = crate::checkpoint::to_json(&header)?;
            let name = crate::hash::fnv1a(text.as_bytes());
            let path = self.folder.join(format!("{name:016x}.cache"));
            let record = header.record() as u64;
            let room = (share / record).min(pictures);
            wanted += room * record;
            tell(format!(
                "teacher cache of {}: up to {room} of {pictures} pictures, {record} bytes each, {:.1} MB in {}",
                teacher.tasks.join(", "),
                (room * record) as f64 / 1e6,
                path.display()
            ))?;
            plans.push((path, header));
        }
        let own: Vec<&Path> = plans.iter().map(|(path, _)| path.as_path()).collect();
        for path in make_room(&self.folder, &own, most.saturating_sub(wanted))? {
            tell(format!("removed {}, a cache of other answers, to stay within cache.max_mb", path.display()))?;
        }
        for (path, header) in plans {
            self.stores.push(Store::open(&path, header, share)?);
        }
        Ok(())
    }

    fn keys(batch: &Batch) -> Vec<Key> {
        batch.indices.iter().zip(&batch.draws).map(|(sample, draw)| Key::of(*sample, draw)).collect()
    }

    /// Puts the answers about `batch` where the student reads them, if all of them are known.
    pub(crate) fn find(
        &mut self,
        gpu: &Gpu,
        batch: &Batch,
        loss_terms: &LossTerms,
        taught: &[TeacherOutputs],
    ) -> Result<bool> {
        let keys = Self::keys(batch);
        if !self.stores.iter().all(|store| keys.iter().all(|key| store.has(key))) {
            self.misses += keys.len() as u64;
            return Ok(false);
        }
        for ((store, spots), taught) in self.stores.iter_mut().zip(loss_terms.kept()).zip(taught) {
            let tensors = parts_of(taught, spots)?;
            let mut values: Vec<Vec<f32>> = tensors.iter().map(|(_, t)| Vec::with_capacity(t.len())).collect();
            for key in &keys {
                let rows =
                    store.get(key)?.ok_or_else(|| Error::Invalid("an answer has vanished from the cache".into()))?;
                values.iter_mut().zip(rows).for_each(|(all, row)| all.extend(row));
            }
            tensors.iter().zip(&values).try_for_each(|((_, tensor), values)| tensor.write_f32(gpu, values))?;
        }
        self.hits += keys.len() as u64;
        Ok(true)
    }

    /// Keeps what the teachers have just said of `batch`, as far as there is room, and puts what is kept in its place.
    pub(crate) fn keep(
        &mut self,
        gpu: &Gpu,
        batch: &Batch,
        loss_terms: &LossTerms,
        taught: &[TeacherOutputs],
    ) -> Result<()> {
        let keys = Self::keys(batch);
        for ((store, spots), taught) in self.stores.iter_mut().zip(loss_terms.kept()).zip(taught) {
            if store.count() >= store.most() && !keys.iter().any(|key| store.has(key)) {
                continue;
            }
            let tensors = parts_of(taught, spots)?;
            let mut values = tensors.iter().map(|(_, t)| t.to_f32(gpu)).collect::<Result<Vec<Vec<f32>>>>()?;
            let lens: Vec<usize> = store.header.parts.iter().map(|p| p.len).collect();
            for (i, key) in keys.iter().enumerate() {
                let rows: Vec<&[f32]> = values.iter().zip(&lens).map(|(v, len)| &v[i * len..(i + 1) * len]).collect();
                if !store.put(*key, &rows)? {
                    continue;
                }
                if let Some(rows) = store.get(key)? {
                    for ((v, len), row) in values.iter_mut().zip(&lens).zip(rows) {
                        v[i * len..(i + 1) * len].copy_from_slice(&row);
                    }
                }
            }
            if self.config.storage != Storage::F32 {
                tensors.iter().zip(&values).try_for_each(|((_, tensor), values)| tensor.write_f32(gpu, values))?;
            }
        }
        Ok(())
    }
}

/// Removes caches in `folder`, those that were written longest ago first, until all but `own` are `room` bytes at most; gives those
/// that were removed.
fn make_room(folder: &Path, own: &[&Path], room: u64) -> Result<Vec<PathBuf>> {
    let mut others = Vec::new();
    for path in files(folder)?.into_iter().filter(|path| !own.contains(&path.as_path())) {
        let about = path.metadata().map_err(|e| Error::io(&path, "read", e))?;
        let written = about.modified().map_err(|e| Error::io(&path, "read", e))?;
        others.push((written, about.len(), path));
    }
    others.sort();
    let mut whole: u64 = others.iter().map(|(_, len, _)| len).sum();
    let mut removed = Vec::new();
    for (_, len, path) in others {
        if whole <= room {
            break;
        }
        remove(&path)?;
        whole -= len;
        removed.push(path);
    }
    Ok(removed)
}

/// The caches in `folder`, sorted; none where there is no folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "read", e))?;
    let caches = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "cache"));
    let mut all: Vec<PathBuf> = caches.collect();
    all.sort();
    Ok(all)
}

/// The caches of a run's folder.
pub(crate) fn folder(out: &Path) -> PathBuf {
    out.join("cache")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_oldest_caches_of_others_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // Names do not tell their age.
        for (age, name) in [(4, "own.cache"), (3, "z.cache"), (2, "a.cache"), (1, "m.cache"), (5, "note.txt")] {
            let file = std::fs::File::create(path(name)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(1000 * age)).unwrap();
        }
        let own = path("own.cache");
        let free = |room| make_room(folder.path(), &[&own], room).unwrap();
        assert!(free(300).is_empty());
        assert_eq!(free(299), [path("z.cache")]);
        assert_eq!(free(0), [path("a.cache"), path("m.cache")]);
        assert!(own.exists() && path("note.txt").exists());
        assert!(make_room(&path("nowhere"), &[], 0).unwrap().is_empty());
    }
}
