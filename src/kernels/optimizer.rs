//! One step of SGD, Adam or AdamW: one dispatch over the parameter arena.

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

fn check(value: &Tensor, others: &[&Tensor]) -> Result<usize> {
    match others.iter().find(|t| t.len() != value.len()) {
        Some(t) => Err(Error::Shape(format!("optimizer: {:?} beside {:?}", t.shape(), value.shape()))),
        None => Ok(value.len().div_ceil(4)),
    }
}

/// One SGD step in place; `first` ignores the velocity's old content. `norm` is what
/// [`gradient_norm`](super::gradient_norm::clip) left: the gradient is scaled by its factor.
pub fn sgd(gpu: &Gpu, o: &Sgd, value: &Tensor, grad: &Tensor, velocity: &Tensor, first: bool, norm: Option<&Tensor>) -> Result<()> {
    let length = check(value, &[grad, velocity])?;
    let mut launch = gpu
        .launch(SOURCE, "sgd", &defines! { CLIP = norm.is_some() })?
        .bind("value", value)
        .bind("grad", grad)
        .bind("first_moment", velocity)
        .u32("length", length)
        .u32("first", usize::from(first))
        .u32("nesterov", usize::from(o.nesterov))
        .u32("decoupled", 0)
        .f32("lr", o.lr)
        .f32("momentum", o.momentum)
        .f32("weight_decay", o.weight_decay);
    for unused in ["beta1", "beta2", "eps", "correction1", "correction2"] {
        launch = launch.f32(unused, 0.0);
    }
    if let Some(norm) = norm {
        launch = launch.bind("norm", norm);
    }
    launch.threads(length)
}

/// Step `t` (from 1) of Adam or AdamW in place.
pub fn adam(gpu: &Gpu, o: &Adam, value: &Tensor, grad: &Tensor, (m, v): (&Tensor, &Tensor), t: u64, norm: Option<&Tensor>) -> Result<()> {
    let length = check(value, &[grad, m, v])?;
    // In f64 on the CPU: 1 − 0.999ᵗ loses half its digits in f32 at the first steps.
    let bias = |beta: f32| 1.0 - f64::from(beta).powf(t as f64);
    let mut launch = gpu
        .launch(SOURCE, "adam", &defines! { CLIP = norm.is_some() })?
        .bind("value", value)
        .bind("grad", grad)
        .bind("first_moment", m)
        .bind("second_moment", v)
        .u32("length", length)
        .u32("first", usize::from(t == 1))
        .u32("nesterov", 0)
        .u32("decoupled", usize::from(o.decoupled))
        .f32("lr", o.lr)
        .f32("momentum", 0.0)
        .f32("weight_decay", o.weight_decay)
        .f32("beta1", o.betas.0)
        .f32("beta2", o.betas.1)
        .f32("eps", o.eps)
        .f32("correction1", bias(o.betas.0) as f32)
        .f32("correction2", bias(o.betas.1).sqrt() as f32);
    if let Some(norm) = norm {
        launch = launch.bind("norm", norm);
    }
    launch.threads(length)
}
