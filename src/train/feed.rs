//! Batches on their way to the GPU, and a network's metrics over a split.

use std::sync::Arc;

use crate::Result;
use crate::data::augment::Augment;
use crate::data::loader::{Batch, Loader};
use crate::data::{Dataset, Split, Task};
use crate::gpu::Gpu;
use crate::kernels::{augment, confusion, elementwise};
use crate::metrics::Confusion;
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

    fn shape(&self, batch: &Batch) -> [usize; 4] {
        let [h, w, c] = self.image();
        [batch.indices.len(), h, w, c]
    }

    /// A training batch as the network sees it, `[n, h, w, c]`: normalised, and varied as each sample drew.
    pub(super) fn training_input(&self, gpu: &Gpu, batch: &Batch) -> Result<Tensor> {
        let pixels = Tensor::from_bytes(gpu, &batch.images)?;
        let shape = self.shape(batch);
        let draws = Tensor::from_u32(gpu, bytemuck::cast_slice(&batch.draws), &[shape[0], 4])?;
        augment::augment(gpu, &pixels, shape, &draws, &self.mean, &self.std, self.augment.noise)
    }

    /// A batch as it is.
    pub(super) fn plain_input(&self, gpu: &Gpu, batch: &Batch) -> Result<Tensor> {
        let pixels = Tensor::from_bytes(gpu, &batch.images)?;
        augment::normalise(gpu, &pixels, self.shape(batch), &self.mean, &self.std)
    }

    /// The confusion of `network` over `split`, one for each of `tasks` (indices into the data's tasks; the network has one
    /// head for each, in that order). Counted on the GPU, read once.
    pub(super) fn confusions(
        &self,
        gpu: &Gpu,
        network: &Frozen,
        split: &Arc<Split>,
        tasks: &[usize],
        batch: usize,
    ) -> Result<Vec<Confusion>> {
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
            Confusion::from_counts(counts, self.classes(*task))
        });
        read.collect()
    }
}
