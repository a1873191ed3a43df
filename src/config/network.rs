//! A network in a run's file.

use serde::Serialize;
use toml::Value;

use crate::nn::arch::{self, ArchSpec};
use crate::nn::{self, TrunkSpec};
use crate::settings::{Choice, Section, nearest};
use crate::{Error, Result};

/// A network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetConfig {
    /// The architecture's name; [`NetConfig::spec`] gives its meaning.
    pub arch: String,
    /// Multiplier of every width.
    pub width: f64,
    /// The first layers of the ImageNet family; `None` for CIFAR networks, which have one stem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stem: Option<Stem>,
    /// How many of the last stages keep their resolution and dilate their 3x3 convolutions instead ([`TrunkSpec::dilate`]).
    #[serde(skip_serializing_if = "is_none")]
    pub dilate: usize,
    /// Hidden sizes of each task's head; empty: one linear layer.
    pub head: Vec<usize>,
    /// Channels of the decoders of tasks that are asked of every pixel.
    #[serde(skip_serializing_if = "is_usual")]
    pub decoder: usize,
    /// How the weights begin.
    pub init: Init,
}

/// Channels of a decoder unless told otherwise.
pub(super) const DECODER: usize = 32;

fn is_usual(decoder: &usize) -> bool {
    *decoder == DECODER
}

fn is_none(dilate: &usize) -> bool {
    *dilate == 0
}

impl NetConfig {
    /// The architecture's meaning; it was checked when the file was read.
    pub fn spec(&self) -> Result<ArchSpec> {
        arch::parse(&self.arch)
            .ok_or_else(|| Error::Invalid(format!("{:?} is no architecture; expected {}", self.arch, arch::EXPECTED)))
    }

    /// The trunk's shape.
    pub fn trunk(&self) -> Result<TrunkSpec> {
        let stem = match self.stem {
            Some(Stem::ImageNet) => nn::Stem::ImageNet,
            Some(Stem::Small) | None => nn::Stem::Small,
        };
        Ok(TrunkSpec { arch: self.spec()?, width: self.width as f32, stem, dilate: self.dilate })
    }
}

/// First layers of the ImageNet family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// A 3x3 convolution of stride 1: for images of 28 or 32 pixels.
    Small,
    /// A 7x7 convolution of stride 2 and a max pool: for images of 224 pixels.
    ImageNet,
}

/// Initialisations (He et al. 2015; Glorot and Bengio 2010).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// He, normal.
    HeNormal,
    /// He, uniform.
    HeUniform,
    /// Xavier, normal.
    XavierNormal,
    /// Xavier, uniform.
    XavierUniform,
}

impl Choice for Stem {
    const WORDS: &'static [(&'static str, Self)] = &[("small", Self::Small), ("imagenet", Self::ImageNet)];
}
impl Choice for Init {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("he_normal", Self::HeNormal),
        ("he_uniform", Self::HeUniform),
        ("xavier_normal", Self::XavierNormal),
        ("xavier_uniform", Self::XavierUniform),
    ];
}

/// The keys of a network, of `arch` and `width` where nothing else is written.
pub(super) fn read(s: &Section, arch: &str, width: f64) -> Result<NetConfig> {
    let arch = s.text("arch", "an architecture")?.unwrap_or_else(|| arch.to_string());
    let Some(spec) = arch::parse(&arch) else {
        let hint = match nearest(&arch, arch::COMMON) {
            Some(meant) => format!("did you mean {meant:?}? Expected"),
            None => "expected".into(),
        };
        return Err(s.error("arch", format!("{arch:?} is no architecture; {hint} {}", arch::EXPECTED)));
    };
    let stem = match spec.family {
        arch::Family::ImageNet { .. } => Some(s.choice("stem", Stem::Small)?),
        arch::Family::Cifar { .. } if s.has("stem") => {
            let message = format!(
                "{arch} has one stem, only resnet18, resnet34, resnet50, resnet101 and resnet152 let you choose; remove the key or \
                 change arch"
            );
            return Err(s.error("stem", message));
        }
        arch::Family::Cifar { .. } => None,
    };
    let hidden = |v: &Value| v.as_integer().and_then(|i| usize::try_from(i).ok()).filter(|i| (1..=65_536).contains(i));
    let net = NetConfig {
        arch,
        width: s.number("width", width, "a multiplier above 0 and at most 16", |x| x > 0.0 && x <= 16.0)?,
        stem,
        dilate: s.integer("dilate", 0, 0, usize::MAX)?,
        head: s
            .list("head", "a list of hidden sizes from 1 to 65536, such as [64], or [] for one layer", hidden)?
            .unwrap_or_default(),
        decoder: s.integer("decoder", DECODER, 1, 1024)?,
        init: s.choice("init", Init::HeNormal)?,
    };
    net.trunk()?.check().map_err(|e| s.error("dilate", e.to_string()))?;
    Ok(net)
}
