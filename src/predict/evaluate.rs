//! A run's networks on a split of its data: how good they are, and what they say of each image.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::checkpoint;
use crate::config::{Config, EvaluateOn};
use crate::data::loader::Batch;
use crate::experiment::{load_data, names};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::metrics::TaskResult;
use crate::predict::answered::{EachImage, Telling};
use crate::predict::stored::{folders, weights};
use crate::tensor::Tensor;
use crate::train::inputs::Inputs;
use crate::train::stage::Finished;
use crate::{Error, Result};

/// One network on one split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// `distilled`, `teacher/<task>`, ….
    pub model: String,
    /// The seed it was trained with.
    pub seed: u64,
    /// `train`, `val` or `test`.
    pub split: String,
    /// Images in the split.
    pub images: usize,
    /// Their files, where images are read one by one; what `predict` says of these is what was measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// In which pixels boxes and masks are measured.
    pub evaluate_on: EvaluateOn,
    /// What it achieves at each task, in the order of the heads.
    pub tasks: Vec<(String, TaskResult)>,
}

/// The metrics of `model` over a split of the data its run was made from, for every seed of the run.
pub fn evaluate(dir: &Path, model: &str, split: &str, gpu: &Gpu) -> Result<Vec<Evaluation>> {
    evaluate_images(dir, model, split, None, gpu, None)
}

/// The same for one seed, where one is given; `each` is told of every image with its labels and answers, seed by seed in the order of the
/// split. None of it is kept, so there may be any number of images.
///
/// # Errors
/// As [`evaluate`]; [`Error::Invalid`] for a seed that the run has not; the errors of `each`, which end it.
pub fn evaluate_images(
    dir: &Path,
    model: &str,
    split: &str,
    seed: Option<u64>,
    gpu: &Gpu,
    mut each: Option<EachImage>,
) -> Result<Vec<Evaluation>> {
    let config = Config::load(&dir.join(names::CONFIG), &[])?;
    let mut found = folders(dir)?;
    if let Some(seed) = seed {
        let known: Vec<String> = found.iter().map(|(own, _)| own.to_string()).collect();
        found.retain(|(own, _)| *own == seed);
        if found.is_empty() {
            let message = format!("{} has no seed {seed}; it has: {}", dir.display(), known.join(", "));
            return Err(Error::Invalid(message));
        }
    }
    let data = load_data(&config)?;
    let fingerprint = format!("{:016x}", data.fingerprint());
    let mut inputs = Inputs::of_run(&config, data);
    let images = inputs.split(split)?.clone();
    let one = |(seed, folder): (u64, PathBuf)| {
        let path = weights(&folder, model)?;
        let stage = model.strip_suffix(".last").or(model.strip_suffix(".ema")).unwrap_or(model);
        let result = folder.join(format!("{}.json", stage.replace('/', "-")));
        if !result.exists() {
            let message = "belongs to a stage that is not finished; run the same command again to finish it";
            return Err(Error::checkpoint(&path, message));
        }
        let finished = Finished::load(&result)?;
        finished.check_network(&path, &format!("{}.safetensors", &model[stage.len()..]))?;
        if finished.data != fingerprint {
            return Err(Error::checkpoint(&path, "was made from other data than data.root holds now"));
        }
        let (network, card) = checkpoint::load(gpu, &path)?;
        let heads = card
            .tasks
            .iter()
            .map(|t| inputs.tasks.iter().position(|d| (&d.name, d.kind, &d.classes) == (&t.name, t.kind, &t.classes)));
        let heads: Option<Vec<usize>> = heads.collect();
        let heads =
            heads.ok_or_else(|| Error::checkpoint(&path, "has tasks that the data has not; was the data changed?"))?;
        // What an older network counts is measured as it is told.
        for (head, task) in heads.iter().zip(&card.tasks) {
            if let Some(target) = inputs.targets.get_mut(*head) {
                target.task.counts = task.is_count();
            }
        }
        let (root, name) = (config.data.root.as_path(), split);
        let telling = Telling { gpu, inputs: &inputs, split: &images, heads: &heads, root, model, seed, name };
        let mut watch = |batch: &Batch, said: &[Tensor], levels: &[Level]| match &mut each {
            Some(each) => telling.batch(batch, said, levels, each),
            None => Ok(()),
        };
        let frozen = network.freeze(gpu)?;
        let results = inputs.evaluate_watched(gpu, &frozen, &images, &heads, config.train.batch, &mut watch)?;
        let tasks = card.tasks.iter().zip(results).map(|(t, r)| (t.name.clone(), r)).collect();
        let files = images.files.clone();
        let (model, split, images) = (model.into(), split.into(), images.len());
        Ok(Evaluation { model, seed, split, images, files, evaluate_on: inputs.evaluate_on, tasks })
    };
    found.into_iter().map(one).collect()
}
