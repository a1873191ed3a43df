//! A network in a run's file.

use serde::Serialize;

use crate::nn::arch::{self, ArchSpec};
use crate::nn::{self, TrunkSpec};
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
