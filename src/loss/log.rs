//! The values of all loss terms of the last steps, on the GPU until somebody asks.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::gpu::Gpu;
use crate::kernels::elementwise;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A ring of `capacity` steps times the terms of the loss. Reading it costs one wait for many steps.
#[derive(Debug)]
pub struct LossLog {
    ring: Tensor,
    /// The row that kernels write to, `[1]`.
    cursor: Tensor,
    /// What `cursor` holds.
    written: AtomicUsize,
    terms: Vec<String>,
    capacity: usize,
    filled: usize,
}

impl LossLog {
    /// A log for the named terms.
    pub fn new(gpu: &Gpu, terms: Vec<String>, capacity: usize) -> Result<Self> {
        let ring = Tensor::empty(gpu, &[capacity.max(1), terms.len().max(1)])?;
        elementwise::fill(gpu, &ring, 0.0)?;
        let cursor = Tensor::from_u32(gpu, &[0], &[1])?;
        Ok(LossLog { ring, cursor, written: AtomicUsize::new(0), terms, capacity: capacity.max(1), filled: 0 })
    }

    /// The names of the terms.
    pub fn terms(&self) -> &[String] {
        &self.terms
    }

    /// The memory terms are written to.
    pub(super) fn ring(&self) -> &Tensor {
        &self.ring
    }

    /// Where kernels read this step's row.
    pub(super) fn cursor(&self) -> &Tensor {
        &self.cursor
    }

    /// Begins a step: writes its row where kernels read it. Losses do so by themselves; a recorded step, which adds no loss
    /// when it is replayed, needs it before, each time.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the ring is full and must be read first.
    pub fn prepare(&self, gpu: &Gpu) -> Result<()> {
        if self.full() {
            return Err(Error::Invalid(format!("step {} is outside the log; take its values first", self.filled)));
        }
        if self.written.load(Ordering::Relaxed) != self.filled {
            self.cursor.write_u32(gpu, &[self.filled as u32])?;
            self.written.store(self.filled, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The column of `term`.
    pub(super) fn column(&self, gpu: &Gpu, term: usize) -> Result<usize> {
        self.prepare(gpu)?;
        if term >= self.terms.len() {
            return Err(Error::Invalid(format!("loss term {term} is outside the log of {}", self.terms.len())));
        }
        Ok(term)
    }

    /// Waits for the GPU and gives the row under way, one value per term, which stays where it is.
    pub fn peek(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        let values = self.ring.to_f32(gpu)?;
        let terms = self.terms.len().max(1);
        Ok(values.chunks(terms).nth(self.filled).map(<[f32]>::to_vec).unwrap_or_default())
    }

    /// Closes this step's row.
    pub fn advance(&mut self) {
        self.filled += 1;
    }

    /// Whether the ring must be read before another step.
    pub fn full(&self) -> bool {
        self.filled >= self.capacity
    }

    /// Steps written since the last [`LossLog::take`].
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether no step has been written since the last [`LossLog::take`].
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Waits for the GPU and gives the rows written since the last call, one value per term.
    pub fn take(&mut self, gpu: &Gpu) -> Result<Vec<Vec<f32>>> {
        let values = self.ring.to_f32(gpu)?;
        let rows = values.chunks(self.terms.len().max(1)).take(self.filled).map(<[f32]>::to_vec).collect();
        self.filled = 0;
        // A term that a later step leaves out must read as 0, not as what stands here now.
        elementwise::fill(gpu, &self.ring, 0.0)?;
        Ok(rows)
    }
}
