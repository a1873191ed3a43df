//! What has been seen of one task over a split.

use crate::Result;
use crate::data::letterbox::Letterbox;
use crate::data::loader::Batch;
use crate::data::{Labels, OriginalLabels, Originals};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::metrics::TaskResult;
use crate::tasks::TaskTarget;
use crate::tensor::Tensor;

/// A batch of a split under evaluation, as one task sees it.
pub(crate) struct Seen<'a> {
    pub target: &'a TaskTarget,
    pub batch: &'a Batch,
    pub labels: &'a Labels,
    /// The labels as losses take them.
    pub uploaded: &'a Tensor,
    /// What the head says.
    pub said: &'a Tensor,
    /// Height and width of the canvas.
    pub size: [usize; 2],
    /// Of the network's detectors.
    pub levels: &'a [Level],
    /// Where the images lie on the canvas, and the labels of their own pixels, if these are what counts.
    pub originals: Option<(&'a Originals, Option<&'a OriginalLabels>)>,
}

impl Seen<'_> {
    /// Of each sample that counts: where its image lies, and its number in the split.
    pub(super) fn places(&self) -> impl Iterator<Item = (Option<&Letterbox>, usize)> {
        let places = self.originals.map(|(originals, _)| &originals.places);
        let samples = self.batch.indices.iter().take(self.batch.valid).map(|i| *i as usize);
        samples.map(move |i| (places.map(|places| &places[i]), i))
    }
}

/// What has been seen of one task; each kind of task has its own measures.
pub(crate) trait Tally {
    /// Adds the first rows of a batch, as many as count.
    fn add(&mut self, gpu: &Gpu, seen: &Seen) -> Result<()>;

    /// The metrics of everything that was added.
    fn result(self: Box<Self>, gpu: &Gpu, target: &TaskTarget) -> Result<TaskResult>;
}
