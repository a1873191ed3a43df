//! A multi-task network: one trunk, one head per task; and its frozen form.

use super::context::{Context, Mode};
use super::init::{Init, Initializer};
use super::layers::{ConvNorm, Folded, FrozenLinear, Linear, check_batch};
use super::resnet::{Features, ResNet};
use super::trunk::TrunkSpec;
use crate::gpu::Gpu;
use crate::params::{Builder, Params};
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// One task's head: a multi-layer perceptron over the pooled features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadSpec {
    /// The task.
    pub task: String,
    /// Logits it gives.
    pub outputs: usize,
    /// Widths of its hidden layers; none: a single linear layer.
    pub hidden: Vec<usize>,
}

impl HeadSpec {
    /// A single linear layer of `outputs` logits for `task`.
    pub fn linear(task: impl Into<String>, outputs: usize) -> Self {
        HeadSpec { task: task.into(), outputs, hidden: Vec::new() }
    }
}

/// Everything that fixes a network's shape and its initial weights.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkSpec {
    /// The trunk.
    pub trunk: TrunkSpec,
    /// Channels of the images.
    pub channels: usize,
    /// The heads, in the order of the tasks.
    pub heads: Vec<HeadSpec>,
    /// How weights are drawn.
    pub init: Init,
}

/// One trunk and its heads, with their parameters.
#[derive(Debug)]
pub struct Network {
    spec: NetworkSpec,
    trunk: ResNet<ConvNorm>,
    heads: Vec<Vec<Linear>>,
    params: Params,
    /// Where the heads' parameters begin in the arena.
    shared: usize,
}

/// What a network says of a batch.
#[derive(Debug, Clone)]
pub struct Outputs<T> {
    /// `[n, classes]` for each head.
    pub logits: Vec<T>,
    /// The trunk's features.
    pub features: Features<T>,
}

/// The name of layer `i` of `count` in a head, as PyTorch's `ModuleDict` of a `Linear` or a `Sequential` gives it.
fn layer_name(task: &str, i: usize, count: usize) -> String {
    // In a Sequential the ReLUs take every second place.
    if count == 1 { format!("heads.{task}") } else { format!("heads.{task}.{}", 2 * i) }
}

impl Network {
    /// A network with fresh weights drawn from `seed`.
    pub fn new(gpu: &Gpu, spec: NetworkSpec, seed: u64) -> Result<Self> {
        let (mut builder, mut init) = (Builder::default(), Initializer::new(seed, spec.init));
        let trunk = ResNet::new(&mut builder, &mut init, &spec.trunk, spec.channels);
        let shared = builder.len();
        let mut heads = Vec::new();
        for head in &spec.heads {
            let mut widths = vec![trunk.channels()];
            widths.extend(&head.hidden);
            widths.push(head.outputs);
            let count = widths.len() - 1;
            let mut layers = Vec::new();
            for (i, pair) in widths.windows(2).enumerate() {
                let name = layer_name(&head.task, i, count);
                layers.push(Linear::new(&mut builder, &mut init, &name, pair[0], pair[1], i + 1 < count));
            }
            heads.push(layers);
        }
        Ok(Network { trunk, heads, params: builder.build(gpu)?, shared, spec })
    }

    /// What it was made from.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// Its parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Channels of each stage's map.
    pub fn stage_channels(&self) -> Vec<usize> {
        self.trunk.stage_channels()
    }

    /// Multiply-accumulates of one image of `h` x `w`, as a direct convolution.
    pub fn macs(&self, h: usize, w: usize) -> u64 {
        let convs: u64 = self.trunk.shapes(h, w).iter().map(|s| s.macs()).sum();
        convs + self.heads.iter().flatten().map(|l| (l.inputs * l.outputs) as u64).sum::<u64>()
    }

    /// The gradients of the trunk's parameters, `[shared]`: what all tasks have in common.
    pub fn shared_grads(&self) -> Result<Tensor> {
        self.params.grads().slice(0, &[self.shared])
    }

    /// The gradients of the heads' parameters.
    pub fn head_grads(&self) -> Result<Tensor> {
        let grads = self.params.grads();
        grads.slice(self.shared, &[grads.len() - self.shared])
    }

    /// The forward pass over `x` `[n, h, w, c]`; operations go onto `tape`.
    pub fn forward(&self, gpu: &Gpu, tape: &mut Tape, mode: Mode, x: &Var) -> Result<Outputs<Var>> {
        let features = self.features(gpu, tape, mode, x)?;
        let logits = (0..self.heads.len()).map(|k| self.head(gpu, tape, k, &features.pooled)).collect::<Result<_>>()?;
        Ok(Outputs { logits, features })
    }

    /// The trunk's part of [`Network::forward`].
    pub fn features(&self, gpu: &Gpu, tape: &mut Tape, mode: Mode, x: &Var) -> Result<Features<Var>> {
        if x.value().columns() != self.spec.channels {
            let message = format!("images {:?} for a network of {} channels", x.value().shape(), self.spec.channels);
            return Err(Error::Shape(message));
        }
        check_batch(mode, x.value().shape())?;
        self.trunk.forward(&mut Context { gpu, tape, params: &self.params, mode }, x)
    }

    /// The logits of head `k`, `[n, classes]`, from the pooled features `[n, c]`.
    pub fn head(&self, gpu: &Gpu, tape: &mut Tape, k: usize, pooled: &Var) -> Result<Var> {
        let Some(layers) = self.heads.get(k) else {
            return Err(Error::Invalid(format!("head {k} of a network of {} heads", self.heads.len())));
        };
        // Heads have no batch norm: training and evaluation are the same.
        let mut ctx = Context { gpu, tape, params: &self.params, mode: Mode::Eval };
        layers.iter().try_fold(pooled.clone(), |z, layer| layer.forward(&mut ctx, &z))
    }

    /// A copy that can only infer: batch norm folded, no tape, no gradient. Later training does not change it.
    pub fn freeze(&self, gpu: &Gpu) -> Result<Frozen> {
        let head = |layers: &Vec<Linear>| layers.iter().map(|l| l.freeze(gpu, &self.params)).collect::<Result<_>>();
        Ok(Frozen {
            trunk: self.trunk.fold(gpu, &self.params)?,
            heads: self.heads.iter().map(head).collect::<Result<_>>()?,
        })
    }
}

/// A network that only infers: a teacher, or a student in use. It has no training mode, so its batch norm cannot drift.
#[derive(Debug, Clone)]
pub struct Frozen {
    trunk: ResNet<Folded>,
    heads: Vec<Vec<FrozenLinear>>,
}

impl Frozen {
    /// The forward pass over `x` `[n, h, w, c]`.
    pub fn infer(&self, gpu: &Gpu, x: &Tensor) -> Result<Outputs<Tensor>> {
        let features = self.trunk.infer(gpu, x)?;
        let mut logits = Vec::new();
        for head in &self.heads {
            let mut z = features.pooled.clone();
            for layer in head {
                z = layer.infer(gpu, &z)?;
            }
            logits.push(z);
        }
        Ok(Outputs { logits, features })
    }

    /// A hash of every byte it computes with: the same before and after a run, or something wrote into it.
    pub fn fingerprint(&self, gpu: &Gpu) -> Result<u64> {
        let heads = self.heads.iter().flatten().flat_map(FrozenLinear::tensors);
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for tensor in self.trunk.tensors().into_iter().chain(heads) {
            for word in tensor.to_u32(gpu)? {
                hash = (hash ^ u64::from(word)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        Ok(hash)
    }
}
