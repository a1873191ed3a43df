//! The variant for software adapters: the lanes of a subgroup load different data and share it by shuffles.
//!
//! A load there is a loop over the lanes, a shuffle with a constant lane is one instruction.

use super::register::Tile;
use super::{Epilogue, Pass, geometry};
use crate::gpu::{AdapterClass, Defines, Gpu, Profile, Source};
use crate::kernels::case::Permutation;
use crate::shape::Conv2d;
use crate::tensor::Tensor;
use crate::{Result, defines};

const FORWARD: Source =
    Source { name: "conv2d/lanes_forward", text: include_str!("../../../shaders/conv2d/lanes_forward.wgsl") };

/// Pixels of a subgroup x output channels of a lane.
pub(super) const TILES: [Tile; 3] =
    [Tile { rows: 32, columns: 8 }, Tile { rows: 32, columns: 4 }, Tile { rows: 32, columns: 2 }];

/// The size of every subgroup, where the adapter is software and has but one size that divides the shader's tiles.
fn lanes(profile: &Profile) -> Option<usize> {
    match profile.subgroups {
        Some((min, max)) if min == max && [4, 8, 16].contains(&min) && profile.class == AdapterClass::Software => {
            Some(min as usize)
        }
        _ => None,
    }
}

/// Whether the family may compute `pass` of `s`.
pub(super) fn serves(pass: Pass, s: &Conv2d, profile: &Profile) -> bool {
    pass == Pass::Forward && s.groups == 1 && s.ci.is_multiple_of(4) && lanes(profile).is_some()
}

/// The tile for `pass` of `s`: as wide as the channels fill; `None` where another family is better.
pub(super) fn choose(pass: Pass, s: &Conv2d, profile: &Profile) -> Option<Tile> {
    let lanes = lanes(profile)?;
    let wide = TILES.into_iter().find(|t| t.columns * lanes <= s.co);
    wide.filter(|_| serves(pass, s, profile) && s.n * s.oh() * s.ow() >= 512)
}

fn forward_defines(co: usize, epilogue: &Epilogue, tile: Tile, lanes: usize) -> Defines {
    defines! {
        LANES = lanes, ROWS = tile.rows, COLUMNS = tile.columns,
        OVEC = co.is_multiple_of(4) && tile.columns.is_multiple_of(4),
        BIAS = epilogue.bias.is_some(), RESIDUAL = epilogue.residual.is_some(), RELU = epilogue.relu,
    }
}

pub(super) fn forward(
    gpu: &Gpu,
    s: &Conv2d,
    x: &Tensor,
    w: &Tensor,
    epilogue: Epilogue,
    y: &Tensor,
    tile: Tile,
) -> Result<()> {
    // `serves` has been asked: the size is known.
    let lanes = lanes(gpu.profile()).unwrap_or(8);
    let pixels = s.n * s.oh() * s.ow();
    let tiles = s.co.div_ceil(lanes * tile.columns);
    let mut launch = gpu
        .launch(FORWARD, "lanes_forward", &forward_defines(s.co, &epilogue, tile, lanes))?
        .bind("x", x)
        .bind("w", w)
        .bind("y", y)
        .u32("pixels", pixels)
        .u32("tiles", tiles)
        .cost(2 * s.macs());
    if let Some(bias) = epilogue.bias {
        launch = launch.bind("bias", bias);
    }
    if let Some(residual) = epilogue.residual {
        launch = launch.bind("residual", residual);
    }
    geometry(launch, s).groups(tiles * pixels.div_ceil(64 / lanes * tile.rows))
}

/// Every way the shader is compiled.
pub(super) fn permutations() -> Vec<Permutation> {
    let mut all = Vec::new();
    for (tile, lanes) in TILES.into_iter().flat_map(|t| [4, 8, 16].map(|l| (t, l))) {
        for bits in 0..16 {
            let on = |bit: usize| bits >> bit & 1 == 1;
            if on(0) && !tile.columns.is_multiple_of(4) {
                continue;
            }
            let defines = defines! {
                LANES = lanes, ROWS = tile.rows, COLUMNS = tile.columns, OVEC = on(0),
                BIAS = on(1), RESIDUAL = on(2), RELU = on(3),
            };
            all.push(Permutation { source: FORWARD, defines });
        }
    }
    all
}
