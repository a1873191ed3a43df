//! One step of SGD, Adam or AdamW: one dispatch over the parameter arena.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use crate::gpu::{Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "optimizer", text: include_str!("../../shaders/optimizer.wgsl") };

/// SGD with momentum (Sutskever et al. 2013, in PyTorch's form).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f32,
    /// μ.
    pub momentum: f32,
    /// Nesterov's form.
    pub nesterov: bool,
    /// λ, added to the gradient.
    pub weight_decay: f32,
}

/// Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f32,
    /// β₁, β₂.
    pub betas: (f32, f32),
    /// ε.
    pub eps: f32,
    /// λ.
    pub weight_decay: f32,
    /// Decay the value itself (AdamW) rather than through the gradient.
    pub decoupled: bool,
}

/// Length of `hyper`.
const WORDS: usize = 4;

impl Sgd {
    /// The words that change from step to step, as [`sgd`] reads them; `t` counts from 1. The first step ignores the
    /// velocity's old content.
    pub fn hyper(&self, t: u64) -> [f32; WORDS] {
        [self.lr, f32::from(u8::from(t == 1)), 1.0, 1.0]
    }
}

impl Adam {
    /// The words that change from step to step, as [`adam`] reads them; `t` counts from 1.
    pub fn hyper(&self, t: u64) -> [f32; WORDS] {
        // In f64 on the CPU: 1 − 0.999ᵗ loses half its digits in f32 at the first steps.
        let bias = |beta: f32| 1.0 - f64::from(beta).powf(t as f64);
        [self.lr, f32::from(u8::from(t == 1)), bias(self.betas.0) as f32, bias(self.betas.1).sqrt() as f32]
    }
}

fn check(hyper: &Tensor, value: &Tensor, others: &[&Tensor]) -> Result<usize> {
    if hyper.len() != WORDS {
        return Err(Error::Shape(format!("optimizer: hyper is {:?}, expected [{WORDS}]", hyper.shape())));
    }
    match others.iter().find(|t| t.len() != value.len()) {
        Some(t) => Err(Error::Shape(format!("optimizer: {:?} beside {:?}", t.shape(), value.shape()))),
        None => Ok(value.len().div_ceil(4)),
    }
}

/// One SGD step in place. `hyper` `[4]` holds what [`Sgd::hyper`] gives; `o.lr` is not looked at. `norm` is what
/// [`gradient_norm`](super::gradient_norm::clip) left: the gradient is scaled by its factor.
pub fn sgd(
    gpu: &Gpu,
    o: &Sgd,
    hyper: &Tensor,
    value: &Tensor,
    grad: &Tensor,
    velocity: &Tensor,
    norm: Option<&Tensor>,
) -> Result<()> {
    let length = check(hyper, value, &[grad, velocity])?;
    let mut launch = gpu
        .launch(SOURCE, "sgd", &defines! { CLIP = norm.is_some() })?
        .bind("value", value)
        .bind("grad", grad)
        .bind("first_moment", velocity)
        .bind("hyper", hyper)
        .u32("length", length)
        .u32("nesterov", usize::from(o.nesterov))
        .f32("momentum", o.momentum)
        .f32("weight_decay", o.weight_decay);
    if let Some(norm) = norm {
        launch = launch.bind("norm", norm);
    }
    launch.threads(length)
}

/// One step of Adam or AdamW in place. `hyper` `[4]` holds what [`Adam::hyper`] gives; `o.lr` is not looked at.
pub fn adam(
    gpu: &Gpu,
    o: &Adam,
    hyper: &Tensor,
    value: &Tensor,
    grad: &Tensor,
    (m, v): (&Tensor, &Tensor),
    norm: Option<&Tensor>,
) -> Result<()> {
    let length = check(hyper, value, &[grad, m, v])?;
    let mut launch = gpu
        .launch(SOURCE, "adam", &defines! { CLIP = norm.is_some() })?
        .bind("value", value)
        .bind("grad", grad)
        .bind("first_moment", m)
        .bind("second_moment", v)
        .bind("hyper", hyper)
        .u32("length", length)
        .u32("decoupled", usize::from(o.decoupled))
        .f32("weight_decay", o.weight_decay)
        .f32("beta1", o.betas.0)
        .f32("beta2", o.betas.1)
        .f32("eps", o.eps);
    if let Some(norm) = norm {
        launch = launch.bind("norm", norm);
    }
    launch.threads(length)
}
