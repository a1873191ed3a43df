//! A finished run in use: its networks on a split of its data, or on images.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::checkpoint::{self, ModelCard};
use crate::config::{Config, EvaluateOn};
use crate::data::formats::image::{self, MAX_PIXELS_ALONE};
use crate::data::letterbox::Letterbox;
use crate::experiment::load_data;
use crate::experiment::names;
use crate::gpu::Gpu;
use crate::kernels::augment;
use crate::metrics::TaskResult;
use crate::predict::answer::TaskPrediction;
use crate::predict::options::PredictOptions;
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

/// What a network says of one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The file.
    pub image: PathBuf,
    /// One for each task.
    pub tasks: Vec<TaskPrediction>,
}

/// The folders `seed-*` of a run, by seed.
fn seeds(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
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
fn seed_order(dir: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(dir.join(names::CONFIG)).unwrap_or_default();
    let table: toml::Table = toml::from_str(&text).unwrap_or_default();
    let seeds = table.get("seeds").and_then(toml::Value::as_array).into_iter().flatten();
    seeds.filter_map(|seed| seed.as_integer()?.try_into().ok()).collect()
}

/// The file of `model` in one seed's folder.
fn weights(folder: &Path, model: &str) -> Result<PathBuf> {
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

/// The metrics of `model` over a split of the data its run was made from, for every seed of the run.
pub fn evaluate(dir: &Path, model: &str, split: &str, gpu: &Gpu) -> Result<Vec<Evaluation>> {
    let path = dir.join(names::CONFIG);
    let config = Config::load(&path, &[])?;
    let folders = seeds(dir)?;
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
        let results = inputs.evaluate(gpu, &network.freeze(gpu)?, &images, &heads, config.train.batch)?;
        let tasks = card.tasks.iter().zip(results).map(|(t, r)| (t.name.clone(), r)).collect();
        let files = images.files.clone();
        let (model, split, images) = (model.into(), split.into(), images.len());
        Ok(Evaluation { model, seed, split, images, files, evaluate_on: inputs.evaluate_on, tasks })
    };
    folders.into_iter().map(one).collect()
}

/// A stored network and its card: all it takes to answer questions about images.
#[derive(Debug)]
pub struct Predictor {
    network: crate::nn::Frozen,
    card: ModelCard,
    options: PredictOptions,
}

impl Predictor {
    /// Loads a network stored by a run.
    pub fn load(gpu: &Gpu, path: &Path) -> Result<Self> {
        let (network, card) = checkpoint::load(gpu, path)?;
        Ok(Predictor { network: network.freeze(gpu)?, card, options: PredictOptions::default() })
    }

    /// Loads `model` of the run in `dir`, of the first of its seeds in the order in which they are trained.
    pub fn of_run(gpu: &Gpu, dir: &Path, model: &str) -> Result<Self> {
        let found = seeds(dir)?;
        let first = seed_order(dir).into_iter().find_map(|seed| found.iter().find(|(own, _)| *own == seed));
        Self::load(gpu, &weights(&first.unwrap_or(&found[0]).1, model)?)
    }

    /// The same network, which tells of other objects.
    pub fn with_options(self, options: PredictOptions) -> Self {
        Predictor { options, ..self }
    }

    /// What it is.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// The answers to one image of `[height, width, channels]` bytes, as the card says.
    pub fn classify(&self, gpu: &Gpu, pixels: &[u8]) -> Result<Vec<TaskPrediction>> {
        let [h, w, c] = self.card.image;
        if pixels.len() != h * w * c {
            return Err(Error::Shape(format!("{} bytes for an image of {h}x{w}x{c}", pixels.len())));
        }
        let bytes = Tensor::from_bytes(gpu, pixels)?;
        let x = augment::normalize(gpu, &bytes, [1, h, w, c], &self.card.mean, &self.card.std)?;
        let outputs = self.network.infer(gpu, &x)?;
        let heads = self.card.tasks.iter().zip(&outputs.logits);
        let levels = self.network.detector_levels([h, w]);
        heads.map(|(task, said)| TaskPrediction::of(gpu, task, said, ([h, w], &levels), &self.options)).collect()
    }

    /// An image file as the network takes it: `[height, width, channels]` bytes of the card's size.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        Ok(self.placed(path)?.0)
    }

    /// The same, and where the file's pixels lie in it.
    fn placed(&self, path: &Path) -> Result<(Vec<u8>, Letterbox)> {
        let [h, w, c] = self.card.image;
        if self.card.letterbox {
            let (pixels, _, place) = image::read_boxed(path, [h, w], c, MAX_PIXELS_ALONE)?;
            return Ok((pixels, place));
        }
        Ok((image::read(path, [h, w], c, MAX_PIXELS_ALONE)?, Letterbox::stretched(image::size(path)?, [h, w])))
    }

    /// The answers to an image file, which is resized to what the network takes; boxes, masks and depths are those of the file's own
    /// pixels.
    pub fn classify_file(&self, gpu: &Gpu, path: &Path) -> Result<Vec<TaskPrediction>> {
        let (pixels, place) = self.placed(path)?;
        let answers = self.classify(gpu, &pixels)?;
        Ok(answers.into_iter().map(|a| TaskPrediction { answer: a.answer.back(&place), ..a }).collect())
    }

    /// Each image file with its answers, as [`Predictor::classify_file`] gives them, or with what is wrong with it. A file is read when it is
    /// its turn, and none is kept, so there may be any number of them.
    pub fn classify_files<P: Into<PathBuf>>(
        &self,
        gpu: &Gpu,
        images: impl IntoIterator<Item = P>,
    ) -> impl Iterator<Item = (PathBuf, Result<Vec<TaskPrediction>>)> {
        images.into_iter().map(move |image| {
            let image = image.into();
            let answers = self.classify_file(gpu, &image);
            (image, answers)
        })
    }
}

/// What the distilled student of the run in `dir` says of each image, all of it in memory; [`Predictor::classify_files`] gives one after the
/// other.
pub fn predict(dir: &Path, images: &[PathBuf], gpu: &Gpu) -> Result<Vec<Prediction>> {
    let classifier = Predictor::of_run(gpu, dir, "distilled")?;
    images
        .iter()
        .map(|image| Ok(Prediction { image: image.clone(), tasks: classifier.classify_file(gpu, image)? }))
        .collect()
}
