//! Networks on disk: safetensors with PyTorch's names and layouts, and beside them what is needed to use them.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Labels, Task, TaskKind};
use crate::files::write_atomic;
use crate::gpu::Gpu;
use crate::nn::{HeadKind, HeadSpec, Init, Network, NetworkSpec, Stem, TrunkSpec, arch};
use crate::params::Named;
use crate::tasks::rules;
use crate::{Error, Result};

/// Version of the metadata.
const SCHEMA: u32 = 2;
/// The key of the metadata in the file's header.
const KEY: &str = "limbeck";

/// One task of a stored network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskCard {
    /// Its name.
    pub name: String,
    /// What it asks for.
    pub kind: TaskKind,
    /// Its classes or attributes, in the order of the logits; none where it asks for a number.
    pub classes: Vec<String>,
    /// Mean and standard deviation of the training labels where it asks for a number: what the head says is standardised by them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moments: Option<(f32, f32)>,
}

/// What a stored network is and how images become its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Version of this form.
    pub schema: u32,
    /// Architecture's name.
    pub arch: String,
    /// Width multiplier.
    pub width: f32,
    /// The 7x7 stem of the ImageNet family.
    pub imagenet_stem: bool,
    /// How many of the last stages are dilated.
    #[serde(default, skip_serializing_if = "is_none")]
    pub dilate: usize,
    /// Hidden sizes of the heads of tasks that are asked of whole images.
    pub head: Vec<usize>,
    /// Channels of the decoders and detectors of tasks that are asked of places in the image.
    pub decoder: usize,
    /// The tasks, in the order of the heads.
    pub tasks: Vec<TaskCard>,
    /// `[height, width, channels]` of the images.
    pub image: [usize; 3],
    /// Whether images of another size keep their proportions, on grey, rather than being stretched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub letterbox: bool,
    /// Mean of each channel, in 0..1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, in 0..1.
    pub std: Vec<f32>,
    /// The stage that trained it.
    pub stage: String,
    /// The run's seed.
    pub seed: u64,
    /// Epochs trained when it was stored.
    pub epoch: usize,
    /// Mean over the tasks of the score by which epochs are chosen, on the validation split ([`crate::metrics::Scores::selection`]); `None` where
    /// it was undefined or not measured.
    pub val_score: Option<f64>,
}

fn is_none(dilate: &usize) -> bool {
    *dilate == 0
}

impl ModelCard {
    /// The current version.
    pub const SCHEMA: u32 = SCHEMA;

    /// The card of a network of shape `spec` for `data`, which gives the classes, the image size and the normalization.
    /// Stage, seed, epoch and accuracy are blank, to be filled in by whoever knows them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a head of a task the data does not have, or heads of different hidden sizes.
    pub fn new(spec: &NetworkSpec, data: &Dataset) -> Result<ModelCard> {
        let images = &data.train.images;
        let moments = data.train.labels.iter().map(Labels::moments);
        let targets: Vec<_> = data.tasks.iter().zip(moments).collect();
        Self::of(spec, &targets, [images.height, images.width, images.channels], data.channel_stats())
    }

    /// [`ModelCard::new`] from what it takes of the data: tasks with their labels' moments, image size, mean and standard deviation.
    pub(crate) fn of(
        spec: &NetworkSpec,
        tasks: &[(&Task, (f32, f32))],
        image: [usize; 3],
        (mean, std): (Vec<f32>, Vec<f32>),
    ) -> Result<ModelCard> {
        let pooled = spec.heads.iter().find_map(|h| match &h.kind {
            HeadKind::Pooled { hidden } => Some(hidden.clone()),
            HeadKind::Decoder { .. } | HeadKind::Detector { .. } => None,
        });
        let decoder = spec.heads.iter().find_map(|h| match h.kind {
            HeadKind::Decoder { channels } | HeadKind::Detector { channels } => Some(channels),
            HeadKind::Pooled { .. } => None,
        });
        let (hidden, decoder) = (pooled.unwrap_or_default(), decoder.unwrap_or(0));
        let card = |head: &HeadSpec| {
            let task = tasks.iter().find(|(t, _)| t.name == head.task);
            let own = |t: &Task| rules(t.kind).head(&t.name, t.classes.len(), &hidden, decoder);
            match task {
                Some((t, moments)) if own(t) == *head => Ok(TaskCard {
                    name: t.name.clone(),
                    kind: t.kind,
                    classes: t.classes.clone(),
                    moments: t.kind.is_numeric().then_some(*moments),
                }),
                Some((t, _)) if own(t).outputs == head.outputs => Err(Error::Invalid(format!(
                    "the head of {:?} has another shape than the first of its kind",
                    t.name
                ))),
                _ => Err(Error::Invalid(format!("the data have no task {:?} of {} classes", head.task, head.outputs))),
            }
        };
        Ok(ModelCard {
            schema: SCHEMA,
            arch: spec.trunk.arch.to_string(),
            width: spec.trunk.width,
            imagenet_stem: spec.trunk.stem == Stem::ImageNet,
            dilate: spec.trunk.dilate,
            tasks: spec.heads.iter().map(card).collect::<Result<_>>()?,
            head: hidden,
            decoder,
            image,
            letterbox: false,
            mean,
            std,
            stage: String::new(),
            seed: 0,
            epoch: 0,
            val_score: None,
        })
    }

    /// The network's shape.
    pub fn spec(&self, path: &Path) -> Result<NetworkSpec> {
        let arch = arch::parse(&self.arch).ok_or_else(|| {
            Error::checkpoint(path, format!("its architecture {:?} is unknown to this version", self.arch))
        })?;
        let stem = if self.imagenet_stem { Stem::ImageNet } else { Stem::Small };
        let head = |t: &TaskCard| rules(t.kind).head(&t.name, t.classes.len(), &self.head, self.decoder);
        let trunk = TrunkSpec { arch, width: self.width, stem, dilate: self.dilate };
        trunk.check().map_err(|e| Error::checkpoint(path, e.to_string()))?;
        Ok(NetworkSpec {
            trunk,
            channels: self.image[2],
            heads: self.tasks.iter().map(head).collect(),
            init: Init::HeNormal,
        })
    }
}

/// `[o, h, w, i]` as PyTorch's `[o, i, h, w]`; other ranks as they are.
fn to_torch(named: &Named) -> (Vec<usize>, Vec<f32>) {
    let &[o, h, w, i] = &named.shape[..] else { return (named.shape.clone(), named.data.clone()) };
    let mut out = Vec::with_capacity(named.data.len());
    for a in 0..o {
        for b in 0..i {
            out.extend((0..h * w).map(|k| named.data[(a * h * w + k) * i + b]));
        }
    }
    (vec![o, i, h, w], out)
}

/// The inverse of [`to_torch`], for data that has the shape PyTorch gives it.
fn from_torch(shape: &[usize], data: Vec<f32>) -> Vec<f32> {
    let &[o, h, w, i] = shape else { return data };
    let mut out = Vec::with_capacity(data.len());
    for a in 0..o {
        for k in 0..h * w {
            out.extend((0..i).map(|b| data[(a * i + b) * h * w + k]));
        }
    }
    out
}

/// Tensors and one text, ready to be written.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl Bundle {
    pub(crate) fn add(&mut self, name: impl Into<String>, shape: Vec<usize>, data: &[f32]) {
        self.tensors.push((name.into(), shape, bytemuck::cast_slice(data).to_vec()));
    }

    /// Every parameter and statistic of a network, by PyTorch's names and in its layouts.
    pub(crate) fn add_network(&mut self, gpu: &Gpu, network: &Network) -> Result<()> {
        for named in network.params().export(gpu)? {
            // A weight that is no number would poison every later resumption.
            if let Some(value) = named.data.iter().find(|v| !v.is_finite()) {
                let what = format!("the parameter {}", named.name);
                return Err(Error::NonFinite { what, value: *value, at: "the moment it was to be stored".into() });
            }
            let (shape, data) = to_torch(&named);
            self.add(named.name, shape, &data);
        }
        Ok(())
    }

    /// Writes the file under a temporary name and renames it.
    pub(crate) fn write(&self, path: &Path, text: String) -> Result<()> {
        let fail = |e: &dyn std::fmt::Display| Error::checkpoint(path, format!("cannot be written: {e}"));
        let views = self.tensors.iter().map(|(name, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| fail(&e))?))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let metadata = HashMap::from([(KEY.to_string(), text)]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| fail(&e))?;
        write_atomic(path, &bytes)
    }
}

/// A file of [`Bundle::write`] in memory.
pub(crate) struct Stored<'a> {
    tensors: SafeTensors<'a>,
    path: &'a Path,
}

impl<'a> Stored<'a> {
    /// The tensors and the text.
    pub(crate) fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<(Self, String)> {
        let fail = |e: safetensors::SafeTensorError| {
            Error::checkpoint(path, format!("is no intact safetensors file ({e:?}); delete it to start over"))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(fail)?;
        let text = header.metadata().as_ref().and_then(|m| m.get(KEY)).cloned();
        let text = text.ok_or_else(|| Error::checkpoint(path, "was not written by limbeck: its header has no card"))?;
        Ok((Stored { tensors: SafeTensors::deserialize(bytes).map_err(fail)?, path }, text))
    }

    /// The values called `name`; half precision becomes single.
    pub(crate) fn get(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let missing =
            |_| Error::checkpoint(self.path, format!("has no tensor {name:?}; it belongs to another network"));
        let view = self.tensors.tensor(name).map_err(missing)?;
        let data = match view.dtype() {
            Dtype::F32 => bytemuck::pod_collect_to_vec(view.data()),
            Dtype::F16 => widen(bytemuck::pod_collect_to_vec::<u8, half::f16>(view.data()), half::f16::to_f32),
            Dtype::BF16 => widen(bytemuck::pod_collect_to_vec::<u8, half::bf16>(view.data()), half::bf16::to_f32),
            other => {
                let message = format!("{name:?} is {other:?}; expected F32, F16 or BF16");
                return Err(Error::checkpoint(self.path, message));
            }
        };
        Ok((view.shape().to_vec(), data))
    }

    /// Sets every parameter and statistic of `network`.
    pub(crate) fn restore(&self, gpu: &Gpu, network: &Network) -> Result<()> {
        network.params().import(gpu, |name, shape| {
            let (found, data) = self.get(name)?;
            let want = match shape {
                &[o, h, w, i] => vec![o, i, h, w],
                other => other.to_vec(),
            };
            if found != want {
                return Err(Error::checkpoint(self.path, format!("{name:?} is {found:?}, expected {want:?}")));
            }
            Ok(from_torch(shape, data))
        })
    }
}

fn widen<T>(values: Vec<T>, to_f32: impl Fn(T) -> f32) -> Vec<f32> {
    values.into_iter().map(to_f32).collect()
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(path, "read", e))
}

/// Stores `network` with its card.
///
/// # Errors
/// [`Error::Io`] where the file cannot be written; an earlier file of that name is then still there.
pub fn save(gpu: &Gpu, path: &Path, network: &Network, card: &ModelCard) -> Result<()> {
    let mut bundle = Bundle::default();
    bundle.add_network(gpu, network)?;
    bundle.write(path, to_json(card)?)
}

/// Loads a network that [`save`] stored.
///
/// # Errors
/// [`Error::Io`], or [`Error::Checkpoint`] where the file is damaged or of another form.
pub fn load(gpu: &Gpu, path: &Path) -> Result<(Network, ModelCard)> {
    let bytes = read(path)?;
    let (stored, text) = Stored::parse(path, &bytes)?;
    let card: ModelCard = from_json(path, &text)?;
    if card.schema != SCHEMA {
        return Err(Error::checkpoint(path, format!("has form {}, this version reads {SCHEMA}", card.schema)));
    }
    let network = Network::new(gpu, card.spec(path)?, 0)?;
    stored.restore(gpu, &network)?;
    Ok((network, card))
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Invalid(format!("cannot be written as JSON: {e}")))
}

pub(crate) fn from_json<T: for<'a> Deserialize<'a>>(path: &Path, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| {
        let message =
            format!("its description cannot be read ({e}); it is damaged, or another version of limbeck wrote it");
        Error::checkpoint(path, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_inverse() {
        let shape = vec![3, 2, 5, 4];
        let data: Vec<f32> = (0..120).map(|v| v as f32).collect();
        let (torch, moved) = to_torch(&Named { name: "w".into(), shape: shape.clone(), data: data.clone() });
        assert_eq!(torch, [3, 4, 2, 5]);
        // w[o=1, h=1, w=2, i=3] stands at [1, 3, 1, 2].
        assert_eq!(moved[((4 + 3) * 2 + 1) * 5 + 2], data[((2 + 1) * 5 + 2) * 4 + 3]);
        assert_eq!(from_torch(&shape, moved), data);
    }
}
