//! Losses on labels, one file each, the table that brings them to a run's file, and the log that their values go to.
//!
//! A loss that a task may choose is a file with its formula and source, and a row in [`METHODS`].
//!
//! A loss is fused with its gradient: one kernel writes each row's loss and adds to the gradient of what it judges. It
//! makes no node on the tape.

mod binary_cross_entropy;
mod cross_entropy;
mod detection;
mod dice;
mod focal;
mod log;
mod method;
mod poly1;
mod regression;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use cross_entropy::CrossEntropy;
pub use detection::Detection;
pub use dice::Dice;
pub use focal::Focal;
pub use log::LossLog;
pub use method::{Assigned, LabelLoss, LossMethod, LossSetup};
pub use poly1::Poly1;
pub use regression::Regression;

pub use crate::kernels::LossOut;
pub use crate::setting::{Domain, Key};

use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::reduce;
use crate::tape::{Tape, Var};
use crate::tensor::{GradTarget, Tensor};

/// Every loss that a task may choose.
pub const METHODS: &[LossMethod] = &[
    cross_entropy::CROSS_ENTROPY,
    focal::FOCAL,
    poly1::POLY1,
    dice::DICE,
    regression::L2,
    regression::L1,
    regression::HUBER,
];

/// The losses that `text` names: one, or a sum such as `cross_entropy+dice`. `None` where one is unknown or listed twice.
pub fn methods(text: &str) -> Option<Vec<&'static LossMethod>> {
    let mut all: Vec<&'static LossMethod> = Vec::new();
    for name in text.split('+') {
        let method = METHODS.iter().find(|m| m.name == name)?;
        if all.iter().any(|m| m.name == name) {
            return None;
        }
        all.push(method);
    }
    Some(all)
}

/// Where the losses of one step go: gradients onto the tape, values into the log.
pub struct LossRecorder<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// The tape of this step's forward pass.
    pub tape: &'a mut Tape,
    /// The run's log, at this step's row.
    pub log: &'a LossLog,
}

impl LossRecorder<'_> {
    /// Adds a term: `fused` puts the loss of `var` where it is told, in `rows` shares. The log keeps the term without its weight.
    pub fn add(
        &mut self,
        term: usize,
        weight: f32,
        var: &Var,
        rows: usize,
        fused: impl FnOnce(&Gpu, LossOut) -> Result<()>,
    ) -> Result<()> {
        self.put(term, weight, var, rows, false, fused)
    }

    /// Adds a further part of a term that [`LossRecorder::add`] has begun in this step.
    pub fn add_part(
        &mut self,
        term: usize,
        weight: f32,
        var: &Var,
        rows: usize,
        fused: impl FnOnce(&Gpu, LossOut) -> Result<()>,
    ) -> Result<()> {
        self.put(term, weight, var, rows, true, fused)
    }

    fn put(
        &mut self,
        term: usize,
        weight: f32,
        var: &Var,
        rows: usize,
        accumulate: bool,
        fused: impl FnOnce(&Gpu, LossOut) -> Result<()>,
    ) -> Result<()> {
        if weight == 0.0 {
            return Ok(());
        }
        let column = self.log.column(self.gpu, term)?;
        let row_loss = Tensor::empty(self.gpu, &[rows])?;
        let target = self.tape.target(self.gpu, var)?;
        fused(self.gpu, LossOut { weight, grad: target.as_ref(), row_loss: &row_loss })?;
        let cell = GradTarget { tensor: self.log.ring().clone(), accumulate };
        reduce::total(self.gpu, &row_loss, 1.0 / weight, &cell, self.log.cursor(), column)
    }
}
