//! A trunk's shape: architecture, width, stem and dilation.

use super::arch::{ArchSpec, Family};
use crate::{Error, Result};

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
    /// How many of the last stages keep their resolution: their 3x3 convolutions look 2, 4, … places apart instead, and so see as
    /// much of the image (Yu et al. 2017, "Dilated residual networks", arXiv 1705.09914; torchvision's
    /// `replace_stride_with_dilation`). The parameters are the same. Of a detector's levels of one stride, the first sees the small
    /// objects and the last the large ones.
    pub dilate: usize,
}

/// One stage of a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageSpec {
    /// Its residual blocks.
    pub blocks: usize,
    /// Channels of its 3x3 convolutions; its map has [`Block::expansion`](super::arch::Block::expansion) times as many.
    pub channels: usize,
    /// Stride of its first block.
    pub stride: usize,
    /// Dilation of its first 3x3 convolution, and of all others. The first is the one that has the stride where the stage is not
    /// dilated: its input's places are as far apart as they were.
    pub dilation: [usize; 2],
}

impl TrunkSpec {
    /// `arch` at its published width, small stem, no stage dilated.
    pub fn new(arch: ArchSpec) -> Self {
        TrunkSpec { arch, width: 1.0, stem: Stem::Small, dilate: 0 }
    }

    /// Refuses more dilated stages than there are that halve.
    ///
    /// # Errors
    /// [`Error::Invalid`], with the most there may be.
    pub fn check(&self) -> Result<()> {
        let (stages, dilate) = (self.stages().len(), self.dilate);
        if dilate < stages {
            return Ok(());
        }
        let most = stages - 1;
        Err(Error::Invalid(format!(
            "{} has {stages} stages, of which all but the first halve the map; {dilate} cannot be dilated, {most} can",
            self.arch
        )))
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

    /// Its stages.
    pub fn stages(&self) -> Vec<StageSpec> {
        let sizes = match self.arch.family {
            Family::Cifar { depth, widen } => [16, 32, 64].map(|c| ((depth - 2) / 6, c * widen)).to_vec(),
            Family::ImageNet { depth } => {
                let blocks = match depth {
                    18 => [2, 2, 2, 2],
                    101 => [3, 4, 23, 3],
                    152 => [3, 8, 36, 3],
                    _ => [3, 4, 6, 3],
                };
                blocks.into_iter().zip([64, 128, 256, 512]).collect()
            }
        };
        let (count, mut dilation) = (sizes.len(), 1);
        let stage = |(i, (blocks, channels))| {
            // The first stage does not halve.
            let dilated = i > 0 && self.dilate >= count - i;
            let before = dilation;
            if dilated {
                dilation *= 2;
            }
            let stride = if i > 0 && !dilated { 2 } else { 1 };
            StageSpec { blocks, channels: self.scaled(channels), stride, dilation: [before, dilation] }
        };
        sizes.into_iter().enumerate().map(stage).collect()
    }

    /// Pixels of the image from one place to the next, in each stage's map.
    pub fn strides(&self) -> Vec<usize> {
        let mut stride = match self.stem {
            Stem::Small => 1,
            Stem::ImageNet => 4,
        };
        let after = |stage: StageSpec| {
            stride *= stage.stride;
            stride
        };
        self.stages().into_iter().map(after).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::arch;

    fn spec(name: &str) -> TrunkSpec {
        TrunkSpec::new(arch::parse(name).unwrap())
    }

    #[test]
    fn published_shapes() {
        let sizes = |spec: TrunkSpec| spec.stages().iter().map(|s| (s.blocks, s.channels)).collect::<Vec<_>>();
        assert_eq!(sizes(spec("resnet20")), [(3, 16), (3, 32), (3, 64)]);
        assert_eq!(spec("resnet8x4").stem_channels(), 32);
        assert_eq!(sizes(spec("resnet8x4")), [(1, 64), (1, 128), (1, 256)]);
        assert_eq!(sizes(spec("resnet34")), [(3, 64), (4, 128), (6, 256), (3, 512)]);
        assert_eq!(sizes(spec("resnet50")), [(3, 64), (4, 128), (6, 256), (3, 512)]);
        assert_eq!(sizes(spec("resnet101")), [(3, 64), (4, 128), (23, 256), (3, 512)]);
        assert_eq!(sizes(spec("resnet152")), [(3, 64), (8, 128), (36, 256), (3, 512)]);
        let half = TrunkSpec { width: 0.5, ..spec("resnet8") };
        assert_eq!(sizes(half), [(1, 8), (1, 16), (1, 32)]);
        assert_eq!(TrunkSpec { width: 0.01, ..half }.stem_channels(), 4);
    }

    #[test]
    fn dilated_stages_keep_the_stride_and_double_the_distance() {
        let dilated = |name, stem, dilate| {
            let spec = TrunkSpec { stem, dilate, ..spec(name) };
            let stages = spec.stages();
            spec.check().unwrap();
            (spec.strides(), stages.iter().map(|s| s.dilation).collect::<Vec<_>>())
        };
        assert_eq!(dilated("resnet8", Stem::Small, 0), (vec![1, 2, 4], vec![[1, 1]; 3]));
        assert_eq!(dilated("resnet8", Stem::Small, 2), (vec![1, 1, 1], vec![[1, 1], [1, 2], [2, 4]]));
        // torchvision's replace_stride_with_dilation = [False, True, True], as its segmentation networks have it.
        let (strides, dilations) = dilated("resnet50", Stem::ImageNet, 2);
        assert_eq!((strides, dilations), (vec![4, 8, 8, 8], vec![[1, 1], [1, 1], [1, 2], [2, 4]]));
        for (name, too_many) in [("resnet8", 3), ("resnet50", 4), ("resnet18", usize::MAX)] {
            let error = TrunkSpec { dilate: too_many, ..spec(name) }.check().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(&format!("{too_many} cannot")), "{error}");
        }
    }
}
