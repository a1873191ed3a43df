//! Where a loss kernel puts what it computes.

use super::expect::expect;
use crate::Result;
use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};

/// Where a loss goes: every loss kernel computes `weight` times its formula and, in the same call, `weight` times its gradient.
#[derive(Debug, Clone, Copy)]
pub struct LossOut<'a> {
    /// What the loss and its gradient are multiplied by.
    pub weight: f32,
    /// Receives the gradient with respect to what the loss judges, and has its shape; `None`: the loss alone is wanted.
    pub grad: Option<&'a GradTarget>,
    /// Receives the weighted shares, whose sum is the loss: one of each row, where the kernel does not say otherwise.
    pub row_loss: &'a Tensor,
}

impl LossOut<'_> {
    /// The same with another weight in place of its own.
    pub fn with_weight(self, weight: f32) -> Self {
        LossOut { weight, ..self }
    }

    /// For a loss that judges something of `shape` that was computed from what [`LossOut::grad`] belongs to: `loss` puts its gradient in
    /// memory of its own, from which `back` computes the gradient that is wanted. Without one, only `loss` runs.
    pub fn through(
        self,
        gpu: &Gpu,
        shape: &[usize],
        loss: impl FnOnce(LossOut) -> Result<()>,
        back: impl FnOnce(&Tensor, &GradTarget) -> Result<()>,
    ) -> Result<()> {
        let Some(grad) = self.grad else { return loss(self) };
        let between = GradTarget::fresh(Tensor::empty(gpu, shape)?);
        loss(LossOut { grad: Some(&between), ..self })?;
        back(&between.tensor, grad)
    }

    /// Refuses memory that does not hold `shares` shares and the gradient of `z`.
    pub(super) fn check(&self, kernel: &str, z: &Tensor, shares: usize) -> Result<()> {
        expect(kernel, "row_loss", self.row_loss, &[shares])?;
        self.grad.map_or(Ok(()), |grad| expect(kernel, "the gradient", &grad.tensor, z.shape()))
    }

    /// Sets the parameters `accumulate` and `weight`.
    pub(super) fn set<'l>(&self, launch: Launch<'l>) -> Launch<'l> {
        launch.u32("accumulate", self.grad.map_or(0, GradTarget::flag)).f32("weight", self.weight)
    }

    /// Binds the shares and, where it is wanted, the gradient as `grad`.
    pub(super) fn bind<'l>(&self, launch: Launch<'l>, grad: &str) -> Launch<'l> {
        let launch = launch.bind("row_loss", self.row_loss);
        match self.grad {
            Some(target) => launch.bind(grad, &target.tensor),
            None => launch,
        }
    }

    /// Starts a kernel over the rows of `z`, each with a share, with the parameters and buffers that all such losses have, which are checked;
    /// the gradient is bound as `grad`.
    pub(super) fn launch<'g>(
        &self,
        gpu: &'g Gpu,
        (source, entry): (Source, &'static str),
        defines: &Defines,
        z: &Tensor,
        grad: &str,
    ) -> Result<Launch<'g>> {
        self.check(entry, z, z.rows())?;
        let launch = gpu.launch(source, entry, defines)?.u32("rows", z.rows()).u32("columns", z.columns());
        Ok(self.bind(self.set(launch), grad))
    }
}
