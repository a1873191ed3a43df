//! Cases: what each kernel is tried with. One table serves four readers: the value tests, the gradient tests, the
//! shader validation and the benchmark.

use std::rc::Rc;

use super::LossOut;
use crate::Result;
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};

/// A result of the GPU beside the reference's.
#[derive(Debug, Clone)]
pub struct Check {
    /// Which output or gradient, and which variant made it.
    pub what: String,
    /// The GPU's values.
    pub got: Vec<f32>,
    /// The reference's values.
    pub want: Vec<f64>,
    /// Largest relative error allowed.
    pub tolerance: f64,
}

impl Check {
    /// A check with the tolerance of an f32 sum of `k` terms: `1e-5·√k`.
    pub fn sum(what: impl Into<String>, got: Vec<f32>, want: Vec<f64>, k: usize) -> Self {
        Check { what: what.into(), got, want, tolerance: 1e-5 * (k.max(1) as f64).sqrt() }
    }

    /// `‖got − want‖ / ‖want‖`; infinite where the lengths differ or a value is not finite.
    pub fn error(&self) -> f64 {
        if self.got.len() != self.want.len() || self.got.iter().any(|v| !v.is_finite()) {
            return f64::INFINITY;
        }
        let distance: f64 = self.got.iter().zip(&self.want).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
        let size: f64 = self.want.iter().map(|b| b * b).sum();
        // Where everything is zero the error is absolute.
        distance.sqrt() / if size > 0.0 { size.sqrt() } else { 1.0 }
    }

    /// Whether the error is within the tolerance.
    pub fn passes(&self) -> bool {
        self.error() <= self.tolerance
    }
}

type Run = Box<dyn Fn(&Gpu) -> Result<Vec<Check>>>;

/// One shape a kernel is tried with: values and gradients, in every variant.
pub struct Case {
    /// What it is, for messages.
    pub name: String,
    /// Runs it on the GPU and on the reference.
    pub run: Run,
}

impl Case {
    /// A case called `name`.
    pub fn new(name: impl Into<String>, run: impl Fn(&Gpu) -> Result<Vec<Check>> + 'static) -> Self {
        Case { name: name.into(), run: Box::new(run) }
    }
}

/// One way a shader is compiled.
#[derive(Debug, Clone)]
pub struct Permutation {
    /// The file.
    pub source: Source,
    /// Its defines.
    pub defines: Defines,
}

/// A row of the table of kernels.
pub struct Kernel {
    /// The name of its three rooms.
    pub name: &'static str,
    /// Its cases.
    pub cases: fn() -> Vec<Case>,
    /// Every way its shaders are compiled.
    pub permutations: fn() -> Vec<Permutation>,
    /// What it is timed on; [`no_workloads`] for kernels that never weigh.
    pub workloads: fn(&Gpu, Size) -> Vec<Workload>,
}

/// How much a benchmark may ask of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// The whole benchmark within a minute and a half, on software adapters too.
    Quick,
    /// Everything.
    Full,
}

type Record = Box<dyn Fn(&Gpu) -> Result<()>>;

/// A workload whose inputs lie on the GPU.
pub struct Prepared {
    /// Records one run.
    pub run: Record,
    /// Runs it once and holds the result, or a sample of it, against the reference.
    pub check: Run,
}

type Prepare = Box<dyn Fn(&Gpu) -> Result<Prepared>>;

/// A shape a kernel is timed on.
pub struct Workload {
    /// What it is: `resnet18/3x3-64-64-32x32-b32/forward`.
    pub name: String,
    /// The variant that is run, where there is a choice.
    pub variant: Option<String>,
    /// Floating-point operations, counted as the plain algorithm has them (a convolution as the direct one).
    pub flops: u64,
    /// Bytes that must move at least: every input and output once.
    pub bytes: u64,
    /// Uploads the inputs.
    pub prepare: Prepare,
}

/// For kernels that are not timed.
pub fn no_workloads(_: &Gpu, _: Size) -> Vec<Workload> {
    Vec::new()
}

/// About `count` positions of an array of `len`, spread over it with its ends among them.
pub fn spread(len: usize, count: usize) -> Vec<usize> {
    let step = (len / count.max(1)).max(1);
    // Odd, so that the positions do not all fall on the same channel.
    let step = step - usize::from(step > 1 && step.is_multiple_of(2));
    (0..len).step_by(step).chain(len.checked_sub(1)).collect()
}

/// Holds the values at `positions` against `want`, as a sum of `k` terms.
pub fn sampled(
    what: impl Into<String>,
    got: &[f32],
    positions: &[usize],
    want: impl Fn(usize) -> f64,
    k: usize,
) -> Check {
    let got = positions.iter().map(|&i| got.get(i).copied().unwrap_or(f32::NAN)).collect();
    Check::sum(what, got, positions.iter().map(|&i| want(i)).collect(), k)
}

/// `n` values, roughly normal, from a seed: the same on every machine.
pub fn values(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    let mut uniform = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    };
    // The sum of three uniforms has variance 1/4.
    (0..n).map(|_| 2.0 * (uniform() + uniform() + uniform() - 1.5)).collect()
}

/// The same numbers for the reference.
pub fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// A gradient's destination for a case, and what is in it already: the gradient must come out added to that.
pub(crate) fn destination(gpu: &Gpu, shape: &[usize], accumulate: bool) -> Result<(GradTarget, Vec<f64>)> {
    let len = shape.iter().product();
    if !accumulate {
        return Ok((GradTarget::fresh(Tensor::empty(gpu, shape)?), vec![0.0; len]));
    }
    let there = values(999, len);
    let target = GradTarget { tensor: Tensor::from_f32(gpu, &there, shape)?, accumulate };
    Ok((target, f64s(&there)))
}

/// `there + weight · gradient`.
pub(crate) fn added(there: &[f64], weight: f64, gradient: &[f64]) -> Vec<f64> {
    there.iter().zip(gradient).map(|(t, g)| t + weight * g).collect()
}

/// The sum of a loss's rows, as the one value of a check.
pub(crate) fn total(gpu: &Gpu, row_loss: &Tensor) -> Result<Vec<f32>> {
    Ok(vec![row_loss.to_f32(gpu)?.iter().sum()])
}

/// The checks of a loss fused with its gradient: `run` without a gradient, with a fresh one, and with one that is added to; `shape` is
/// the gradient's, `rows` the loss's.
pub(crate) fn fused(
    gpu: &Gpu,
    what: &str,
    (shape, rows): (&[usize], usize),
    weight: f32,
    (loss, grad): (f64, &[f64]),
    terms: usize,
    run: impl Fn(LossOut) -> Result<()>,
) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for gradient in [None, Some(false), Some(true)] {
        let what = format!("{what}, accumulate {gradient:?}");
        let (out, there) = destination(gpu, shape, gradient == Some(true))?;
        let row_loss = Tensor::empty(gpu, &[rows])?;
        run(LossOut { weight, grad: gradient.map(|_| &out), row_loss: &row_loss })?;
        let want = vec![f64::from(weight) * loss];
        checks.push(Check::sum(format!("loss, {what}"), total(gpu, &row_loss)?, want, terms));
        if gradient.is_some() {
            let want = added(&there, weight.into(), grad);
            checks.push(Check::sum(format!("gradient, {what}"), out.tensor.to_f32(gpu)?, want, terms));
        }
    }
    Ok(checks)
}

/// A loss fused with its gradient, ready for the clock: `run` computes the loss of weight 1 and its gradient; `shape` is the
/// gradient's, `rows` the number of shares; `want()` gives both as the reference has them, to the digits of a sum of `terms`.
pub(crate) fn timed(
    gpu: &Gpu,
    (shape, rows): (&[usize], usize),
    terms: usize,
    run: impl Fn(&Gpu, LossOut) -> Result<()> + 'static,
    want: impl Fn() -> (f64, Vec<f64>) + 'static,
) -> Result<Prepared> {
    let run = Rc::new(run);
    let (grad, shares) = (GradTarget::fresh(Tensor::empty(gpu, shape)?), Tensor::empty(gpu, &[rows])?);
    let (again, target, again_shares) = (run.clone(), grad.clone(), shares.clone());
    Ok(Prepared {
        run: Box::new(move |gpu| run(gpu, LossOut { weight: 1.0, grad: Some(&grad), row_loss: &shares })),
        check: Box::new(move |gpu| {
            again(gpu, LossOut { weight: 1.0, grad: Some(&target), row_loss: &again_shares })?;
            let (loss, gradient) = want();
            let got: f64 = again_shares.to_f32(gpu)?.iter().map(|v| f64::from(*v)).sum();
            Ok(vec![
                Check::sum("loss", vec![got as f32], vec![loss], terms),
                Check::sum("gradient", target.tensor.to_f32(gpu)?, gradient, terms),
            ])
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_reach_both_ends_and_every_residue() {
        for (len, count) in [(1, 64), (63, 64), (64, 64), (1000, 64), (32_768, 64), (100_003, 50)] {
            let all = spread(len, count);
            assert_eq!((all[0], all[all.len() - 1]), (0, len - 1));
            assert!(all.len() >= count.min(len) && all.iter().all(|i| *i < len), "{len} {count}: {}", all.len());
        }
        let residues: std::collections::HashSet<_> = spread(32_768, 64).iter().map(|i| i % 16).collect();
        assert!(residues.len() > 8);
        assert!(spread(0, 64).is_empty());
    }

    #[test]
    fn a_missing_value_fails() {
        assert!(sampled("all", &[1.0, 2.0], &[0, 1], |i| i as f64 + 1.0, 1).passes());
        assert!(!sampled("too short", &[1.0], &[0, 1], |i| i as f64 + 1.0, 1).passes());
        assert!(!sampled("wrong", &[1.0, 2.1], &[0, 1], |i| i as f64 + 1.0, 1).passes());
    }
}
