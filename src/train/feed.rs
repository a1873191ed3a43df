//! Batches on their way to the GPU, and a network's metrics over a split.

use std::sync::Arc;

use crate::Result;
use crate::data::augment::Augment;
use crate::data::loader::{Batch, Loader};
use crate::data::{Dataset, Split, Task};
use crate::gpu::Gpu;
use crate::kernels::{augment, confusion, elementwise};
use crate::metrics::{Confusion, TaskResult};
use crate::nn::Frozen;
use crate::tensor::Tensor;

/// The splits and what turns their bytes into a network's input.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    pub train: Arc<Split>,
    pub val: Arc<Split>,
    pub test: Arc<Split>,
    pub tasks: Vec<Task>,
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
    pub augment: Augment,
}

/// Where training batches lie on the GPU, one after the other in the same memory, so that a recorded step finds them.
#[derive(Debug)]
pub(super) struct Place {
    pixels: Tensor,
    draws: Tensor,
    /// One tensor a head.
    pub labels: Vec<Tensor>,
    tasks: Vec<usize>,
    rows: usize,
}

impl Place {
    /// Whether `batch` has its shape.
    pub(super) fn fits(&self, batch: &Batch) -> bool {
        batch.indices.len() == self.rows
    }

    /// Puts `batch` here. This overlaps with the step that still runs on the last one: the bytes are copied aside at once,
    /// and the GPU moves them here when that step is done ([`Gpu::write`]).
    pub(super) fn write(&self, gpu: &Gpu, batch: &Batch) -> Result<()> {
        self.pixels.write_bytes(gpu, &batch.images)?;
        self.draws.write_u32(gpu, bytemuck::cast_slice(&batch.draws))?;
        let mut pairs = self.labels.iter().zip(&self.tasks);
        pairs.try_for_each(|(labels, task)| labels.write_u32(gpu, &batch.labels[*task]))
    }
}

impl Feed {
    /// Takes the data over; `augment` applies to training batches alone.
    pub(super) fn new(data: Dataset, augment: Augment) -> Self {
        let (mean, std) = data.channel_stats();
        Feed {
            train: Arc::new(data.train),
            val: Arc::new(data.val),
            test: Arc::new(data.test),
            tasks: data.tasks,
            mean,
            std,
            augment,
        }
    }

    fn classes(&self, task: usize) -> usize {
        self.tasks[task].classes.len()
    }

    /// `[height, width, channels]`.
    pub(super) fn image(&self) -> [usize; 3] {
        [self.train.images.height, self.train.images.width, self.train.images.channels]
    }

    /// The split called `train`, `val` or `test`.
    pub(super) fn split(&self, name: &str) -> Result<&Arc<Split>> {
        match name {
            "train" => Ok(&self.train),
            "val" => Ok(&self.val),
            "test" => Ok(&self.test),
            other => Err(crate::Error::Invalid(format!("no split is called {other:?}; choose train, val or test"))),
        }
    }

    fn shape(&self, rows: usize) -> [usize; 4] {
        let [h, w, c] = self.image();
        [rows, h, w, c]
    }

    /// A place for training batches like this one, holding it; with the labels of `tasks`.
    pub(super) fn place(&self, gpu: &Gpu, batch: &Batch, tasks: &[usize]) -> Result<Place> {
        let rows = batch.indices.len();
        let labels = tasks.iter().map(|t| Tensor::from_u32(gpu, &batch.labels[*t], &[rows]));
        Ok(Place {
            pixels: Tensor::from_bytes(gpu, &batch.images)?,
            draws: Tensor::from_u32(gpu, bytemuck::cast_slice(&batch.draws), &[rows, 4])?,
            labels: labels.collect::<Result<_>>()?,
            tasks: tasks.to_vec(),
            rows,
        })
    }

    /// The training batch in `place` as the network sees it, `[n, h, w, c]`: normalised, and varied as each sample drew.
    pub(super) fn training_input(&self, gpu: &Gpu, place: &Place) -> Result<Tensor> {
        let (mean, std, noise) = (&self.mean, &self.std, self.augment.noise);
        augment::augment(gpu, &place.pixels, self.shape(place.rows), &place.draws, mean, std, noise)
    }

    /// A batch as it is.
    pub(super) fn plain_input(&self, gpu: &Gpu, batch: &Batch) -> Result<Tensor> {
        let pixels = Tensor::from_bytes(gpu, &batch.images)?;
        augment::normalise(gpu, &pixels, self.shape(batch.indices.len()), &self.mean, &self.std)
    }

    /// What `network` achieves over `split` at each of `tasks` (indices into the data's tasks; the network has one head for each,
    /// in that order). Counted on the GPU, read once.
    pub(super) fn evaluate(
        &self,
        gpu: &Gpu,
        network: &Frozen,
        split: &Arc<Split>,
        tasks: &[usize],
        batch: usize,
    ) -> Result<Vec<TaskResult>> {
        let counts = tasks.iter().map(|t| {
            let counts = Tensor::empty(gpu, &[self.classes(*t), self.classes(*t)])?;
            // The bits of 0.0 are those of 0.
            elementwise::fill(gpu, &counts, 0.0)?;
            Ok(counts)
        });
        let counts: Vec<Tensor> = counts.collect::<Result<_>>()?;
        for batch in Loader::eval(split.clone(), batch) {
            let outputs = network.infer(gpu, &self.plain_input(gpu, &batch)?)?;
            for ((task, logits), counts) in tasks.iter().zip(&outputs.logits).zip(&counts) {
                let labels = Tensor::from_u32(gpu, &batch.labels[*task], &[batch.indices.len()])?;
                confusion::confusion(gpu, logits, &labels, batch.valid, counts)?;
            }
            gpu.flush()?;
        }
        let read = tasks.iter().zip(&counts).map(|(task, counts)| {
            let counts = counts.to_u32(gpu)?.into_iter().map(u64::from).collect();
            Ok(TaskResult::of_classes(Confusion::from_counts(counts, self.classes(*task))?))
        });
        read.collect()
    }
}
