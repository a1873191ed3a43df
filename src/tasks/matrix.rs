//! How often each class was predicted for each label.

use crate::Result;
use crate::data::{IGNORED, MaskRuns};
use crate::gpu::Gpu;
use crate::kernels::{confusion, elementwise};
use crate::metrics::Confusion;
use crate::tensor::Tensor;

/// A confusion matrix that is counted on the GPU in 32 bits, and here in 64: the pixels of a large split are more than 2³².
pub(super) struct Matrix {
    counts: Tensor,
    /// Samples or pixels that `counts` may hold.
    counted: u64,
    total: Vec<u64>,
}

impl Matrix {
    pub(super) fn new(gpu: &Gpu, classes: usize) -> Result<Self> {
        let counts = Tensor::empty(gpu, &[classes, classes])?;
        // The bits of 0.0 are those of 0.
        elementwise::fill(gpu, &counts, 0.0)?;
        Ok(Matrix { counts, counted: 0, total: vec![0; classes * classes] })
    }

    /// Counts the first `valid` rows of `said`.
    pub(super) fn add(&mut self, gpu: &Gpu, said: &Tensor, truth: &Tensor, valid: usize) -> Result<()> {
        if self.counted + valid as u64 > u64::from(u32::MAX) {
            self.drain(gpu)?;
        }
        self.counted += valid as u64;
        confusion::confusion(gpu, said, truth, valid, &self.counts)
    }

    /// Counts an image's pixels, of which `said` are the classes.
    pub(super) fn count(&mut self, said: &[u32], truth: &MaskRuns) {
        let classes = self.total.len().isqrt();
        let mut left = said;
        for (class, length) in truth.iter() {
            let (run, rest) = left.split_at(length.min(left.len()));
            left = rest;
            if class != IGNORED {
                run.iter().for_each(|c| self.total[usize::from(class) * classes + *c as usize] += 1);
            }
        }
    }

    fn drain(&mut self, gpu: &Gpu) -> Result<()> {
        let counts = self.counts.to_u32(gpu)?;
        self.total.iter_mut().zip(counts).for_each(|(total, count)| *total += u64::from(count));
        self.counted = 0;
        elementwise::fill(gpu, &self.counts, 0.0)
    }

    /// The counts of everything.
    pub(super) fn confusion(&mut self, gpu: &Gpu) -> Result<Confusion> {
        self.drain(gpu)?;
        let classes = self.total.len().isqrt();
        Confusion::from_counts(std::mem::take(&mut self.total), classes)
    }
}
