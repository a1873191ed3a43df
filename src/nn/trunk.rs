//! A trunk's shape: architecture, width and stem.

use super::arch::{ArchSpec, Family};

/// The first layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stem {
    /// 3x3 at stride 1: for images up to about 64 pixels.
    #[default]
    Small,
    /// 7x7 at stride 2, then max pooling: for large images.
    ImageNet,
}

/// A trunk's shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrunkSpec {
    /// Depth and family.
    pub arch: ArchSpec,
    /// Multiplier of all channel counts.
    pub width: f32,
    /// The first layer; the CIFAR family always has the small one.
    pub stem: Stem,
}

impl TrunkSpec {
    /// `arch` at its published width, small stem.
    pub fn new(arch: ArchSpec) -> Self {
        TrunkSpec { arch, width: 1.0, stem: Stem::Small }
    }

    /// A channel count under the width multiplier: a multiple of 4, so that loads stay vectors.
    fn scaled(&self, channels: usize) -> usize {
        let quads = (channels as f32 * self.width / 4.0).round() as usize;
        quads.max(1) * 4
    }

    /// Channels after the stem.
    pub fn stem_channels(&self) -> usize {
        self.scaled(match self.arch.family {
            Family::Cifar { widen: 1, .. } => 16,
            // The wide networks of Tian et al. 2020 keep a stem of 32.
            Family::Cifar { .. } => 32,
            Family::ImageNet { .. } => 64,
        })
    }

    /// Blocks and channels of each stage.
    pub fn stages(&self) -> Vec<(usize, usize)> {
        let stages = match self.arch.family {
            Family::Cifar { depth, widen } => [16, 32, 64].map(|c| ((depth - 2) / 6, c * widen)).to_vec(),
            Family::ImageNet { depth: 18 } => vec![(2, 64), (2, 128), (2, 256), (2, 512)],
            Family::ImageNet { .. } => vec![(3, 64), (4, 128), (6, 256), (3, 512)],
        };
        stages.into_iter().map(|(blocks, channels)| (blocks, self.scaled(channels))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::arch;

    #[test]
    fn published_shapes() {
        let spec = |name| TrunkSpec::new(arch::parse(name).unwrap());
        assert_eq!(spec("resnet20").stages(), [(3, 16), (3, 32), (3, 64)]);
        assert_eq!(spec("resnet8x4").stem_channels(), 32);
        assert_eq!(spec("resnet8x4").stages(), [(1, 64), (1, 128), (1, 256)]);
        assert_eq!(spec("resnet34").stages(), [(3, 64), (4, 128), (6, 256), (3, 512)]);
        let half = TrunkSpec { width: 0.5, ..spec("resnet8") };
        assert_eq!(half.stages(), [(1, 8), (1, 16), (1, 32)]);
        assert_eq!(TrunkSpec { width: 0.01, ..half }.stem_channels(), 4);
    }
}
