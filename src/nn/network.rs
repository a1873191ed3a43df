//! A multi-task network: one trunk, one head per task; and its frozen form.

use super::context::{Context, Mode};
use super::head::{Head, HeadSpec, detector_stages};
use super::init::{Init, Initializer};
use super::layers::{ConvNorm, Folded, FrozenLinear, Linear, check_batch};
use super::maps::{HeadMaps, HeadOutputs};
use super::resnet::{Features, ResNet};
use super::trunk::TrunkSpec;
use crate::gpu::Gpu;
use crate::hash;
use crate::kernels::fcos::Level;
use crate::params::{Builder, Params};
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;
use crate::{Error, Result};

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
    heads: Vec<Head<ConvNorm, Linear>>,
    params: Params,
    /// Where the heads' parameters begin in the arena.
    shared: usize,
}

/// What a network says of a batch.
#[derive(Debug, Clone)]
pub struct Outputs<T> {
    /// For each head `[n, outputs]`, `[n, h, w, outputs]` where the task is asked of every pixel, or `[n, places, outputs]` of a
    /// detector.
    pub logits: Vec<T>,
    /// The trunk's features.
    pub features: Features<T>,
    /// For each head the maps it says that from.
    pub maps: Vec<HeadMaps<T>>,
}

impl<T> Outputs<T> {
    fn new(features: Features<T>, heads: Vec<HeadOutputs<T>>) -> Self {
        let (logits, maps) = heads.into_iter().map(|h| (h.logits, h.maps)).unzip();
        Outputs { logits, features, maps }
    }
}

impl Network {
    /// A network with fresh weights drawn from `seed`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a trunk that dilates more stages than halve; errors of the device.
    pub fn new(gpu: &Gpu, spec: NetworkSpec, seed: u64) -> Result<Self> {
        spec.trunk.check()?;
        let (mut builder, mut init) = (Builder::default(), Initializer::new(seed, spec.init));
        let trunk = ResNet::new(&mut builder, &mut init, &spec.trunk, spec.channels);
        let shared = builder.len();
        let stages = trunk.stage_channels();
        let heads = spec.heads.iter().map(|head| Head::new(&mut builder, &mut init, head, &stages)).collect();
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

    /// Pixels from one place of each stage's map to the next.
    pub fn strides(&self) -> Vec<usize> {
        self.trunk.strides()
    }

    /// Channels of the maps of every head.
    pub fn head_channels(&self) -> Vec<HeadMaps<usize>> {
        let stages = self.stage_channels().len();
        self.heads.iter().map(|head| head.channels(stages)).collect()
    }

    /// Multiply-accumulates of one image of `h` x `w`, as a direct convolution.
    pub fn macs(&self, h: usize, w: usize) -> u64 {
        let convs: u64 = self.trunk.shapes(h, w).iter().map(|s| s.macs()).sum();
        let maps = self.trunk.map_sizes(h, w);
        convs + self.heads.iter().map(|head| head.macs(&maps)).sum::<u64>()
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
        let heads = (0..self.heads.len()).map(|k| self.head(gpu, tape, mode, k, &features)).collect::<Result<_>>()?;
        Ok(Outputs::new(features, heads))
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

    /// What head `k` says, from the trunk's features.
    pub fn head(
        &self,
        gpu: &Gpu,
        tape: &mut Tape,
        mode: Mode,
        k: usize,
        features: &Features<Var>,
    ) -> Result<HeadOutputs<Var>> {
        let Some(head) = self.heads.get(k) else {
            return Err(Error::Invalid(format!("head {k} of a network of {} heads", self.heads.len())));
        };
        head.forward(&mut Context { gpu, tape, params: &self.params, mode }, features)
    }

    /// Whether some head looks at the stages' maps rather than at the pooled features.
    pub fn looks_at_maps(&self) -> bool {
        self.heads.iter().any(Head::looks_at_maps)
    }

    /// The levels of a detector's places for images of `[h, w]`.
    pub fn detector_levels(&self, image: [usize; 2]) -> Vec<Level> {
        levels(&self.trunk.strides(), image)
    }

    /// A copy that can only infer: batch norm folded, no tape, no gradient. Later training does not change it.
    pub fn freeze(&self, gpu: &Gpu) -> Result<Frozen> {
        Ok(Frozen {
            trunk: self.trunk.fold(gpu, &self.params)?,
            heads: self.heads.iter().map(|h| h.freeze(gpu, &self.params)).collect::<Result<_>>()?,
        })
    }
}

/// Convolutions and pooling keep every place that is begun, so a map is as large as its image, divided and rounded up.
fn levels(strides: &[usize], image: [usize; 2]) -> Vec<Level> {
    let level = |stride: &usize| Level { size: image.map(|side| side.div_ceil(*stride)), stride: *stride as f32 };
    strides[detector_stages(strides.len())].iter().map(level).collect()
}

/// A network that only infers: a teacher, or a student in use. It has no training mode, so its batch norm cannot drift.
#[derive(Debug, Clone)]
pub struct Frozen {
    trunk: ResNet<Folded>,
    heads: Vec<Head<Folded, FrozenLinear>>,
}

impl Frozen {
    /// The forward pass over `x` `[n, h, w, c]`.
    pub fn infer(&self, gpu: &Gpu, x: &Tensor) -> Result<Outputs<Tensor>> {
        let features = self.trunk.infer(gpu, x)?;
        let heads = self.heads.iter().map(|head| head.infer(gpu, &features)).collect::<Result<_>>()?;
        Ok(Outputs::new(features, heads))
    }

    /// The levels of a detector's places for images of `[h, w]`.
    pub fn detector_levels(&self, image: [usize; 2]) -> Vec<Level> {
        levels(&self.trunk.strides(), image)
    }

    /// Lets head number `head`, which answers in numbers standardised by the mean and deviation `from`, answer in numbers standardised
    /// by `to`: the change becomes part of its last layer.
    ///
    /// # Errors
    /// GPU errors.
    pub fn restandardise(&mut self, gpu: &Gpu, head: usize, from: (f32, f32), to: (f32, f32)) -> Result<()> {
        let [(from_mean, from_std), (to_mean, to_std)] = [from, to].map(|(m, s)| (f64::from(m), f64::from(s)));
        match self.heads.get_mut(head) {
            Some(head) => head.rescale(gpu, from_std / to_std, (from_mean - to_mean) / to_std),
            None => Ok(()),
        }
    }

    /// A hash of every byte it computes with: the same before and after a run, or something wrote into it.
    pub fn fingerprint(&self, gpu: &Gpu) -> Result<u64> {
        let heads = self.heads.iter().flat_map(Head::tensors);
        let mut hash = hash::EMPTY;
        for tensor in self.trunk.tensors().into_iter().chain(heads) {
            for word in tensor.to_u32(gpu)? {
                hash = hash::extend_word(hash, u64::from(word));
            }
        }
        Ok(hash)
    }
}
