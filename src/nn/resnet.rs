//! Residual networks (He et al. 2015, arXiv 1512.03385): the CIFAR family of depth 6n + 2 and the ImageNet family of 18 to 152
//! layers, both with projection shortcuts (option B).

use super::arch;
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

/// Convolutions around which the input is carried: `relu(last(…relu(inner(x))) + x)`, with `downsample(x)` where `x` has another
/// shape. An [`arch::Block`] says which.
#[derive(Debug, Clone)]
struct Block<L> {
    inner: Vec<L>,
    last: L,
    downsample: Option<L>,
}

impl<L> Block<L> {
    /// The convolutions one after the other, without the shortcut's.
    fn path(&self) -> impl Iterator<Item = &L> {
        self.inner.iter().chain([&self.last])
    }

    fn try_map<M>(&self, f: impl Fn(&L) -> Result<M>) -> Result<Block<M>> {
        Ok(Block {
            inner: self.inner.iter().map(&f).collect::<Result<_>>()?,
            last: f(&self.last)?,
            downsample: self.downsample.as_ref().map(&f).transpose()?,
        })
    }
}

/// The trunk all tasks share: stem and stages. `L` is [`ConvNorm`] while training, [`Folded`] when frozen.
#[derive(Debug, Clone)]
pub struct ResNet<L> {
    stem: L,
    pool: bool,
    stages: Vec<Vec<Block<L>>>,
    strides: Vec<usize>,
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
        for (i, stage) in spec.stages().into_iter().enumerate() {
            let (width, outputs) = (stage.channels, stage.channels * spec.arch.block().expansion());
            let [before, dilation] = stage.dilation;
            let mut blocks = Vec::new();
            for j in 0..stage.blocks {
                let (stride, first) = if j == 0 { (stage.stride, before) } else { (1, dilation) };
                let name = |part: &str| format!("layer{}.{j}.{part}", i + 1);
                let mut conv = |names: (&str, &str), ci, co, kernel, stride| {
                    ConvNorm::new(b, init, (&name(names.0), &name(names.1)), ci, co, kernel, stride)
                };
                let (inner, last) = match spec.arch.block() {
                    arch::Block::Basic => (
                        vec![conv(("conv1", "bn1"), inputs, width, 3, stride).dilated(first)],
                        conv(("conv2", "bn2"), width, outputs, 3, 1).dilated(dilation),
                    ),
                    arch::Block::Bottleneck => (
                        vec![
                            conv(("conv1", "bn1"), inputs, width, 1, 1),
                            conv(("conv2", "bn2"), width, width, 3, stride).dilated(first),
                        ],
                        conv(("conv3", "bn3"), width, outputs, 1, 1),
                    ),
                };
                // A stage that is dilated keeps the projection it would have, so that its parameters are the same.
                let downsample = (j == 0 && (i > 0 || inputs != outputs))
                    .then(|| conv(("downsample.0", "downsample.1"), inputs, outputs, 1, stride));
                blocks.push(Block { inner, last, downsample });
                inputs = outputs;
            }
            stages.push(blocks);
        }
        ResNet { stem, pool: spec.stem == Stem::ImageNet, stages, strides: spec.strides(), channels: inputs }
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
                for layer in &block.inner {
                    x = layer.forward(ctx, &x, None, true)?;
                }
                x = block.last.forward(ctx, &x, Some(&shortcut), true)?;
            }
            maps.push(x.clone());
        }
        Ok(Features { pooled: ctx.global_avg_pool(&x)?, maps, image })
    }

    /// The trunk with every norm folded into its convolution.
    pub fn fold(&self, gpu: &Gpu, params: &Params) -> Result<ResNet<Folded>> {
        let fold = |layer: &ConvNorm| layer.fold(gpu, params);
        let stage = |s: &Vec<Block<ConvNorm>>| s.iter().map(|b| b.try_map(fold)).collect::<Result<Vec<_>>>();
        Ok(ResNet {
            stem: fold(&self.stem)?,
            pool: self.pool,
            stages: self.stages.iter().map(stage).collect::<Result<_>>()?,
            strides: self.strides.clone(),
            channels: self.channels,
        })
    }

    /// Every convolution's shape for one image of `h` x `w`, and height and width of each stage's map.
    fn walk(&self, h: usize, w: usize) -> (Vec<Conv2d>, Vec<[usize; 2]>) {
        let stem = self.stem.shape(1, h, w);
        let (mut h, mut w) = (stem.oh(), stem.ow());
        if self.pool {
            let pool = stem_pool(1, h, w, 1);
            (h, w) = (pool.oh(), pool.ow());
        }
        let (mut shapes, mut sizes) = (vec![stem], Vec::new());
        for stage in &self.stages {
            for block in stage {
                shapes.extend(block.downsample.iter().map(|d| d.shape(1, h, w)));
                for layer in block.path() {
                    let s = layer.shape(1, h, w);
                    (h, w) = (s.oh(), s.ow());
                    shapes.push(s);
                }
            }
            sizes.push([h, w]);
        }
        (shapes, sizes)
    }

    /// Every convolution's shape for one image of `h` x `w`.
    pub fn shapes(&self, h: usize, w: usize) -> Vec<Conv2d> {
        self.walk(h, w).0
    }

    /// Height and width of each stage's map for images of `h` x `w`.
    pub fn map_sizes(&self, h: usize, w: usize) -> Vec<[usize; 2]> {
        self.walk(h, w).1
    }

    /// Channels of each stage's map.
    pub fn stage_channels(&self) -> Vec<usize> {
        self.stages.iter().filter_map(|s| s.last()).map(|b| b.last.co).collect()
    }
}

impl<L> ResNet<L> {
    /// Pixels of the image from one place to the next, in each stage's map.
    pub fn strides(&self) -> Vec<usize> {
        self.strides.clone()
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
                for layer in &block.inner {
                    x = layer.infer(gpu, &x, None, true)?;
                }
                x = block.last.infer(gpu, &x, Some(&shortcut), true)?;
            }
            maps.push(x.clone());
        }
        Ok(Features { pooled: crate::kernels::pool::global_avg(gpu, &x)?, maps, image })
    }

    /// Every tensor it computes with.
    pub fn tensors(&self) -> Vec<&Tensor> {
        let blocks = self.stages.iter().flatten();
        let layers = blocks.flat_map(|b| b.path().chain(&b.downsample));
        std::iter::once(&self.stem).chain(layers).flat_map(Folded::tensors).collect()
    }
}
