//! An optimizer: a rule and its state beside the parameters.

use crate::gpu::Gpu;
use crate::kernels::optimizer::{Adam, Sgd, adam, sgd};
use crate::kernels::{elementwise, gradient_norm};
use crate::params::Params;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// Which rule; its learning rate is replaced at every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// SGD with momentum.
    Sgd(Sgd),
    /// Adam or AdamW.
    Adam(Adam),
}

/// A rule and its state for one arena.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    clip_norm: Option<f32>,
    state: Vec<Tensor>,
    hyper: Tensor,
    steps: u64,
}

impl Optimizer {
    /// A fresh optimizer for `params`; gradients are clipped to the norm `clip_norm`, if given.
    pub fn new(gpu: &Gpu, params: &Params, rule: Rule, clip_norm: Option<f32>) -> Result<Self> {
        let moments = match rule {
            Rule::Sgd(_) => 1,
            Rule::Adam(_) => 2,
        };
        let zeros = |_| {
            let tensor = Tensor::empty(gpu, params.values().shape())?;
            elementwise::fill(gpu, &tensor, 0.0)?;
            Ok(tensor)
        };
        let state = (0..moments).map(zeros).collect::<Result<_>>()?;
        Ok(Optimizer { rule, clip_norm, state, hyper: Tensor::empty(gpu, &[4])?, steps: 0 })
    }

    /// One step with learning rate `lr` from the gradients in the arena: [`Optimizer::prepare`] and [`Optimizer::apply`].
    pub fn step(&mut self, gpu: &Gpu, params: &Params, lr: f32) -> Result<()> {
        self.prepare(gpu, lr)?;
        self.apply(gpu, params)
    }

    /// Begins a step: writes what changes from step to step (learning rate, corrections) where the kernel reads it. Belongs
    /// before a recorded step, each time.
    pub fn prepare(&mut self, gpu: &Gpu, lr: f32) -> Result<()> {
        let t = self.steps + 1;
        let words = match self.rule {
            Rule::Sgd(rule) => Sgd { lr, ..rule }.hyper(t),
            Rule::Adam(rule) => Adam { lr, ..rule }.hyper(t),
        };
        self.hyper.write_f32(gpu, &words)?;
        self.steps = t;
        Ok(())
    }

    /// The dispatches of a step, the same each time: may be recorded.
    ///
    /// # Errors
    /// [`Error::Invalid`] where no step was begun.
    pub fn apply(&self, gpu: &Gpu, params: &Params) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::Invalid("an optimizer is applied without a step; call `prepare` first".into()));
        }
        let norm = self.clip_norm.map(|max| gradient_norm::clip(gpu, params.grads(), max)).transpose()?;
        let (values, grads, hyper) = (params.values(), params.grads(), &self.hyper);
        match (self.rule, &self.state[..]) {
            (Rule::Sgd(rule), [velocity]) => sgd(gpu, &rule, hyper, values, grads, velocity, norm.as_ref()),
            (Rule::Adam(rule), [m, v]) => adam(gpu, &rule, hyper, values, grads, (m, v), norm.as_ref()),
            _ => Ok(()),
        }
    }

    /// State tensors beside the parameters: 1 for SGD, 2 for Adam.
    pub fn moments(&self) -> usize {
        self.state.len()
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The state's values, for a checkpoint.
    pub fn export(&self, gpu: &Gpu) -> Result<Vec<Vec<f32>>> {
        self.state.iter().map(|t| t.to_f32(gpu)).collect()
    }

    /// Sets the state to what [`Optimizer::export`] gave after `steps` steps.
    pub fn import(&mut self, gpu: &Gpu, state: &[Vec<f32>], steps: u64) -> Result<()> {
        if state.len() != self.state.len() {
            let message = format!("{} optimizer states, expected {}", state.len(), self.state.len());
            return Err(Error::Shape(message));
        }
        for (tensor, values) in self.state.iter().zip(state) {
            tensor.copy_from(gpu, &Tensor::from_f32(gpu, values, tensor.shape())?)?;
        }
        self.steps = steps;
        Ok(())
    }
}
