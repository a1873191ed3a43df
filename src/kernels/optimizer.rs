//! One step of SGD, Adam or AdamW: one dispatch over the parameter arena.

mod workloads;

pub use workloads::workloads;

use super::case::{Case, Check, Permutation, f64s, values};
use crate::gpu::{Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    [0, 1].map(|clip| Permutation { source: SOURCE, defines: defines! { CLIP = clip } }).into()
}

/// Five steps of every rule, with and without clipping.
pub fn cases() -> Vec<Case> {
    let rules = [
        Rule::Sgd(Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 5e-4 }),
        Rule::Sgd(Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4 }),
        Rule::Sgd(Sgd { lr: 0.5, momentum: 0.0, nesterov: false, weight_decay: 0.0 }),
        Rule::Adam(Adam { lr: 1e-2, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, decoupled: false }),
        Rule::Adam(Adam { lr: 1e-2, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, decoupled: true }),
    ];
    let all = rules.into_iter().flat_map(|rule| [1, 3, 64, 185, 4099].map(|n| (rule, n)));
    let all = all.flat_map(|(rule, n)| [None, Some(0.5)].map(|factor| (rule, n, factor)));
    all.map(|(rule, n, factor)| {
        Case::new(format!("{rule:?}, {n} values, clip {factor:?}"), move |gpu| run(gpu, rule, n, factor))
    })
    .collect()
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Sgd(Sgd),
    Adam(Adam),
}

fn run(gpu: &Gpu, rule: Rule, n: usize, factor: Option<f32>) -> Result<Vec<Check>> {
    let start = values(1, n);
    let p = Tensor::from_f32(gpu, &start, &[n])?;
    let (m, v) = (Tensor::empty(gpu, &[n])?, Tensor::empty(gpu, &[n])?);
    let norm = factor.map(|f| Tensor::from_f32(gpu, &[7.0, f], &[2])).transpose()?;
    let hyper = Tensor::empty(gpu, &[WORDS])?;
    let (mut p64, mut m64, mut v64) = (f64s(&start), vec![0.0; n], vec![0.0; n]);
    for t in 1..=5 {
        let g = values(10 + t, n);
        let g64: Vec<f64> = g.iter().map(|g| f64::from(*g) * f64::from(factor.unwrap_or(1.0))).collect();
        let g = Tensor::from_f32(gpu, &g, &[n])?;
        match rule {
            Rule::Sgd(o) => {
                hyper.write_f32(gpu, &o.hyper(t))?;
                sgd(gpu, &o, &hyper, &p, &g, &m, norm.as_ref())?;
                let (lr, momentum) = (o.lr.into(), o.momentum.into());
                let reference = reference::optimizer::Sgd {
                    lr,
                    momentum,
                    nesterov: o.nesterov,
                    weight_decay: o.weight_decay.into(),
                };
                reference.step(&mut p64, &g64, &mut m64, t == 1);
            }
            Rule::Adam(o) => {
                hyper.write_f32(gpu, &o.hyper(t))?;
                adam(gpu, &o, &hyper, &p, &g, (&m, &v), norm.as_ref())?;
                let betas = (o.betas.0.into(), o.betas.1.into());
                let (lr, eps, weight_decay) = (o.lr.into(), o.eps.into(), o.weight_decay.into());
                let reference = reference::optimizer::Adam { lr, betas, eps, weight_decay, decoupled: o.decoupled };
                reference.step(&mut p64, &g64, &mut m64, &mut v64, t as u32);
            }
        }
    }
    let mut checks =
        vec![Check::sum("value", p.to_f32(gpu)?, p64, 5), Check::sum("first moment", m.to_f32(gpu)?, m64, 5)];
    if let Rule::Adam(_) = rule {
        checks.push(Check::sum("second moment", v.to_f32(gpu)?, v64, 5));
    }
    Ok(checks)
}
