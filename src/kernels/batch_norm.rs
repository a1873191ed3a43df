//! Batch normalization (Ioffe & Szegedy 2015) over rows x channels, fused with residual addition and ReLU.

#[cfg(feature = "selftest")]
mod cases;
mod finish;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::PART;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "batch_norm", text: include_str!("../../shaders/batch_norm.wgsl") };

/// Rows one invocation of the element-wise passes serves, so that the per-channel values are loaded once for all.
const ROWS: usize = 8;

/// The learned and the running values of one layer; all `[c]` but `running`, which is `[2, c]` (mean, variance).
#[derive(Debug, Clone)]
pub struct Norm {
    /// Scale.
    pub gamma: Tensor,
    /// Shift.
    pub beta: Tensor,
    /// Running mean and variance.
    pub running: Tensor,
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the new batch in the running values (0.1 in PyTorch).
    pub momentum: f32,
}

/// Where the gradients of a layer go.
pub struct NormTargets<'a> {
    /// `[n, h, w, c]`.
    pub dx: Option<&'a GradTarget>,
    /// `[c]`.
    pub dgamma: &'a GradTarget,
    /// `[c]`.
    pub dbeta: &'a GradTarget,
    /// `[n, h, w, c]`.
    pub dresidual: Option<&'a GradTarget>,
}

fn vec(channels: usize) -> usize {
    if channels.is_multiple_of(4) { 4 } else { 1 }
}

/// What the passes of one layer have in common.
fn permutation(gpu: &Gpu, channels: usize, relu: bool, residual: bool) -> Defines {
    defines! { VEC = vec(channels), ROWS = ROWS, RELU = relu, RESIDUAL = residual, INT64 = gpu.profile().int64 }
}

/// Sums over chunks of rows that a convolution has left beside its output, `[chunks, 2, c]`: each chunk's mean and its sum of
/// squared deviations. Every chunk has `rows` rows, but the last, which has what remains.
#[derive(Debug, Clone)]
pub struct Partials {
    /// `[chunks, 2, c]`.
    pub part: Tensor,
    /// Rows of a chunk.
    pub rows: usize,
}

/// Rows of a chunk: enough chunks to fill the adapter, few enough that combining them stays cheap.
fn chunk(rows: usize, channels: usize) -> usize {
    let vectors = channels / vec(channels);
    let chunks = (4096 / vectors.max(1)).clamp(1, 128).min(rows.div_ceil(8));
    rows.div_ceil(chunks.max(1)).min(PART)
}

fn check(x: &Tensor, others: &[&Tensor]) -> Result<()> {
    match others.iter().find(|o| o.len() != x.len()) {
        Some(o) => Err(Error::Shape(format!("batch norm: {:?} beside {:?}", o.shape(), x.shape()))),
        None => Ok(()),
    }
}

fn check_norm(x: &Tensor, norm: &Norm) -> Result<()> {
    let c = x.columns();
    if x.is_empty() || norm.gamma.len() != c || norm.beta.len() != c || norm.running.len() != 2 * c {
        return Err(Error::Shape(format!("batch norm of {} channels applied to {:?}", norm.gamma.len(), x.shape())));
    }
    Ok(())
}

/// `[2, c]`: the batch's mean and `1/√(σ²+ε)`, from `partials` where the convolution has left them. Updates the running
/// values.
pub fn batch_stats(gpu: &Gpu, x: &Tensor, norm: &Norm, partials: Option<Partials>) -> Result<Tensor> {
    check_norm(x, norm)?;
    let (rows, c) = (x.rows(), x.columns());
    let partials = match partials {
        Some(partials) => partials,
        None => partial_stats(gpu, x)?,
    };
    let chunks = rows.div_ceil(partials.rows);
    if partials.part.len() != chunks * 2 * c {
        return Err(Error::Shape(format!(
            "batch norm of {:?} from partial sums {:?}",
            x.shape(),
            partials.part.shape()
        )));
    }
    finish::stats(gpu, &partials, rows, norm, finish::strands(chunks, gpu.profile().class))
}

/// The partial sums of `x` by a pass of their own.
fn partial_stats(gpu: &Gpu, x: &Tensor) -> Result<Partials> {
    let (rows, c) = (x.rows(), x.columns());
    let chunk = chunk(rows, c);
    let chunks = rows.div_ceil(chunk);
    let part = Tensor::empty(gpu, &[chunks, 2, c])?;
    partial(gpu.launch(SOURCE, "partial_stats", &permutation(gpu, c, false, false))?, rows, c, chunk)
        .bind("x", x)
        .bind("part", &part)
        .threads(c / vec(c) * chunks)?;
    Ok(Partials { part, rows: chunk })
}

fn partial<'a>(launch: crate::gpu::Launch<'a>, rows: usize, c: usize, chunk: usize) -> crate::gpu::Launch<'a> {
    launch
        .u32("rows", rows)
        .u32("channels", c)
        .u32("vectors", c / vec(c))
        .u32("chunk", chunk)
        .u32("chunks", rows.div_ceil(chunk))
        .turns(chunk)
}

/// `[2, c]`: the running mean and `1/√(σ²+ε)`, for evaluation.
pub fn running_stats(gpu: &Gpu, norm: &Norm) -> Result<Tensor> {
    let c = norm.gamma.len();
    let stats = Tensor::empty(gpu, &[2, c])?;
    gpu.launch(SOURCE, "running_stats", &permutation(gpu, c, false, false))?
        .bind("known", &norm.running)
        .bind("stats", &stats)
        .u32("channels", c)
        .f32("eps", norm.eps)
        .threads(c)?;
    Ok(stats)
}

/// `y = relu(γ (x − μ) / √(σ²+ε) + β + residual)` with `stats` from [`batch_stats`] or [`running_stats`].
pub fn normalize(
    gpu: &Gpu,
    x: &Tensor,
    stats: &Tensor,
    norm: &Norm,
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    check_norm(x, norm)?;
    check(x, residual.as_slice())?;
    let (rows, c) = (x.rows(), x.columns());
    let y = Tensor::empty(gpu, x.shape())?;
    let blocks = rows.div_ceil(ROWS);
    let mut launch = gpu
        .launch(SOURCE, "normalise", &permutation(gpu, c, relu, residual.is_some()))?
        .bind("x", x)
        .bind("saved", stats)
        .bind("gamma", &norm.gamma)
        .bind("beta", &norm.beta)
        .bind("y", &y)
        .u32("rows", rows)
        .u32("vectors", c / vec(c))
        .u32("blocks", blocks);
    if let Some(residual) = residual {
        launch = launch.bind("residual", residual);
    }
    launch.threads(blocks * (c / vec(c)))?;
    Ok(y)
}

/// The gradients, from `dy`, the input `x`, the output `y` (read where both `relu` and `residual`) and the statistics that
/// normalised it. `residual` says whether one was added, wanted or not; `training`, whether the statistics were the batch's
/// own, on which `x` also acts.
pub fn backward(
    gpu: &Gpu,
    (dy, x, y): (&Tensor, &Tensor, &Tensor),
    stats: &Tensor,
    norm: &Norm,
    (residual, relu): (bool, bool),
    training: bool,
    out: NormTargets,
) -> Result<()> {
    check_norm(x, norm)?;
    check(x, &[dy, y])?;
    let (rows, c) = (x.rows(), x.columns());
    let chunk = chunk(rows, c);
    let chunks = rows.div_ceil(chunk);
    let part = Tensor::empty(gpu, &[chunks, 2, c])?;
    // Where a residual was added, x does not tell what the ReLU has let through.
    let mask = relu && !residual;
    let mut defines = permutation(gpu, c, relu, false);
    defines.insert("RESIDUAL_GRAD".into(), out.dresidual.is_some().into());
    defines.insert("MASK".into(), mask.into());
    let mut launch = partial(gpu.launch(SOURCE, "partial_grads", &defines)?, rows, c, chunk)
        .bind("x", x)
        .bind("dy", dy)
        .bind("saved_stats", stats)
        .bind("part", &part);
    match (mask, relu) {
        (true, _) => launch = launch.bind("mask_gamma", &norm.gamma).bind("mask_beta", &norm.beta),
        (false, true) => launch = launch.bind("out", y),
        (false, false) => {}
    }
    launch.threads(c / vec(c) * chunks)?;
    let strands = finish::strands(chunks, gpu.profile().class);
    let coefficients = finish::grads(gpu, (&part, rows), stats, norm, training, (out.dgamma, out.dbeta), strands)?;
    // Without a gradient for x the residual still needs its own; dx then goes to memory nobody reads.
    let scratch;
    let dx = match (out.dx, out.dresidual) {
        (None, None) => return Ok(()),
        (Some(dx), _) => dx,
        (None, Some(_)) => {
            scratch = GradTarget::fresh(Tensor::empty(gpu, x.shape())?);
            &scratch
        }
    };
    let blocks = rows.div_ceil(ROWS);
    let mut launch = gpu
        .launch(SOURCE, "input_grad", &defines)?
        .bind("x", x)
        .bind("dy", dy)
        .bind("coefficient", &coefficients)
        .bind("dx", &dx.tensor)
        .u32("rows", rows)
        .u32("vectors", c / vec(c))
        .u32("blocks", blocks)
        .u32("accumulate", dx.flag())
        .u32("accumulate_residual", out.dresidual.map_or(0, GradTarget::flag));
    if relu && !mask {
        launch = launch.bind("out", y);
    }
    if let Some(target) = out.dresidual {
        launch = launch.bind("dresidual", &target.tensor);
    }
    launch.threads(blocks * (c / vec(c)))
}

/// A convolution's weight `[co, …]` and bias `[co]` with the batch norm after it folded in (evaluation only):
/// `w' = w γ/√(σ²+ε)`, `b' = β − μ γ/√(σ²+ε)`.
pub fn fold(gpu: &Gpu, w: &Tensor, norm: &Norm) -> Result<(Tensor, Tensor)> {
    let c = norm.gamma.len();
    if !w.len().is_multiple_of(c) || w.shape().first() != Some(&c) {
        return Err(Error::Shape(format!("a norm of {c} channels cannot be folded into weights {:?}", w.shape())));
    }
    let (folded, bias) = (Tensor::empty(gpu, w.shape())?, Tensor::empty(gpu, &[c])?);
    gpu.launch(SOURCE, "fold", &permutation(gpu, c, false, false))?
        .bind("weight", w)
        .bind("moments", &norm.running)
        .bind("fold_gamma", &norm.gamma)
        .bind("fold_beta", &norm.beta)
        .bind("folded", &folded)
        .bind("bias", &bias)
        .u32("outputs", c)
        .u32("row", w.len() / c)
        .f32("eps", norm.eps)
        .threads(w.len())?;
    Ok((folded, bias))
}
