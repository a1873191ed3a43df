//! An optimiser: a rule and its state beside the parameters.

use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::optimizer::{Adam, Sgd, adam, sgd};
use crate::kernels::{elementwise, gradient_norm};
use crate::params::Params;
use crate::tensor::Tensor;

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
    steps: u64,
}

impl Optimizer {
    /// A fresh optimiser for `params`; gradients are clipped to the norm `clip_norm`, if given.
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
        Ok(Optimizer { rule, clip_norm, state, steps: 0 })
    }

    /// One step with learning rate `lr` from the gradients in the arena.
    pub fn step(&mut self, gpu: &Gpu, params: &Params, lr: f32) -> Result<()> {
        let norm = self.clip_norm.map(|max| gradient_norm::clip(gpu, params.grads(), max)).transpose()?;
        let first = self.steps == 0;
        self.steps += 1;
        match (self.rule, &self.state[..]) {
            (Rule::Sgd(rule), [velocity]) => {
                sgd(gpu, &Sgd { lr, ..rule }, params.values(), params.grads(), velocity, first, norm.as_ref())
            }
            (Rule::Adam(rule), [m, v]) => {
                let rule = Adam { lr, ..rule };
                adam(gpu, &rule, params.values(), params.grads(), (m, v), self.steps, norm.as_ref())
            }
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
            let message = format!("{} optimiser states, expected {}", state.len(), self.state.len());
            return Err(crate::Error::Shape(message));
        }
        for (tensor, values) in self.state.iter().zip(state) {
            tensor.copy_from(gpu, &Tensor::from_f32(gpu, values, tensor.shape())?)?;
        }
        self.steps = steps;
        Ok(())
    }
}
