//! Residual networks (He et al. 2016): the CIFAR family of depth 6n + 2 and the ImageNet family of 18 and 34 layers,
//! both with projection shortcuts (option B).

use super::context::Context;
use super::init::Initializer;
use super::layers::{ConvNorm, Folded};
use super::trunk::{Stem, TrunkSpec};
use crate::gpu::Gpu;
use crate::params::{Builder, Params};
use crate::shape::{Conv2d, Pool2d};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// Two 3x3 convolutions around which the input is carried.
#[derive(Debug, Clone)]
struct Block<L> {
    conv1: L,
    conv2: L,
    downsample: Option<L>,
}

/// The trunk all tasks share: stem and stages. `L` is [`ConvNorm`] while training, [`Folded`] when frozen.
#[derive(Debug, Clone)]
pub struct ResNet<L> {
    stem: L,
    pool: bool,
    stages: Vec<Vec<Block<L>>>,
    channels: usize,
}

/// What the trunk gives: the pooled features and the maps after each stage.
#[derive(Debug, Clone)]
pub struct Features<T> {
    /// `[n, c]`, the mean over height and width.
    pub pooled: T,
    /// `[n, h, w, c]` after each stage, called `layer1`, `layer2`, ….
    pub maps: Vec<T>,
    /// Height and width of the images.
    pub image: [usize; 2],
}

fn image_size(x: &Tensor) -> Result<[usize; 2]> {
    match x.shape() {
        &[_, h, w, _] => Ok([h, w]),
        other => Err(Error::Shape(format!("a trunk takes images [n, h, w, c], not {other:?}"))),
    }
}

/// The window after the ImageNet stem.
fn stem_pool(n: usize, h: usize, w: usize, c: usize) -> Pool2d {
    Pool2d { n, h, w, c, kernel: 3, stride: 2, padding: 1 }
}

impl ResNet<ConvNorm> {
    /// A new trunk for images of `channels` channels.
    pub fn new(b: &mut Builder, init: &mut Initializer, spec: &TrunkSpec, channels: usize) -> Self {
        let (kernel, stride) = match spec.stem {
            Stem::Small => (3, 1),
            Stem::ImageNet => (7, 2),
        };
        let stem = ConvNorm::new(b, init, ("conv1", "bn1"), channels, spec.stem_channels(), kernel, stride);
        let mut inputs = spec.stem_channels();
        let mut stages = Vec::new();
        for (i, (blocks, outputs)) in spec.stages().into_iter().enumerate() {
            let mut stage = Vec::new();
            for j in 0..blocks {
                let stride = if i > 0 && j == 0 { 2 } else { 1 };
                let name = |part: &str| format!("layer{}.{j}.{part}", i + 1);
                let mut conv = |names: (&str, &str), ci, co, kernel, stride| {
                    ConvNorm::new(b, init, (&name(names.0), &name(names.1)), ci, co, kernel, stride)
                };
                stage.push(Block {
                    conv1: conv(("conv1", "bn1"), inputs, outputs, 3, stride),
                    conv2: conv(("conv2", "bn2"), outputs, outputs, 3, 1),
                    downsample: (stride != 1 || inputs != outputs)
                        .then(|| conv(("downsample.0", "downsample.1"), inputs, outputs, 1, stride)),
                });
                inputs = outputs;
            }
            stages.push(stage);
        }
        ResNet { stem, pool: spec.stem == Stem::ImageNet, stages, channels: inputs }
    }

    /// The forward pass over `[n, h, w, c]`.
    pub fn forward(&self, ctx: &mut Context, x: &Var) -> Result<Features<Var>> {
        let image = image_size(x.value())?;
        let mut x = self.stem.forward(ctx, x, None, true)?;
        if self.pool
            && let &[n, h, w, c] = x.value().shape()
        {
            x = ctx.max_pool(stem_pool(n, h, w, c), &x)?;
        }
        let mut maps = Vec::new();
        for stage in &self.stages {
            for block in stage {
                let shortcut = match &block.downsample {
                    Some(layer) => layer.forward(ctx, &x, None, false)?,
                    None => x.clone(),
                };
                let inner = block.conv1.forward(ctx, &x, None, true)?;
                x = block.conv2.forward(ctx, &inner, Some(&shortcut), true)?;
            }
            maps.push(x.clone());
        }
        Ok(Features { pooled: ctx.global_avg_pool(&x)?, maps, image })
    }

    /// The trunk with every norm folded into its convolution.
    pub fn fold(&self, gpu: &Gpu, params: &Params) -> Result<ResNet<Folded>> {
        let fold = |layer: &ConvNorm| layer.fold(gpu, params);
        let block = |b: &Block<ConvNorm>| {
            Ok(Block {
                conv1: fold(&b.conv1)?,
                conv2: fold(&b.conv2)?,
                downsample: b.downsample.as_ref().map(fold).transpose()?,
            })
        };
        let stage = |s: &Vec<Block<ConvNorm>>| s.iter().map(block).collect::<Result<Vec<_>>>();
        Ok(ResNet {
            stem: fold(&self.stem)?,
            pool: self.pool,
            stages: self.stages.iter().map(stage).collect::<Result<_>>()?,
            channels: self.channels,
        })
    }

    /// Every convolution's shape for one image of `h` x `w`.
    pub fn shapes(&self, h: usize, w: usize) -> Vec<Conv2d> {
        let mut all = vec![self.stem.shape(1, h, w)];
        let (mut h, mut w) = (all[0].oh(), all[0].ow());
        if self.pool {
            let p = stem_pool(1, h, w, 1);
            (h, w) = (p.oh(), p.ow());
        }
        for block in self.stages.iter().flatten() {
            all.extend(block.downsample.iter().map(|d| d.shape(1, h, w)));
            let first = block.conv1.shape(1, h, w);
            (h, w) = (first.oh(), first.ow());
            all.extend([first, block.conv2.shape(1, h, w)]);
        }
        all
    }

    /// Height and width of each stage's map for images of `h` x `w`.
    pub fn map_sizes(&self, h: usize, w: usize) -> Vec<[usize; 2]> {
        let stem = self.stem.shape(1, h, w);
        let (mut h, mut w) = (stem.oh(), stem.ow());
        if self.pool {
            let pool = stem_pool(1, h, w, 1);
            (h, w) = (pool.oh(), pool.ow());
        }
        let mut after = |stage: &Vec<Block<ConvNorm>>| {
            for block in stage {
                let first = block.conv1.shape(1, h, w);
                (h, w) = (first.oh(), first.ow());
            }
            [h, w]
        };
        self.stages.iter().map(&mut after).collect()
    }

    /// Channels of each stage's map.
    pub fn stage_channels(&self) -> Vec<usize> {
        self.stages.iter().filter_map(|s| s.last()).map(|b| b.conv2.co).collect()
    }
}

impl<L> ResNet<L> {
    /// Pixels of the image from one place to the next, in each stage's map.
    pub fn strides(&self) -> Vec<usize> {
        let stem = if self.pool { 4 } else { 1 };
        // Every stage but the first halves.
        (0..self.stages.len()).map(|i| stem << i).collect()
    }

    /// Channels of the pooled features.
    pub fn channels(&self) -> usize {
        self.channels
    }
}

impl ResNet<Folded> {
    /// The forward pass over `[n, h, w, c]`, recording nothing.
    pub fn infer(&self, gpu: &Gpu, x: &Tensor) -> Result<Features<Tensor>> {
        let image = image_size(x)?;
        let mut x = self.stem.infer(gpu, x, None, true)?;
        if self.pool
            && let &[n, h, w, c] = x.shape()
        {
            x = crate::kernels::pool::max(gpu, &stem_pool(n, h, w, c), &x)?;
        }
        let mut maps = Vec::new();
        for stage in &self.stages {
            for block in stage {
                let shortcut = match &block.downsample {
                    Some(layer) => layer.infer(gpu, &x, None, false)?,
                    None => x.clone(),
                };
                let inner = block.conv1.infer(gpu, &x, None, true)?;
                x = block.conv2.infer(gpu, &inner, Some(&shortcut), true)?;
            }
            maps.push(x.clone());
        }
        Ok(Features { pooled: crate::kernels::pool::global_avg(gpu, &x)?, maps, image })
    }

    /// Every tensor it computes with.
    pub fn tensors(&self) -> Vec<&Tensor> {
        let blocks = self.stages.iter().flatten();
        let layers = blocks.flat_map(|b| [Some(&b.conv1), Some(&b.conv2), b.downsample.as_ref()]).flatten();
        std::iter::once(&self.stem).chain(layers).flat_map(Folded::tensors).collect()
    }
}
