//! Many matrix products of one shape in one dispatch, as batched 1x1 convolutions: what Winograd's transforms need.

use super::lanes::{self, Batch};
use super::register::Tile;
use super::{Epilogue, Pass};
use crate::gpu::{Gpu, Profile};
use crate::shape::Conv2d;
use crate::tensor::{Target, Tensor};
use crate::{Error, Result};

/// `count` products that lie one behind the other; each is a 1x1 convolution of `shape.n` images of one pixel.
pub(super) struct Product {
    pub count: usize,
    pub shape: Conv2d,
}

impl Product {
    fn tile(&self, pass: Pass, profile: &Profile) -> Option<Tile> {
        lanes::choose(pass, &self.shape, profile).or_else(|| lanes::narrowest(pass, &self.shape, profile))
    }

    fn tile_or_error(&self, pass: Pass, gpu: &Gpu) -> Result<Tile> {
        let none = || Error::Shape(format!("no variant serves {} products {:?}", self.count, self.shape));
        self.tile(pass, gpu.profile()).ok_or_else(none)
    }
}

/// Whether the products of `pass` can be computed in one dispatch.
pub(super) fn serves(pass: Pass, product: &Product, profile: &Profile) -> bool {
    product.tile(pass, profile).is_some()
}

/// Whether the products share their loads, so that fewer multiplications pay.
pub(super) fn shares_loads(profile: &Profile) -> bool {
    lanes::size(profile).is_some()
}

/// `m[f, t, co] = Σ_ci v[f, t, ci] · u[f, co, ci]`.
pub(super) fn forward(gpu: &Gpu, p: &Product, v: &Tensor, u: &Tensor, m: &Tensor) -> Result<()> {
    let tile = p.tile_or_error(Pass::Forward, gpu)?;
    lanes::forward(gpu, &p.shape, Batch(p.count), (v, u), Epilogue::default(), m, tile)
}

/// `m[f, t, ci] = Σ_co v[f, t, co] · u[f, co, ci]`.
pub(super) fn input_grad(gpu: &Gpu, p: &Product, v: &Tensor, u: &Tensor, m: &Tensor) -> Result<()> {
    let tile = p.tile_or_error(Pass::InputGrad, gpu)?;
    lanes::input_grad(gpu, &p.shape, Batch(p.count), (v, u), &Target::fresh(m.clone()), tile)
}

/// `[parts, f, co, ci]`, whose sum over the parts is `Σ_t d[f, t, co] · v[f, t, ci]`.
pub(super) fn weight_grad_parts(gpu: &Gpu, p: &Product, v: &Tensor, d: &Tensor) -> Result<Tensor> {
    let tile = p.tile_or_error(Pass::WeightGrad, gpu)?;
    let splits = lanes::splits(gpu, &p.shape, Batch(p.count), tile);
    let part = Tensor::empty(gpu, &[splits, p.count, p.shape.co, p.shape.ci])?;
    lanes::weight_grad_parts(gpu, &p.shape, Batch(p.count), (v, d), &part, tile, splits)?;
    Ok(part)
}
