//! Batch normalisation (Ioffe & Szegedy 2015) over rows x channels, fused with residual addition and ReLU.

mod finish;
mod workloads;

pub use workloads::workloads;

use super::PART;
use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{added, destination};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

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
pub fn normalise(
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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let flags = (0..64).map(|bits| [0, 1, 2, 3, 4, 5].map(|bit| i64::from(bits >> bit & 1 == 1)));
    // Pairs of floats are for vectors, the mask for a ReLU.
    let used =
        flags.filter(|[wide, relu, _, _, mask, int64]| (*wide == 1 || *int64 == 0) && (*relu == 1 || *mask == 0));
    used.map(|[wide, relu, residual, grad, mask, int64]| Permutation {
        source: SOURCE,
        defines: defines! {
            VEC = 1 + 3 * wide, ROWS = ROWS, RELU = relu, RESIDUAL = residual, RESIDUAL_GRAD = grad, MASK = mask, INT64 = int64,
        },
    })
    .chain(finish::permutations())
    .collect()
}

/// Odd rows and channels, a mean far from zero, and one row; with and without residual and ReLU.
pub fn cases() -> Vec<Case> {
    let shapes = [(256, 16), (42, 5), (8, 64), (75, 100), (1, 3), (4, 4), (5000, 3), (9216, 8), (33, 65)];
    let all = shapes.into_iter().flat_map(|(m, c)| [(false, false), (false, true), (true, true)].map(|f| (m, c, f)));
    let case = |(m, c, (residual, relu)): (usize, usize, (bool, bool))| {
        Case::new(format!("[{m}, {c}] residual {residual} relu {relu}"), move |gpu| run(gpu, m, c, residual, relu))
    };
    all.map(case).chain(finish::cases()).collect()
}

fn run(gpu: &Gpu, m: usize, c: usize, residual: bool, relu: bool) -> Result<Vec<Check>> {
    // Channel means around 3 show cancellation, should there be any.
    let x: Vec<f32> = values(1, m * c).iter().enumerate().map(|(i, v)| v + 3.0 * ((i % c) % 3) as f32).collect();
    let (r, dy) = (values(2, m * c), values(3, m * c));
    let (gamma, beta, mean) = (values(4, c), values(5, c), values(6, c));
    let var: Vec<f32> = values(7, c).iter().map(|v| v * v + 0.1).collect();
    let (x64, r64, dy64) = (f64s(&x), f64s(&r), f64s(&dy));
    let (gamma64, beta64) = (f64s(&gamma), f64s(&beta));
    let eps = f64::from(1e-5_f32);
    let (x, dy) = (Tensor::from_f32(gpu, &x, &[m, c])?, Tensor::from_f32(gpu, &dy, &[m, c])?);
    let r = residual.then(|| Tensor::from_f32(gpu, &r, &[m, c])).transpose()?;
    let r64 = residual.then_some(&r64[..]);
    let norm = Norm {
        gamma: Tensor::from_f32(gpu, &gamma, &[c])?,
        beta: Tensor::from_f32(gpu, &beta, &[c])?,
        running: Tensor::from_f32(gpu, &[&mean[..], &var].concat(), &[2, c])?,
        eps: 1e-5,
        momentum: 0.1,
    };
    let mut checks = Vec::new();
    for training in [false, true] {
        let name = |what: &str| format!("{what}, training {training}");
        let stats = if training { batch_stats(gpu, &x, &norm, None)? } else { running_stats(gpu, &norm)? };
        let (mean64, var64) = if training { reference::batch_norm::stats(&x64, c) } else { (f64s(&mean), f64s(&var)) };
        let y64 = reference::batch_norm::forward(&x64, c, &mean64, &var64, &gamma64, &beta64, eps, r64, relu);
        let y = normalise(gpu, &x, &stats, &norm, r.as_ref(), relu)?;
        checks.push(Check::sum(name("y"), y.to_f32(gpu)?, y64, m));
        if training {
            let (mut running_mean, mut running_var) = (f64s(&mean), f64s(&var));
            reference::batch_norm::update_running(
                &mut running_mean,
                &mut running_var,
                &mean64,
                &var64,
                m,
                f64::from(0.1_f32),
            );
            let want = [running_mean, running_var].concat();
            checks.push(Check::sum("running", norm.running.to_f32(gpu)?, want, m));
        }
        // A batch of one has no variance: its gradient is rounding noise times 1/√ε. (With two, x̂ is ±1 whatever x is,
        // and dx is noise as well, so no shape above has two rows.)
        if training && m == 1 {
            continue;
        }
        // The mask comes from the GPU's own output: a value within rounding of zero may fall on either side.
        let mask = f64s(&y.to_f32(gpu)?);
        let want =
            reference::batch_norm::backward(&dy64, &mask, &x64, c, &mean64, &var64, &gamma64, eps, relu, training);
        for accumulate in [false, true] {
            let full = || destination(gpu, &[m, c], accumulate);
            let ((dx, dx0), (dr, dr0)) = (full()?, full()?);
            let ((dgamma, dgamma0), (dbeta, dbeta0)) =
                (destination(gpu, &[c], accumulate)?, destination(gpu, &[c], accumulate)?);
            let out = NormTargets { dx: Some(&dx), dgamma: &dgamma, dbeta: &dbeta, dresidual: residual.then_some(&dr) };
            backward(gpu, (&dy, &x, &y), &stats, &norm, (residual, relu), training, out)?;
            let mut push = |what: &str, target: &GradTarget, there: &[f64], gradient: &[f64]| {
                let what = name(&format!("{what}, accumulate {accumulate}"));
                target.tensor.to_f32(gpu).map(|got| checks.push(Check::sum(what, got, added(there, 1.0, gradient), m)))
            };
            push("dx", &dx, &dx0, &want.dx)?;
            push("dgamma", &dgamma, &dgamma0, &want.dgamma)?;
            push("dbeta", &dbeta, &dbeta0, &want.dbeta)?;
            if residual {
                push("dresidual", &dr, &dr0, &want.dresidual)?;
            }
        }
    }
    // The running values have moved by now; the fold must use what they are.
    let running = f64s(&norm.running.to_f32(gpu)?);
    let w = values(8, c * 9);
    let (w64, b64) =
        reference::batch_norm::fold(&f64s(&w), c, None, &running[..c], &running[c..], &gamma64, &beta64, eps);
    let (folded, bias) = fold(gpu, &Tensor::from_f32(gpu, &w, &[c, 3, 3, 1])?, &norm)?;
    checks.push(Check::sum("folded weight", folded.to_f32(gpu)?, w64, 1));
    checks.push(Check::sum("folded bias", bias.to_f32(gpu)?, b64, 4));
    Ok(checks)
}
