//! The names of architectures, as written in a run's file, and what they stand for.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// What an architecture's name says; widths and stems are given beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArchSpec {
    /// Family and size.
    pub family: Family,
}

/// The families of residual networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// The three-stage networks for small images of He et al. 2015, section 4.2: `depth = 6n + 2`, stages of
    /// `16, 32, 64` channels times `widen`. With `widen > 1` the stem keeps 32 channels (`resnet8x4`, `resnet32x4` of
    /// Tian et al. 2020).
    Cifar {
        /// Layers with weights: 8, 14, 20, …, 110.
        depth: usize,
        /// Channel multiplier: 1, or 4 in `resnet32x4`.
        widen: usize,
    },
    /// The four-stage networks of He et al. 2015, table 1: of basic blocks up to 34 layers, of bottlenecks from 50 on. All parameters lie
    /// in one buffer, so 101 and 152 layers at full width want an adapter that binds more than 128 MiB; GPUs do, Mesa's software
    /// driver does not.
    ImageNet {
        /// 18, 34, 50, 101 or 152.
        depth: usize,
    },
}

/// The residual blocks of He et al. 2015, figure 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Block {
    /// Two 3x3 convolutions; the first has the stride.
    Basic,
    /// 1x1, 3x3 and 1x1 convolutions. The 3x3 one has the stride, as in torchvision ("ResNet v1.5"); in the paper it is the first.
    Bottleneck,
}

impl Block {
    /// Channels of its output for one of its 3x3 convolutions.
    pub fn expansion(self) -> usize {
        match self {
            Block::Basic => 1,
            Block::Bottleneck => 4,
        }
    }
}

/// What a valid name looks like, for error messages.
pub const EXPECTED: &str = "resnet{6n+2} from resnet8 to resnet110 (resnet8, resnet14, resnet20, …; 50 aside), the same with x2, x4 \
                            or x8 for more channels (resnet8x4, resnet32x4), resnet18, resnet34, resnet50, resnet101 or resnet152";

/// Names worth suggesting for a mistyped one.
pub const COMMON: &[&str] = &[
    "resnet8",
    "resnet14",
    "resnet20",
    "resnet26",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet8x4",
    "resnet32x4",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
];

/// The meaning of an architecture's name; `None` if it names none. `resnet50` is the ImageNet network of bottlenecks, as everywhere;
/// the CIFAR network of 50 layers (6·8 + 2) has no name.
pub fn parse(name: &str) -> Option<ArchSpec> {
    let rest = name.strip_prefix("resnet")?;
    let (depth, widen) = match rest.split_once('x') {
        Some((depth, widen)) => (number(depth)?, Some(number(widen)?)),
        None => (number(rest)?, None),
    };
    let family = match (depth, widen) {
        (18 | 34 | 50 | 101 | 152, None) => Family::ImageNet { depth },
        (50, _) => return None,
        (8..=110, None | Some(2 | 4 | 8)) if depth % 6 == 2 => Family::Cifar { depth, widen: widen.unwrap_or(1) },
        _ => return None,
    };
    Some(ArchSpec { family })
}

/// A plain decimal number: no sign, no leading zero, so that every architecture has one name.
fn number(text: &str) -> Option<usize> {
    let plain = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

impl ArchSpec {
    /// Residual blocks per stage of a CIFAR network (`n` in `6n + 2`); `None` for the ImageNet family.
    pub fn blocks_per_stage(&self) -> Option<usize> {
        match self.family {
            Family::Cifar { depth, .. } => Some((depth - 2) / 6),
            Family::ImageNet { .. } => None,
        }
    }

    /// What its stages are made of.
    pub fn block(&self) -> Block {
        match self.family {
            Family::ImageNet { depth: 50.. } => Block::Bottleneck,
            Family::ImageNet { .. } | Family::Cifar { .. } => Block::Basic,
        }
    }
}

impl FromStr for ArchSpec {
    type Err = Error;

    /// [`parse`], with an error that says what a name looks like.
    fn from_str(name: &str) -> Result<Self> {
        parse(name).ok_or_else(|| Error::Invalid(format!("no architecture is called {name:?}; expected {EXPECTED}")))
    }
}

impl fmt::Display for ArchSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family {
            Family::Cifar { depth, widen: 1 } | Family::ImageNet { depth } => write!(f, "resnet{depth}"),
            Family::Cifar { depth, widen } => write!(f, "resnet{depth}x{widen}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_depth_of_the_cifar_family() {
        for n in (1..=18).filter(|n| *n != 8) {
            let depth = 6 * n + 2;
            let spec = parse(&format!("resnet{depth}")).unwrap();
            assert_eq!(spec.family, Family::Cifar { depth, widen: 1 });
            assert_eq!((spec.blocks_per_stage(), spec.block()), (Some(n), Block::Basic));
        }
        assert_eq!(parse("resnet8x4").unwrap().family, Family::Cifar { depth: 8, widen: 4 });
        assert_eq!(parse("resnet32x4").unwrap().family, Family::Cifar { depth: 32, widen: 4 });
    }

    #[test]
    fn the_imagenet_family() {
        for depth in [18, 34, 50, 101, 152] {
            let spec = parse(&format!("resnet{depth}")).unwrap();
            assert_eq!((spec.family, spec.blocks_per_stage()), (Family::ImageNet { depth }, None));
            assert_eq!(spec.block().expansion(), if depth < 50 { 1 } else { 4 }, "resnet{depth}");
        }
    }

    #[test]
    fn names_round_trip() {
        for name in COMMON {
            assert_eq!(parse(name).unwrap().to_string(), *name);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "resnet",
            "resnet2",
            "resnet9",
            "resnet52",
            "resnet116",
            "resnet200",
            "resnet18x4",
            "resnet34x2",
            "resnet50x2",
            "resnet152x2",
            "resnet8x",
            "resnet8x0",
            "resnet8x3",
            "resnet08",
            "resnet+8",
            "ResNet8",
            " resnet8",
            "resnet8 ",
            "vgg8",
            "resnet8x4x4",
            "resnet99999999999999999999999",
        ] {
            assert_eq!(parse(name), None, "{name:?}");
            assert!(name.parse::<ArchSpec>().unwrap_err().to_string().contains("resnet8"), "{name:?}");
        }
    }
}
