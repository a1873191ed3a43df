//! Batches on their way to the GPU.

use std::sync::Arc;

#[cfg(feature = "train")]
use crate::config::Config;
use crate::data::augment::Augment;
use crate::data::loader::{Batch, Loader};
use crate::data::{Dataset, EvaluateOn, Split, Task};
use crate::geometry::Warp;
use crate::gpu::Gpu;
use crate::kernels::augment::{self, WarpParams};
#[cfg(feature = "train")]
use crate::metrics::TaskResult;
use crate::nn::{Init, Network, NetworkSpec, TrunkSpec};
use crate::tasks::{TaskObjective, TaskTarget, rules};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A data set on its way to the GPU: the splits, and what turns their bytes into a network's input and their labels into targets.
#[derive(Debug, Clone)]
pub struct Inputs {
    pub(crate) train: Arc<Split>,
    pub(crate) val: Arc<Split>,
    pub(crate) test: Arc<Split>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) targets: Vec<TaskTarget>,
    pub(crate) mean: Vec<f32>,
    pub(crate) std: Vec<f32>,
    pub(crate) augment: Augment,
    /// Whether the images keep their proportions: a network in use must see others in the same way.
    #[cfg(feature = "train")]
    pub(crate) letterbox: bool,
    /// In which pixels boxes and masks are measured.
    pub(crate) evaluate_on: EvaluateOn,
}

/// Where training batches lie on the GPU, one after the other in the same memory, so that a recorded step finds them.
#[derive(Debug)]
pub(crate) struct BatchSlot {
    pixels: Tensor,
    warps: Tensor,
    /// One tensor a head, as they were uploaded.
    labels: Vec<Tensor>,
    tasks: Vec<usize>,
    targets: Vec<TaskTarget>,
    rows: usize,
    size: [usize; 2],
}

impl BatchSlot {
    /// Whether `batch` has its shape.
    pub(crate) fn fits(&self, batch: &Batch) -> bool {
        batch.indices.len() == self.rows
    }

    /// Puts `batch` here. This overlaps with the step that still runs on the last one: the bytes are copied aside at once,
    /// and the GPU moves them here when that step is done ([`Gpu::write`]).
    pub(crate) fn write(&self, gpu: &Gpu, batch: &Batch) -> Result<()> {
        self.pixels.write_bytes(gpu, &batch.images)?;
        self.warps.write_u32(gpu, bytemuck::cast_slice(&batch.warps(self.size)))?;
        let mut heads = self.labels.iter().zip(&self.tasks).zip(&self.targets);
        heads.try_for_each(|((labels, task), target)| target.write(gpu, labels, &batch.labels[*task]))
    }
}

impl Inputs {
    /// Takes the data over; `augment` applies to training batches alone.
    pub fn new(data: Dataset, augment: Augment) -> Self {
        let (mean, std) = data.channel_stats();
        // A mosaic shows the objects of four images.
        let images = if augment.mosaic > 0.0 { 4 } else { 1 };
        let most = |task: usize| {
            let splits = [(&data.train, images), (&data.val, 1), (&data.test, 1)];
            splits.iter().map(|(s, images)| images * s.labels[task].most_objects()).max().unwrap_or(0).max(1)
        };
        let target = |(i, task): (usize, &Task)| TaskTarget {
            task: task.clone(),
            moments: data.train.labels[i].moments(),
            most: most(i),
            frequencies: data.train.labels[i].frequencies(task.classes.len()),
        };
        Inputs {
            targets: data.tasks.iter().enumerate().map(target).collect(),
            train: Arc::new(data.train),
            val: Arc::new(data.val),
            test: Arc::new(data.test),
            tasks: data.tasks,
            mean,
            std,
            augment,
            #[cfg(feature = "train")]
            letterbox: false,
            evaluate_on: EvaluateOn::default(),
        }
    }

    /// The same for a run of this configuration.
    #[cfg(feature = "train")]
    pub(crate) fn of_run(config: &Config, data: Dataset) -> Self {
        let (letterbox, evaluate_on) = (config.data.source.letterboxed(), config.data.evaluate_on);
        Inputs { letterbox, evaluate_on, ..Inputs::new(data, config.augment.augment()) }
    }

    /// Whether images have pixels of their own beside those of the canvas, in which what is found can be measured.
    #[cfg(feature = "train")]
    pub(crate) fn has_originals(&self) -> bool {
        let places = |split: &Split| split.originals.as_ref().is_some_and(|o| o.labels.iter().any(Option::is_some));
        [&self.train, &self.val, &self.test].into_iter().any(|split| places(split))
    }

    /// `[height, width, channels]` of the images, as networks see them.
    pub fn image(&self) -> [usize; 3] {
        [self.train.images.height, self.train.images.width, self.train.images.channels]
    }

    /// The split called `train`, `val` or `test`.
    #[cfg(feature = "train")]
    pub(crate) fn split(&self, name: &str) -> Result<&Arc<Split>> {
        match name {
            "train" => Ok(&self.train),
            "val" => Ok(&self.val),
            "test" => Ok(&self.test),
            other => Err(crate::Error::Invalid(format!("no split is called {other:?}; choose train, val or test"))),
        }
    }

    /// How good a network is at these tasks, of which it achieves `results`, for choosing among epochs: the mean of
    /// [`Scores::selection`](crate::metrics::Scores::selection) over those where it is defined.
    #[cfg(feature = "train")]
    pub(crate) fn selection(&self, tasks: &[usize], results: &[TaskResult]) -> Option<f64> {
        let score =
            |(task, result): (&usize, &TaskResult)| result.scores.selection(self.targets[*task].moments.1.into());
        let known: Vec<f64> = tasks.iter().zip(results).filter_map(score).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }

    /// Channels of the decoders and detectors of [`Inputs::network_spec`], as run files have them unless they say otherwise.
    const DECODER: usize = 32;

    /// The shape of a network with this trunk and a head for each of `tasks`: a single layer over the pooled features, a decoder or a
    /// detector, as their kinds ask for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a task that the data does not have.
    pub fn network_spec(&self, trunk: TrunkSpec, tasks: &[&str], init: Init) -> Result<NetworkSpec> {
        let head = |name: &&str| {
            let task = &self.tasks[self.task(name)?];
            Ok(rules(task.kind).head(&task.name, task.classes.len(), &[], Self::DECODER))
        };
        let heads = tasks.iter().map(head).collect::<Result<_>>()?;
        Ok(NetworkSpec { trunk, channels: self.image()[2], heads, init })
    }

    /// The training batches of an epoch in the order that `seed` gives, prepared by a thread of their own.
    pub fn epoch(&self, batch: usize, seed: u64) -> Loader {
        Loader::train(self.train.clone(), batch, seed, self.augment, 0)
    }

    /// The number of the task called `name`.
    fn task(&self, name: &str) -> Result<usize> {
        let found = self.tasks.iter().position(|task| task.name == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = self.tasks.iter().map(|task| task.name.as_str()).collect();
            Error::Invalid(format!("the data has no task {name:?}; its tasks are {}", known.join(", ")))
        })
    }

    /// The tasks of a network's heads.
    pub(crate) fn tasks_of(&self, network: &Network) -> Result<Vec<usize>> {
        network.spec().heads.iter().map(|head| self.task(&head.task)).collect()
    }

    /// What a network's heads are to learn, with equal weights and the usual losses.
    pub(crate) fn objectives(&self, network: &Network) -> Result<Vec<TaskObjective<'_>>> {
        let objective = |task: usize| TaskObjective {
            task: &self.tasks[task],
            weight: 1.0,
            config: Default::default(),
            frequencies: &self.targets[task].frequencies,
            label_smoothing: 0.0,
        };
        Ok(self.tasks_of(network)?.into_iter().map(objective).collect())
    }

    fn shape(&self, rows: usize) -> [usize; 4] {
        let [h, w, c] = self.image();
        [rows, h, w, c]
    }

    /// A place for training batches like this one, holding it; with the labels of `tasks`.
    pub(crate) fn place(&self, gpu: &Gpu, batch: &Batch, tasks: &[usize]) -> Result<BatchSlot> {
        let rows = batch.indices.len();
        let [h, w, _] = self.image();
        let targets: Vec<TaskTarget> = tasks.iter().map(|t| self.targets[*t].clone()).collect();
        let labels = tasks.iter().zip(&targets).map(|(t, target)| target.upload(gpu, &batch.labels[*t], rows, [h, w]));
        Ok(BatchSlot {
            pixels: Tensor::from_bytes(gpu, &batch.images)?,
            warps: Tensor::from_u32(gpu, bytemuck::cast_slice(&batch.warps([h, w])), &[rows, Warp::WORDS])?,
            size: [h, w],
            labels: labels.collect::<Result<_>>()?,
            tasks: tasks.to_vec(),
            targets,
            rows,
        })
    }

    /// The training batch in `place` as the network sees it, `[n, h, w, c]`: normalised, and varied as each sample drew.
    pub(crate) fn training_input(&self, gpu: &Gpu, place: &BatchSlot) -> Result<Tensor> {
        let (mean, std, noise) = (&self.mean, &self.std, self.augment.noise);
        let moves = WarpParams { warps: &place.warps, bilinear: self.augment.blends() };
        augment::augment(gpu, &place.pixels, self.shape(place.rows), moves, mean, std, noise)
    }

    /// The labels of the batch in `place`, one tensor a head, moved as its images are in [`Inputs::training_input`].
    pub(crate) fn training_labels(&self, gpu: &Gpu, place: &BatchSlot) -> Result<Vec<Tensor>> {
        let [h, w, _] = self.image();
        let moved = |(target, labels): (&TaskTarget, &Tensor)| {
            target.rules().moved(gpu, labels, [place.rows, h, w], Some(&place.warps))
        };
        place.targets.iter().zip(&place.labels).map(moved).collect()
    }

    /// A batch as it is.
    pub(crate) fn plain_input(&self, gpu: &Gpu, batch: &Batch) -> Result<Tensor> {
        let pixels = Tensor::from_bytes(gpu, &batch.images)?;
        augment::normalize(gpu, &pixels, self.shape(batch.indices.len()), &self.mean, &self.std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Labels;
    use crate::data::loader::Loader;
    use crate::data::scenes::{self, SceneTask, Scenes};

    #[test]
    fn all_objects_of_a_mosaic_have_room() {
        let samples = crate::data::compose::Samples { train: 40, val: 4, test: 4 };
        let drawn = Scenes { size: [32, 32], samples, objects: 3, questions: vec![SceneTask::Boxes], seed: 1 };
        let mut data = scenes::load(&drawn).unwrap();
        // What is held out has less.
        data.val.labels = vec![Labels::Boxes(vec![Some(Vec::new()); 4])];
        data.test.labels = data.val.labels.clone();
        let inputs = Inputs::new(data, Augment { mosaic: 1.0, ..Augment::NONE });
        let alone = inputs.train.labels[0].most_objects();
        let batches = Loader::train(inputs.train.clone(), 8, 3, inputs.augment, 0);
        let most = batches.map(|b| b.labels[0].most_objects()).max().unwrap();
        assert!(most > alone && most <= inputs.targets[0].most, "{alone}, {most}, {}", inputs.targets[0].most);
        assert_eq!(Inputs::new(scenes::load(&drawn).unwrap(), Augment::NONE).targets[0].most, alone);
    }
}
