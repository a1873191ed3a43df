//! Two maps into one by an attention over both (ReviewKD's fusion: Chen et al. 2021), and its gradients.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use super::rows::{RowParallelism, expect};
use super::{linear, reduce};
use crate::gpu::{Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "fuse", text: include_str!("../../shaders/fuse.wgsl") };

/// What decides about each pixel: `a = Wx x + Wy y + b`.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// `[2, c]`.
    pub wx: &'a Tensor,
    /// `[2, c]`.
    pub wy: &'a Tensor,
    /// `[2]`.
    pub bias: &'a Tensor,
}

/// Where the gradients go: shapes of what they are the gradients of.
#[derive(Debug, Clone, Copy)]
pub struct FuseTargets<'a> {
    /// Of the first map.
    pub dx: &'a GradTarget,
    /// Of the second map.
    pub dy: &'a GradTarget,
    /// Of the first map's weights.
    pub dwx: &'a GradTarget,
    /// Of the second map's weights.
    pub dwy: &'a GradTarget,
    /// Of the bias.
    pub dbias: &'a GradTarget,
}

/// `x σ(a_0) + y σ(a_1)` of maps `x` and `y` `[.., c]`, and both `σ`, `[rows, 2]`.
pub fn fuse(gpu: &Gpu, x: &Tensor, y: &Tensor, attention: Attention) -> Result<(Tensor, Tensor)> {
    fuse_with(gpu, x, y, attention, RowParallelism::choose(x.columns(), gpu.profile().class))
}

/// [`fuse`] with rows worked through in a given way.
pub fn fuse_with(
    gpu: &Gpu,
    x: &Tensor,
    y: &Tensor,
    attention: Attention,
    rows: RowParallelism,
) -> Result<(Tensor, Tensor)> {
    let size = [x.rows(), x.columns()];
    expect("fuse", "y", y, x.shape())?;
    expect("fuse", "wx", attention.wx, &[2, size[1]])?;
    expect("fuse", "wy", attention.wy, &[2, size[1]])?;
    expect("fuse", "the bias", attention.bias, &[2])?;
    let (z, gates) = (Tensor::empty(gpu, x.shape())?, Tensor::empty(gpu, &[size[0], 2])?);
    let launch = gpu
        .launch(SOURCE, "fuse", &defines! { WIDE = rows.wide() })?
        .bind("x", x)
        .bind("y", y)
        .bind("wx", attention.wx)
        .bind("wy", attention.wy)
        .bind("bias", attention.bias)
        .bind("z", &z)
        .bind("gates", &gates)
        .u32("rows", size[0])
        .u32("columns", size[1])
        .u32("accumulate_x", 0)
        .u32("accumulate_y", 0)
        .cost(11 * x.len() as u64);
    rows.dispatch(launch, size)?;
    Ok((z, gates))
}

/// The gradients of [`fuse`] from `dz`, with the `gates` it gave.
pub fn fuse_grad(
    gpu: &Gpu,
    maps: (&Tensor, &Tensor),
    attention: Attention,
    gates: &Tensor,
    dz: &Tensor,
    out: FuseTargets,
) -> Result<()> {
    let rows = RowParallelism::choose(dz.columns(), gpu.profile().class);
    fuse_grad_with(gpu, maps, attention, gates, dz, out, rows)
}

/// [`fuse_grad`] with rows worked through in a given way.
pub fn fuse_grad_with(
    gpu: &Gpu,
    (x, y): (&Tensor, &Tensor),
    attention: Attention,
    gates: &Tensor,
    dz: &Tensor,
    out: FuseTargets,
    rows: RowParallelism,
) -> Result<()> {
    let size = [x.rows(), x.columns()];
    for (what, tensor) in [("dz", dz), ("dx", &out.dx.tensor), ("dy", &out.dy.tensor)] {
        expect("fuse", what, tensor, x.shape())?;
    }
    expect("fuse", "the gates", gates, &[size[0], 2])?;
    let da = Tensor::empty(gpu, &[size[0], 2])?;
    let launch = |entry| {
        Ok::<_, Error>(
            gpu.launch(SOURCE, entry, &defines! { WIDE = rows.wide() })?
                .bind("dz", dz)
                .bind("open", gates)
                .u32("rows", size[0])
                .u32("columns", size[1])
                .u32("accumulate_x", out.dx.flag())
                .u32("accumulate_y", out.dy.flag())
                .cost(8 * x.len() as u64),
        )
    };
    rows.dispatch(launch("fuse_attention_grad")?.bind("x", x).bind("y", y).bind("da", &da), size)?;
    launch("fuse_grad")?
        .bind("wx_", attention.wx)
        .bind("wy_", attention.wy)
        .bind("da_", &da)
        .bind("dx", &out.dx.tensor)
        .bind("dy", &out.dy.tensor)
        .threads(x.len())?;
    let (x, y) = (x.reshape(&size)?, y.reshape(&size)?);
    linear::weight_grad(gpu, &x, &da, attention.wx, out.dwx)?;
    linear::weight_grad(gpu, &y, &da, attention.wy, out.dwy)?;
    reduce::column_sum(gpu, &da, 1.0, out.dbias)
}
