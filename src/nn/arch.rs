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
    /// The four-stage networks of He et al. 2015, table 1, with basic blocks.
    ImageNet {
        /// 18 or 34.
        depth: usize,
    },
}

/// What a valid name looks like, for error messages.
pub const EXPECTED: &str = "resnet{6n+2} from resnet8 to resnet110 (resnet8, resnet14, resnet20, …), the same with x2, x4 or x8 for \
                            more channels (resnet8x4, resnet32x4), resnet18 or resnet34";

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
];

/// The meaning of an architecture's name; `None` if it names none. `resnet50` is the CIFAR network of 50 layers (6·8 + 2), not the
/// ImageNet network with bottleneck blocks.
pub fn parse(name: &str) -> Option<ArchSpec> {
    let rest = name.strip_prefix("resnet")?;
    let (depth, widen) = match rest.split_once('x') {
        Some((depth, widen)) => (number(depth)?, Some(number(widen)?)),
        None => (number(rest)?, None),
    };
    let family = match (depth, widen) {
        (18 | 34, None) => Family::ImageNet { depth },
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
        for n in 1..=18 {
            let depth = 6 * n + 2;
            let spec = parse(&format!("resnet{depth}")).unwrap();
            assert_eq!(spec.family, Family::Cifar { depth, widen: 1 });
            assert_eq!(spec.blocks_per_stage(), Some(n));
        }
        assert_eq!(parse("resnet8x4").unwrap().family, Family::Cifar { depth: 8, widen: 4 });
        assert_eq!(parse("resnet32x4").unwrap().family, Family::Cifar { depth: 32, widen: 4 });
    }

    #[test]
    fn the_imagenet_family() {
        assert_eq!(parse("resnet18").unwrap().family, Family::ImageNet { depth: 18 });
        assert_eq!(parse("resnet34").unwrap().family, Family::ImageNet { depth: 34 });
        assert_eq!(parse("resnet34").unwrap().blocks_per_stage(), None);
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
            "resnet101",
            "resnet116",
            "resnet18x4",
            "resnet34x2",
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
