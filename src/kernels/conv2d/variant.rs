//! Which kernels compute a convolution: the variants, and the rule that picks one.

use std::fmt;
use std::str::FromStr;

use super::common::{Pass, Tile};
use super::depthwise;
use super::register::{self, TILES, WEIGHT_TILES};
use super::subgroup;
use super::{flipped, matrix, padded, tiled, winograd};
use crate::gpu::Profile;
use crate::shape::Conv2d;
use crate::{Error, Result};

/// One way to compute a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Operands straight from memory, sums in registers: serves every shape on every adapter.
    Register(Tile),
    /// Operands shared between the lanes of a subgroup: for software adapters.
    Lanes(Tile),
    /// The lanes family on input channels padded to a multiple of four.
    Padded(Tile),
    /// The input gradient at stride 1 as a forward pass of the lanes family with the taps turned round.
    Turned(Tile),
    /// F(m x m, 3 x 3): products of transformed tiles.
    Winograd(usize),
    /// One filter a channel.
    Depthwise,
    /// Operands in workgroup memory: for GPUs.
    Tiled(Tile),
    /// Cooperative matrices with operands in f16: for devices that are opened with them.
    Matrix(Tile),
}

impl Variant {
    /// All there are.
    pub fn all() -> Vec<Variant> {
        let register = TILES.into_iter().chain(WEIGHT_TILES).map(Variant::Register);
        let lanes = subgroup::TILES.into_iter().chain(subgroup::WEIGHT_TILES).map(Variant::Lanes);
        // A tile that several passes are compiled for is one variant.
        let mut all = Vec::new();
        let padded = subgroup::TILES.into_iter().chain(subgroup::WEIGHT_TILES).map(Variant::Padded);
        let turned = subgroup::TILES.map(Variant::Turned);
        for variant in register
            .chain(lanes)
            .chain(padded)
            .chain(turned)
            .chain(winograd::SIZES.map(Variant::Winograd))
            .chain(tiled::TILES.map(Variant::Tiled))
            .chain(matrix::TILES.map(Variant::Matrix))
            .chain([Variant::Depthwise])
        {
            if !all.contains(&variant) {
                all.push(variant);
            }
        }
        all
    }

    /// The relative error that rounding of operands adds to a sum: nothing where all is f32. For f16, see
    /// [`Options::matrices`](crate::gpu::Options::matrices), an operand goes to either neighbour, as the driver likes: it moves by
    /// at most 2⁻¹⁰ of itself and a product by 2⁻⁹, and the error of a sum of independent terms is to it as that of a product.
    pub fn rounding(self) -> f64 {
        match self {
            Variant::Matrix(_) => 1.0 / 512.0,
            _ => 0.0,
        }
    }

    /// Whether it can compute `pass` of `s` on an adapter with `profile`.
    pub fn serves(self, pass: Pass, s: &Conv2d, profile: &Profile) -> bool {
        match self {
            Variant::Register(tile) => register::serves(pass, s, tile),
            Variant::Lanes(tile) => subgroup::serves(pass, s, tile, profile),
            Variant::Padded(tile) => padded::serves(pass, s, tile, profile),
            Variant::Turned(tile) => flipped::serves(pass, s, tile, profile),
            Variant::Winograd(size) => winograd::serves(pass, s, size, profile),
            Variant::Depthwise => depthwise::serves(s),
            Variant::Tiled(tile) => tiled::serves(s, tile),
            Variant::Matrix(tile) => matrix::serves(s, tile, profile),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variant::Register(tile) => write!(f, "register-{}x{}", tile.rows, tile.columns),
            Variant::Lanes(tile) => write!(f, "lanes-{}x{}", tile.rows, tile.columns),
            Variant::Padded(tile) => write!(f, "padded-{}x{}", tile.rows, tile.columns),
            Variant::Turned(tile) => write!(f, "turned-{}x{}", tile.rows, tile.columns),
            Variant::Winograd(size) => write!(f, "winograd-{size}x{size}"),
            Variant::Depthwise => f.write_str("depthwise"),
            Variant::Tiled(tile) => write!(f, "tiled-{}x{}", tile.rows, tile.columns),
            Variant::Matrix(tile) => write!(f, "matrix-{}x{}", tile.rows, tile.columns),
        }
    }
}

impl FromStr for Variant {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Variant::all()
            .into_iter()
            .find(|v| v.to_string() == name)
            .ok_or_else(|| Error::Invalid(format!("no variant of the convolution is called {name:?}")))
    }
}

/// Every variant that serves `pass` of `s`.
pub fn variants(pass: Pass, s: &Conv2d, profile: &Profile) -> Vec<Variant> {
    Variant::all().into_iter().filter(|v| v.serves(pass, s, profile)).collect()
}

/// The variant for `pass` of `s` on an adapter with `profile`: a rule, not a measurement.
pub fn choose(pass: Pass, s: &Conv2d, profile: &Profile) -> Variant {
    if depthwise::serves(s) {
        return Variant::Depthwise;
    }
    let winograd = winograd::choose(pass, s, profile).map(Variant::Winograd);
    let padded = || padded::choose(pass, s, profile).map(Variant::Padded);
    let turned = || flipped::choose(pass, s, profile).map(Variant::Turned);
    let tiled = || tiled::choose(pass, s, profile.class).map(Variant::Tiled);
    let lanes = || subgroup::choose(pass, s, profile).map(Variant::Lanes);
    let any = || Variant::Register(register::choose(pass, s, profile.class));
    let matrix = matrix::choose(pass, s, profile).map(Variant::Matrix);
    matrix.or(winograd).or_else(tiled).or_else(padded).or_else(turned).or_else(lanes).unwrap_or_else(any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{AdapterClass, Matrix};

    fn profile(class: AdapterClass) -> Profile {
        Profile {
            name: String::new(),
            backend: "vulkan".into(),
            driver: String::new(),
            class,
            max_buffer: 1 << 30,
            max_binding: 1 << 30,
            max_storage_buffers: 8,
            max_workgroup_bytes: 16 << 10,
            max_invocations: 256,
            max_groups: 65_535,
            subgroups: Some((8, 8)),
            f16: false,
            int64: false,
            cooperative_matrix: class == AdapterClass::DiscreteMatrix,
            matrix: None,
            timestamps: false,
        }
    }

    #[test]
    fn the_chosen_variant_serves() {
        for class in [
            AdapterClass::DiscreteMatrix,
            AdapterClass::Discrete,
            AdapterClass::Apple,
            AdapterClass::Integrated,
            AdapterClass::Software,
        ] {
            let profile = profile(class);
            for (ci, co, groups) in [(3, 16, 1), (16, 16, 1), (64, 128, 1), (512, 512, 1), (32, 32, 32), (32, 64, 4)] {
                for (n, size, stride, dilation) in [(1, 5, 1, 1), (128, 32, 1, 1), (64, 16, 2, 1), (2, 40, 16, 2)] {
                    let s = Conv2d { groups, dilation, ..Conv2d::square(n, size, size, ci, co, 3, stride, 1) };
                    for pass in [Pass::Forward, Pass::InputGrad, Pass::WeightGrad] {
                        let variant = choose(pass, &s, &profile);
                        assert!(variant.serves(pass, &s, &profile), "{variant} {pass} {s:?} on {class:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn dilated_convolutions_never_meet_what_needs_neighbours() {
        for class in [AdapterClass::Discrete, AdapterClass::Apple, AdapterClass::Integrated, AdapterClass::Software] {
            let profile = profile(class);
            for (channels, dilation) in [(16, 2), (64, 2), (64, 4), (512, 4)] {
                let plain = Conv2d::square(64, 16, 16, channels, channels, 3, 1, 1);
                let s = Conv2d { dilation, padding: dilation, ..plain };
                for pass in [Pass::Forward, Pass::InputGrad, Pass::WeightGrad] {
                    let serving = variants(pass, &s, &profile);
                    assert!(serving.contains(&choose(pass, &s, &profile)), "{pass} {s:?} on {class:?}");
                    let of_neighbours = |v: &Variant| match v {
                        Variant::Winograd(_) => true,
                        // Three units are a row of taps that shares its loads.
                        Variant::Lanes(tile) | Variant::Padded(tile) => pass == Pass::WeightGrad && tile.columns == 3,
                        _ => false,
                    };
                    assert!(variants(pass, &plain, &profile).iter().any(of_neighbours), "{pass} on {class:?}");
                    assert!(!serving.iter().any(of_neighbours), "{pass} {s:?} on {class:?}: {serving:?}");
                }
            }
        }
    }

    #[test]
    fn software_adapters_use_what_has_been_measured_to_pay() {
        let profile = Profile { subgroups: Some((8, 8)), ..profile(AdapterClass::Software) };
        let name = |pass, n, size, channels| {
            choose(pass, &Conv2d::square(n, size, size, channels, channels, 3, 1, 1), &profile).to_string()
        };
        for (n, size, channels, forward, weight) in [
            (32, 32, 8, "lanes-32x2", "lanes-16x3"),
            (32, 36, 12, "lanes-32x2", "lanes-16x3"),
            (64, 32, 16, "lanes-32x2", "lanes-16x3"),
            (32, 28, 20, "lanes-32x4", "lanes-16x3"),
            (8, 16, 32, "lanes-32x4", "lanes-16x3"),
            (64, 16, 32, "winograd-4x4", "lanes-16x3"),
            (8, 8, 64, "winograd-4x4", "lanes-16x3"),
            (7, 8, 64, "lanes-32x4", "lanes-16x3"),
            (32, 16, 128, "winograd-4x4", "winograd-4x4"),
        ] {
            assert_eq!(name(Pass::Forward, n, size, channels), forward);
            assert_eq!(name(Pass::InputGrad, n, size, channels), forward.replace("lanes", "turned"));
            assert_eq!(name(Pass::WeightGrad, n, size, channels), weight);
        }
    }

    #[test]
    fn matrices_compute_forward_passes_of_devices_that_have_them_open() {
        let opened = |class, edge, kib: u32| Profile {
            matrix: Some(Matrix { edge, lanes: 32 }),
            max_workgroup_bytes: kib << 10,
            ..profile(class)
        };
        let wide = Conv2d::square(128, 16, 16, 128, 128, 3, 1, 1);
        let narrow = Conv2d::square(128, 32, 32, 16, 16, 3, 1, 1);
        let name = |pass, s: &Conv2d, profile: &Profile| choose(pass, s, profile).to_string();
        let discrete = opened(AdapterClass::DiscreteMatrix, 16, 48);
        assert_eq!(name(Pass::Forward, &wide, &discrete), "matrix-128x128");
        assert_eq!(name(Pass::Forward, &narrow, &discrete), "matrix-128x32");
        assert_eq!(name(Pass::Forward, &wide, &opened(AdapterClass::Discrete, 16, 16)), "matrix-64x64");
        assert_eq!(name(Pass::Forward, &wide, &opened(AdapterClass::Apple, 8, 32)), "matrix-128x128");
        let matrices = |pass, s: &Conv2d, profile: &Profile| {
            variants(pass, s, profile).into_iter().filter(|v| matches!(v, Variant::Matrix(_))).count()
        };
        for s in [&wide, &narrow] {
            for pass in [Pass::InputGrad, Pass::WeightGrad] {
                assert!(!name(pass, s, &discrete).starts_with("matrix"), "gradients are f32 by the rule");
                assert_eq!(matrices(pass, s, &discrete), 3, "but there by name");
            }
            assert!(!name(Pass::Forward, s, &opened(AdapterClass::Software, 8, 48)).starts_with("matrix"));
            let closed = profile(AdapterClass::DiscreteMatrix);
            assert_eq!(matrices(Pass::Forward, s, &closed), 0, "nobody who did not ask");
            assert!(!name(Pass::Forward, s, &closed).starts_with("matrix"));
        }
        // Channels that do not come in fours, and products that are small.
        assert_eq!(matrices(Pass::Forward, &Conv2d::square(128, 32, 32, 3, 16, 3, 1, 1), &discrete), 0);
        assert_eq!(matrices(Pass::Forward, &Conv2d::square(128, 1, 1, 512, 10, 1, 1, 0), &discrete), 0);
        assert!(!name(Pass::Forward, &Conv2d::square(1, 4, 4, 16, 16, 3, 1, 1), &discrete).starts_with("matrix"));
    }

    #[test]
    fn names_are_read_back() {
        for variant in Variant::all() {
            assert_eq!(variant.to_string().parse::<Variant>().unwrap(), variant);
        }
        assert!("tiled-1x1".parse::<Variant>().is_err());
    }
}
