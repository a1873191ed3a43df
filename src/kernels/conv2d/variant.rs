//! Which kernels compute a convolution: the variants, and the rule that picks one.

use std::fmt;
use std::str::FromStr;

use super::lanes;
use super::register::{self, TILES, Tile, WEIGHT_TILES};
use super::winograd;
use crate::gpu::Profile;
use crate::shape::Conv2d;
use crate::{Error, Result};

/// Which of the three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// `y` from `x` and `w`.
    Forward,
    /// `dx` from `dy` and `w`.
    InputGrad,
    /// `dw` from `x` and `dy`.
    WeightGrad,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pass::Forward => "forward",
            Pass::InputGrad => "input_grad",
            Pass::WeightGrad => "weight_grad",
        })
    }
}

/// One way to compute a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Operands straight from memory, sums in registers: serves every shape on every adapter.
    Register(Tile),
    /// Operands shared between the lanes of a subgroup: for software adapters.
    Lanes(Tile),
    /// F(m x m, 3 x 3): products of transformed tiles.
    Winograd(usize),
}

impl Variant {
    /// All there are.
    pub fn all() -> Vec<Variant> {
        let register = TILES.into_iter().chain(WEIGHT_TILES).map(Variant::Register);
        let lanes = lanes::TILES.into_iter().chain(lanes::WEIGHT_TILES).map(Variant::Lanes);
        // A tile that several passes are compiled for is one variant.
        let mut all = Vec::new();
        for variant in register.chain(lanes).chain(winograd::SIZES.map(Variant::Winograd)) {
            if !all.contains(&variant) {
                all.push(variant);
            }
        }
        all
    }

    /// Whether it can compute `pass` of `s` on an adapter with `profile`.
    pub fn serves(self, pass: Pass, s: &Conv2d, profile: &Profile) -> bool {
        match self {
            Variant::Register(tile) => register::serves(pass, s, tile),
            Variant::Lanes(tile) => lanes::serves(pass, s, tile, profile),
            Variant::Winograd(size) => winograd::serves(pass, s, size, profile),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variant::Register(tile) => write!(f, "register-{}x{}", tile.rows, tile.columns),
            Variant::Lanes(tile) => write!(f, "lanes-{}x{}", tile.rows, tile.columns),
            Variant::Winograd(size) => write!(f, "winograd-{size}x{size}"),
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
    let winograd = winograd::choose(pass, s, profile).map(Variant::Winograd);
    let lanes = || lanes::choose(pass, s, profile).map(Variant::Lanes);
    winograd.or_else(lanes).unwrap_or_else(|| Variant::Register(register::choose(pass, s, profile.class)))
}
