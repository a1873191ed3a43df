//! A cache held against the teachers it was made by.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use rand::RngExt;

use crate::checkpoint;
use crate::config::Config;
use crate::data::loader::Batch;
use crate::data::seed;
use crate::distill::{TeacherOutputs, TeacherSite};
use crate::experiment::dataset;
use crate::experiment::names;
use crate::gpu::Gpu;
use crate::nn::Frozen;
use crate::train::cache::encoding::Part;
use crate::train::cache::store::{Key, Store};
use crate::train::cache::{files, folder, parts_of};
use crate::train::folder_lock::FolderLock;
use crate::train::inputs::Inputs;
use crate::train::stage::{StageContext, StageStore};
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

/// Computes a random `part` (0..1, at least one answer) of every cache of the run in `dir` again; nothing where it has none.
///
/// # Errors
/// [`Error::Busy`] while a run is at work in the folder; [`Error::Data`] for a file that is damaged, of other data, or whose teacher is not there; file, data and GPU errors.
pub fn verify(dir: &Path, part: f64, gpu: &Gpu) -> Result<Vec<Verified>> {
    let config = Config::load(&dir.join(names::CONFIG), &[])?;
    // A file that ends in half a record is cut, which nobody may be writing.
    let lock = FolderLock::take(dir)?;
    let data = dataset::load(&config)?;
    let data_fingerprint = data.fingerprint();
    let inputs = Inputs::of_run(&config, data);
    let (store, stop) = (StageStore::Run(dir.to_path_buf()), AtomicBool::new(false));
    let context = StageContext { gpu, store, inputs, data_fingerprint, stop: &stop, lock: &lock };
    let files = files(&folder(dir))?;
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let teachers = teachers(dir, &config)?;
    files.iter().map(|file| one(file, part, &context, &config, &teachers)).collect()
}

/// Every network that the run has trained so far: the hash of its file, and the file.
fn teachers(dir: &Path, config: &Config) -> Result<Vec<(String, PathBuf)>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let folders = config.seeds.iter().map(|seed| dir.join(format!("seed-{seed}")));
    // Of an interrupted run the later seeds have none.
    for folder in folders.filter(|folder| folder.is_dir()) {
        let entries = std::fs::read_dir(&folder).map_err(|e| Error::io(&folder, "read", e))?;
        files.extend(entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "safetensors")));
    }
    let hash = |path: PathBuf| {
        let bytes = checkpoint::read(&path)?;
        Ok((format!("{:016x}", crate::hash::fnv1a(&bytes)), path))
    };
    files.into_iter().map(hash).collect()
}

/// The teacher of that hash: one that the run has trained, or a ready-made one as it speaks in this run.
fn teacher(
    hash: &str,
    context: &StageContext,
    config: &Config,
    trained: &[(String, PathBuf)],
) -> Result<Option<Frozen>> {
    if let Some((_, path)) = trained.iter().find(|(own, _)| own == hash) {
        return Ok(context.load_teacher(path)?.network);
    }
    let given = context.given_teachers(config)?.teachers;
    Ok(given.into_iter().find(|t| format!("{:016x}", t.file_hash) == hash).and_then(|t| t.network))
}

fn one(
    file: &Path,
    part: f64,
    context: &StageContext,
    config: &Config,
    trained: &[(String, PathBuf)],
) -> Result<Verified> {
    let (gpu, inputs) = (context.gpu, &context.inputs);
    let mut store = Store::existing(file, u64::MAX)?;
    if store.header.data != format!("{:016x}", context.data_fingerprint) {
        return Err(Error::data(file, "header", "was made from other data than data.root holds now; remove it"));
    }
    let missing = || Error::data(file, "header", "its teacher is not in this run's folder; remove the file");
    let teacher = teacher(&store.header.teacher, context, config, trained)?.ok_or_else(missing)?;
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
    let spots: Vec<TeacherSite> = parts.iter().filter_map(|p| TeacherSite::parse(&p.name)).collect();
    let mut wrong = 0;
    let batch = store.header.batch.max(1);
    for chunk in keys.chunks(batch) {
        // As many at once as when they were kept; the last ones again and again.
        let shown: Vec<Key> = chunk.iter().cycle().take(batch).copied().collect();
        let taught = TeacherOutputs::keep(teacher.infer(gpu, &pictures(gpu, inputs, &shown)?)?, &spots)?;
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
fn pictures(gpu: &Gpu, inputs: &Inputs, keys: &[Key]) -> Result<crate::tensor::Tensor> {
    let indices: Vec<u32> = keys.iter().map(|k| k.sample).collect();
    if let Some(bad) = indices.iter().find(|i| **i as usize >= inputs.train.len()) {
        return Err(Error::Invalid(format!("the cache knows sample {bad} of {}; remove it", inputs.train.len())));
    }
    let split = inputs.train.gather(&indices);
    let draws = keys.iter().map(Key::draw).collect();
    let batch = Batch { images: split.images.pixels, labels: split.labels, draws, valid: indices.len(), indices };
    let place = inputs.place(gpu, &batch, &[])?;
    inputs.training_input(gpu, &place)
}
