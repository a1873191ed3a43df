//! Many matrix products of one shape in one dispatch, as batched 1x1 convolutions: what Winograd's transforms need.

use super::common::{Epilogue, Pass, Tile};
use super::subgroup::{self, Batch};
use super::tiled::{self, Plan};
use crate::Result;
use crate::gpu::{Gpu, Profile};
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};

/// `count` products that lie one behind the other; each is a 1x1 convolution of one image, a pixel a row of the product.
pub(super) struct Product {
    pub count: usize,
    pub shape: Conv2d,
}

/// Who computes them.
#[derive(Clone, Copy)]
enum Family {
    Lanes(Tile),
    Tiled(Tile),
}

impl Product {
    fn family(&self, pass: Pass, profile: &Profile) -> Family {
        let lanes = subgroup::choose(pass, &self.shape, profile);
        match lanes.or_else(|| subgroup::narrowest(pass, &self.shape, profile)) {
            Some(tile) => Family::Lanes(tile),
            None => Family::Tiled(tiled::best(pass, &self.shape, self.count, profile.class)),
        }
    }

    fn plan(&self, pass: Pass, tile: Tile, gpu: &Gpu) -> Plan<'_> {
        Plan::new(pass, &self.shape, self.count, tile, gpu.profile().class)
    }
}

/// Whether the products share their loads through the lanes of a subgroup, so that fewer multiplications are known to
/// pay; on GPUs, where they share them through workgroup memory, that has yet to be measured.
pub(super) fn shares_loads(profile: &Profile) -> bool {
    subgroup::size(profile).is_some()
}

/// `m[f, t, co] = Σ_ci v[f, t, ci] · u[f, co, ci]`.
pub(super) fn forward(gpu: &Gpu, p: &Product, v: &Tensor, u: &Tensor, m: &Tensor) -> Result<()> {
    let none = Epilogue::default();
    match p.family(Pass::Forward, gpu.profile()) {
        Family::Lanes(tile) => {
            subgroup::forward(gpu, &p.shape, Batch(p.count), (v, u), (none, None), &GradTarget::fresh(m.clone()), tile)
        }
        Family::Tiled(tile) => tiled::forward(gpu, &p.plan(Pass::Forward, tile, gpu), (v, u), (none, None), m),
    }
}

/// `m[f, t, ci] = Σ_co v[f, t, co] · u[f, co, ci]`.
pub(super) fn input_grad(gpu: &Gpu, p: &Product, v: &Tensor, u: &Tensor, m: &Tensor) -> Result<()> {
    let m = GradTarget::fresh(m.clone());
    match p.family(Pass::InputGrad, gpu.profile()) {
        Family::Lanes(tile) => subgroup::input_grad(gpu, &p.shape, Batch(p.count), (v, u), &m, tile),
        Family::Tiled(tile) => tiled::input_grad(gpu, &p.plan(Pass::InputGrad, tile, gpu), v, u, &m),
    }
}

/// `[parts, f, co, ci]`, whose sum over the parts is `Σ_t d[f, t, co] · v[f, t, ci]`.
pub(super) fn weight_grad_parts(gpu: &Gpu, p: &Product, v: &Tensor, d: &Tensor) -> Result<Tensor> {
    let part = |splits| Tensor::empty(gpu, &[splits, p.count, p.shape.co, p.shape.ci]);
    match p.family(Pass::WeightGrad, gpu.profile()) {
        Family::Lanes(tile) => {
            let splits = subgroup::splits(gpu, &p.shape, Batch(p.count), tile);
            let part = part(splits)?;
            subgroup::weight_grad_parts(gpu, &p.shape, Batch(p.count), (v, d), &part, tile, splits)?;
            Ok(part)
        }
        Family::Tiled(tile) => {
            let plan = p.plan(Pass::WeightGrad, tile, gpu);
            let part = GradTarget::fresh(part(plan.parts())?);
            tiled::weight_grad_parts(gpu, &plan, v, d, &part)?;
            Ok(part.tensor)
        }
    }
}
