//! Heads: what follows the trunk for one task.

use super::context::Context;
use super::decoder::Decoder;
use super::detector::{self, BESIDE, Detector};
use super::init::Initializer;
use super::layers::{ConvNorm, Folded, FrozenLinear, Linear};
use super::maps::{HeadMaps, HeadOutputs};
use super::resnet::Features;
use crate::Result;
use crate::gpu::Gpu;
use crate::params::{Builder, Params};
use crate::tape::Var;
use crate::tensor::Tensor;

/// A head's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadKind {
    /// A multi-layer perceptron over the pooled features: one answer for each image.
    Pooled {
        /// Widths of its hidden layers; none: a single linear layer.
        hidden: Vec<usize>,
    },
    /// A decoder over the maps of all stages: one answer for each pixel.
    Decoder {
        /// Its width.
        channels: usize,
    },
    /// A detector over the maps of all stages but the first: one answer for each place of a pyramid, level by level.
    Detector {
        /// Its width.
        channels: usize,
    },
}

/// One task's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadSpec {
    /// The task.
    pub task: String,
    /// Values it gives for each image, or for each pixel.
    pub outputs: usize,
    /// Its shape.
    pub kind: HeadKind,
}

impl HeadSpec {
    /// A single linear layer of `outputs` logits for `task`.
    pub fn linear(task: impl Into<String>, outputs: usize) -> Self {
        Self::mlp(task, outputs, &[])
    }

    /// A perceptron with hidden layers of these widths.
    pub fn mlp(task: impl Into<String>, outputs: usize, hidden: &[usize]) -> Self {
        HeadSpec { task: task.into(), outputs, kind: HeadKind::Pooled { hidden: hidden.to_vec() } }
    }

    /// A decoder of `channels` channels.
    pub fn decoder(task: impl Into<String>, outputs: usize, channels: usize) -> Self {
        HeadSpec { task: task.into(), outputs, kind: HeadKind::Decoder { channels } }
    }

    /// A detector of `classes` classes, `channels` wide. It gives `classes + 5` values for each place: the classes' logits, the
    /// logarithms of the distances to the left, upper, right and lower edge in strides, and the logit of centre-ness.
    pub fn detector(task: impl Into<String>, classes: usize, channels: usize) -> Self {
        HeadSpec { task: task.into(), outputs: classes + BESIDE, kind: HeadKind::Detector { channels } }
    }
}

/// The stages of a trunk of so many whose maps a detector's levels are made of.
pub fn detector_stages(stages: usize) -> std::ops::Range<usize> {
    detector::stages(stages)
}

/// A head in a network that is trained, or in a frozen one.
#[derive(Debug, Clone)]
pub(super) enum Head<L, O> {
    Pooled(Vec<O>),
    Decoder(Decoder<L, O>),
    Detector(Detector<L, O>),
}

/// The name of layer `i` of `count` in a head, as PyTorch's `ModuleDict` of a `Linear` or a `Sequential` gives it.
fn layer_name(task: &str, i: usize, count: usize) -> String {
    // In a Sequential the ReLUs take every second place.
    if count == 1 { format!("heads.{task}") } else { format!("heads.{task}.{}", 2 * i) }
}

impl Head<ConvNorm, Linear> {
    /// A new head over a trunk whose stages have these channels.
    pub(super) fn new(b: &mut Builder, init: &mut Initializer, spec: &HeadSpec, stages: &[usize]) -> Self {
        match &spec.kind {
            HeadKind::Pooled { hidden } => {
                let mut widths = vec![stages.last().copied().unwrap_or(0)];
                widths.extend(hidden);
                widths.push(spec.outputs);
                let count = widths.len() - 1;
                let layer = |(i, pair): (usize, &[usize])| {
                    Linear::new(b, init, &layer_name(&spec.task, i, count), pair[0], pair[1], i + 1 < count)
                };
                Head::Pooled(widths.windows(2).enumerate().map(layer).collect())
            }
            HeadKind::Decoder { channels } => {
                let name = format!("heads.{}", spec.task);
                Head::Decoder(Decoder::new(b, init, &name, stages, *channels, spec.outputs))
            }
            HeadKind::Detector { channels } => {
                let name = format!("heads.{}", spec.task);
                Head::Detector(Detector::new(b, init, &name, stages, *channels, spec.outputs))
            }
        }
    }

    pub(super) fn forward(&self, ctx: &mut Context, features: &Features<Var>) -> Result<HeadOutputs<Var>> {
        match self {
            Head::Pooled(layers) => {
                let logits = layers.iter().try_fold(features.pooled.clone(), |z, layer| layer.forward(ctx, &z))?;
                Ok(HeadOutputs { logits, maps: HeadMaps::none() })
            }
            Head::Decoder(decoder) => decoder.forward(ctx, &features.maps, features.image),
            Head::Detector(detector) => detector.forward(ctx, &features.maps),
        }
    }

    pub(super) fn freeze(&self, gpu: &Gpu, params: &Params) -> Result<Head<Folded, FrozenLinear>> {
        Ok(match self {
            Head::Pooled(layers) => Head::Pooled(layers.iter().map(|l| l.freeze(gpu, params)).collect::<Result<_>>()?),
            Head::Decoder(decoder) => Head::Decoder(decoder.freeze(gpu, params)?),
            Head::Detector(detector) => Head::Detector(detector.freeze(gpu, params)?),
        })
    }

    /// The channels of its maps over a trunk of so many stages.
    pub(super) fn channels(&self, stages: usize) -> HeadMaps<usize> {
        match self {
            Head::Pooled(_) => HeadMaps::none(),
            Head::Decoder(decoder) => decoder.channels(),
            Head::Detector(detector) => detector.channels(stages),
        }
    }

    /// Multiply-accumulates for one image, whose stages' maps have these sizes.
    pub(super) fn macs(&self, maps: &[[usize; 2]]) -> u64 {
        match self {
            Head::Pooled(layers) => layers.iter().map(|l| (l.inputs * l.outputs) as u64).sum(),
            Head::Decoder(decoder) => decoder.macs(maps),
            Head::Detector(detector) => detector.macs(maps),
        }
    }
}

impl<L, O> Head<L, O> {
    /// Whether it looks at the stages' maps rather than at the pooled features.
    pub(super) fn looks_at_maps(&self) -> bool {
        matches!(self, Head::Decoder(_) | Head::Detector(_))
    }
}

impl Head<Folded, FrozenLinear> {
    pub(super) fn infer(&self, gpu: &Gpu, features: &Features<Tensor>) -> Result<HeadOutputs<Tensor>> {
        match self {
            Head::Pooled(layers) => {
                let logits = layers.iter().try_fold(features.pooled.clone(), |z, layer| layer.infer(gpu, &z))?;
                Ok(HeadOutputs { logits, maps: HeadMaps::none() })
            }
            Head::Decoder(decoder) => decoder.infer(gpu, &features.maps, features.image),
            Head::Detector(detector) => detector.infer(gpu, &features.maps),
        }
    }

    /// Makes every answer `scale` times what it was, plus `shift`; nothing where a detector answers.
    pub(super) fn rescale(&mut self, gpu: &Gpu, scale: f64, shift: f64) -> Result<()> {
        let answers = match self {
            Head::Pooled(layers) => layers.last_mut(),
            // Enlarging averages answers with weights that sum to 1, so it may come after.
            Head::Decoder(decoder) => Some(&mut decoder.answers),
            Head::Detector(_) => None,
        };
        if let Some(layer) = answers {
            *layer = layer.affine(gpu, scale, shift)?;
        }
        Ok(())
    }

    /// Every tensor it computes with.
    pub(super) fn tensors(&self) -> Vec<&Tensor> {
        match self {
            Head::Pooled(layers) => layers.iter().flat_map(FrozenLinear::tensors).collect(),
            Head::Decoder(decoder) => decoder.tensors(),
            Head::Detector(detector) => detector.tensors(),
        }
    }
}
