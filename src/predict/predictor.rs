//! A stored network in use on images.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::checkpoint::{self, ModelCard};
use crate::data::formats::image::{self, MAX_PIXELS_ALONE};
use crate::data::letterbox::Letterbox;
use crate::gpu::Gpu;
use crate::kernels::augment;
use crate::predict::answer::TaskPrediction;
use crate::predict::options::PredictOptions;
use crate::predict::stored::{folders, seed_order, weights};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What a network says of one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The file.
    pub image: PathBuf,
    /// One for each task.
    pub tasks: Vec<TaskPrediction>,
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
        let found = folders(dir)?;
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
