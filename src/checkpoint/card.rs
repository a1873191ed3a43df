//! What a stored network is: enough to build it again and to use it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SCHEMA;
use crate::data::{Dataset, Labels, Task, TaskKind};
use crate::nn::{HeadKind, HeadSpec, Init, NetworkSpec, Stem, TrunkSpec, arch};
use crate::tasks::rules;
use crate::{Error, Result};

/// What a run's file allows, or an embedder may reasonably ask for.
const MOST_WIDTH: f32 = 16.0;
const MOST_LAYERS: usize = 64;
const MOST_HIDDEN: usize = 65_536;
const MOST_DECODER: usize = 1024;
const MOST_SIDE: usize = 65_536;
const MOST_CHANNELS: usize = 1024;

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
    /// Whether its numbers count things, where it asks for a number of an image; absent in networks that were stored before this was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<bool>,
}

impl TaskCard {
    /// Whether its numbers count things, so that none is below 0. Of an older network, which does not say so, this is the task that all
    /// sources of images with objects call `count`.
    pub fn is_count(&self) -> bool {
        self.kind == TaskKind::Number && self.counts.unwrap_or(self.name == "count")
    }
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
                    counts: (t.kind == TaskKind::Number).then_some(t.counts),
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
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for what no network of this version has.
    pub fn spec(&self, path: &Path) -> Result<NetworkSpec> {
        self.check().map_err(|what| Error::checkpoint(path, format!("its card is damaged: {what}")))?;
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

    /// Finds numbers that no card of this version has, before anything is made of them.
    fn check(&self) -> std::result::Result<(), String> {
        let normal = |(mean, std): &(f32, f32)| mean.is_finite() && std.is_finite() && *std > 0.0;
        let [h, w, c] = self.image;
        let channels: Vec<_> = self.mean.iter().copied().zip(self.std.iter().copied()).collect();
        let bad = match () {
            _ if !(self.width > 0.0 && self.width <= MOST_WIDTH) => format!("a width of {:?}", self.width),
            _ if self.head.len() > MOST_LAYERS => format!("heads of {} layers", self.head.len()),
            _ if self.head.iter().any(|n| !(1..=MOST_HIDDEN).contains(n)) => format!("heads of {:?}", self.head),
            _ if self.decoder > MOST_DECODER => format!("decoders of {} channels", self.decoder),
            _ if [h, w].iter().any(|side| !(1..=MOST_SIDE).contains(side)) || !(1..=MOST_CHANNELS).contains(&c) => {
                format!("images of {h}x{w}x{c}")
            }
            _ if self.mean.len() != c || self.std.len() != c || !channels.iter().all(normal) => {
                format!("mean {:?} and deviation {:?} of {c} channels", self.mean, self.std)
            }
            _ => match self.tasks.iter().find(|t| !t.moments.iter().all(normal)) {
                Some(task) => format!("labels of {:?} with {:?}", task.name, task.moments),
                None => return Ok(()),
            },
        };
        Err(bad)
    }
}

/// A bound from below of the weights of such a network: those of its 3x3 convolutions, one a block, and of its pooled heads.
pub(super) fn least_weights(spec: &NetworkSpec) -> u64 {
    let stages = spec.trunk.stages();
    let block = spec.trunk.arch.block();
    let convolutions = stages.iter().map(|s| s.blocks as u64 * 9 * (s.channels as u64).pow(2)).sum::<u64>();
    let pooled = stages.last().map_or(0, |s| s.channels * block.expansion());
    let head = |head: &HeadSpec| match &head.kind {
        HeadKind::Pooled { hidden } => {
            let sizes: Vec<usize> = [pooled].into_iter().chain(hidden.iter().copied()).chain([head.outputs]).collect();
            sizes.windows(2).map(|pair| pair[0] as u64 * pair[1] as u64).sum()
        }
        HeadKind::Decoder { channels } | HeadKind::Detector { channels } => *channels as u64,
    };
    convolutions + spec.heads.iter().map(head).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> ModelCard {
        ModelCard {
            schema: SCHEMA,
            arch: "resnet8".into(),
            width: 0.5,
            imagenet_stem: false,
            dilate: 0,
            head: vec![16],
            decoder: 8,
            tasks: vec![TaskCard {
                name: "n".into(),
                kind: TaskKind::Number,
                classes: vec![],
                moments: Some((3.0, 2.0)),
                counts: None,
            }],
            image: [10, 12, 1],
            letterbox: false,
            mean: vec![0.5],
            std: vec![0.25],
            stage: "joint".into(),
            seed: 0,
            epoch: 1,
            val_score: None,
        }
    }

    #[test]
    fn a_card_says_what_counts_and_an_older_one_by_its_name() {
        let card = |text: &str| serde_json::from_str::<TaskCard>(text).unwrap();
        let old = r#"{"name": "count", "kind": "number", "classes": [], "moments": [2.0, 1.0]}"#;
        assert!(card(old).is_count());
        assert!(!card(&old.replace("\"count\"", "\"age\"")).is_count());
        assert!(!card(&old.replace("\"number\"", "\"depth\"")).is_count());
        // A column of a table may have any name.
        assert!(!card(&old.replace("\"classes\"", "\"counts\": false, \"classes\"")).is_count());
        let cells = old.replace("\"count\"", "\"cells\"").replace("\"classes\"", "\"counts\": true, \"classes\"");
        assert!(card(&cells).is_count());
    }

    #[test]
    fn numbers_that_no_network_has_are_refused() {
        let path = Path::new("net.safetensors");
        card().spec(path).unwrap();
        type Change = (&'static str, fn(&mut ModelCard));
        let changes: [Change; 11] = [
            ("width of 1e30", |c| c.width = 1e30),
            ("width of NaN", |c| c.width = f32::NAN),
            ("width of 0.0", |c| c.width = 0.0),
            ("heads of [1099511627776]", |c| c.head = vec![1 << 40]),
            ("heads of 100 layers", |c| c.head = vec![4; 100]),
            ("decoders of 4294967296", |c| c.decoder = 1 << 32),
            ("images of 1099511627776x12x1", |c| c.image[0] = 1 << 40),
            ("images of 10x12x0", |c| c.image[2] = 0),
            ("of 1 channels", |c| c.mean = vec![0.5; 3]),
            ("deviation [0.0]", |c| c.std = vec![0.0]),
            ("labels of \"n\"", |c| c.tasks[0].moments = Some((f32::INFINITY, 1.0))),
        ];
        for (what, change) in changes {
            let mut other = card();
            change(&mut other);
            let error = other.spec(path).unwrap_err().to_string();
            assert!(error.contains("card is damaged") && error.contains(what), "{what}: {error}");
        }
    }
}
