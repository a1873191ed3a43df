//! The values of all loss terms of the last steps, on the GPU until somebody asks.

use crate::gpu::Gpu;
use crate::kernels::elementwise;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A ring of `capacity` steps times the terms of the loss. Reading it costs one wait for many steps.
#[derive(Debug)]
pub struct Ledger {
    ring: Tensor,
    terms: Vec<String>,
    capacity: usize,
    filled: usize,
}

impl Ledger {
    /// A ledger for the named terms.
    pub fn new(gpu: &Gpu, terms: Vec<String>, capacity: usize) -> Result<Self> {
        let ring = Tensor::empty(gpu, &[capacity.max(1), terms.len().max(1)])?;
        elementwise::fill(gpu, &ring, 0.0)?;
        Ok(Ledger { ring, terms, capacity: capacity.max(1), filled: 0 })
    }

    /// The names of the terms.
    pub fn terms(&self) -> &[String] {
        &self.terms
    }

    /// The memory terms are written to.
    pub(super) fn ring(&self) -> &Tensor {
        &self.ring
    }

    /// The place of `term` in this step's row.
    pub(super) fn index(&self, term: usize) -> Result<usize> {
        if term >= self.terms.len() || self.filled >= self.capacity {
            return Err(Error::Invalid(format!("loss term {term} of step {} is outside the ledger", self.filled)));
        }
        Ok(self.filled * self.terms.len() + term)
    }

    /// Closes this step's row.
    pub fn advance(&mut self) {
        self.filled += 1;
    }

    /// Whether the ring must be read before another step.
    pub fn full(&self) -> bool {
        self.filled >= self.capacity
    }

    /// Steps written since the last [`Ledger::take`].
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether no step has been written since the last [`Ledger::take`].
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
