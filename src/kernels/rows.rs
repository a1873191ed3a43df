//! What the kernels over rows share (`shaders/shared/rows.wgsl`): who works through a row, and how labelled rows are
//! counted.

use std::rc::Rc;

use super::case::{Check, Prepared, f64s, values};
use crate::gpu::{AdapterClass, Defines, Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result};

/// Who works through a row of a `[rows, columns]` matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowParallelism {
    /// One invocation: nothing to synchronise.
    Invocation,
    /// A workgroup of 64, which folds its parts in a tree.
    Workgroup,
}

impl RowParallelism {
    /// Both of them.
    pub const ALL: [RowParallelism; 2] = [RowParallelism::Invocation, RowParallelism::Workgroup];

    /// A workgroup pays where each of its invocations has more than one column; on software adapters, whose barriers
    /// cost more than arithmetic, only where there are many more.
    pub fn choose(columns: usize, class: AdapterClass) -> RowParallelism {
        let alone = if class == AdapterClass::Software { 768 } else { 64 };
        if columns > alone { RowParallelism::Workgroup } else { RowParallelism::Invocation }
    }

    /// The define `WIDE`.
    pub(super) fn wide(self) -> i64 {
        i64::from(self == RowParallelism::Workgroup)
    }

    /// Records `launch` over the rows of a `[rows, columns]` matrix, through which it goes six times at most.
    pub(super) fn dispatch(self, launch: Launch, [rows, columns]: [usize; 2]) -> Result<()> {
        let step = if self == RowParallelism::Workgroup { 64 } else { 1 };
        let launch = launch.turns(6 * columns.div_ceil(step));
        match self {
            RowParallelism::Invocation => launch.threads(rows),
            RowParallelism::Workgroup => launch.groups(rows),
        }
    }
}

/// Where the number of samples that count is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counting {
    /// Every workgroup counts them all.
    Fused,
    /// A dispatch of its own counts them once.
    Before,
}

impl Counting {
    /// Both of them.
    pub const ALL: [Counting; 2] = [Counting::Fused, Counting::Before];

    /// Up to 64 loads an invocation are cheaper than a dispatch; on software adapters, up to 4.
    pub fn choose(samples: usize, class: AdapterClass) -> Counting {
        let few = if class == AdapterClass::Software { 256 } else { 4096 };
        if samples > few { Counting::Before } else { Counting::Fused }
    }

    /// The define `FUSED`.
    pub(super) fn fused(self) -> i64 {
        i64::from(self == Counting::Fused)
    }

    /// Records the counting dispatch where there is one; `prepare` binds and sets what `count_present` shares with the
    /// kernel itself.
    pub(super) fn count<'a>(
        self,
        gpu: &'a Gpu,
        source: Source,
        defines: &Defines,
        samples: usize,
        prepare: impl Fn(Launch<'a>) -> Launch<'a>,
    ) -> Result<Option<Tensor>> {
        if self == Counting::Fused {
            return Ok(None);
        }
        let count = Tensor::empty(gpu, &[1])?;
        prepare(gpu.launch(source, "count_present", defines)?)
            .bind("count_out", &count)
            .turns(samples.div_ceil(64))
            .groups(1)?;
        Ok(Some(count))
    }
}

/// Refuses `tensor` where it has not `len` values.
pub(super) fn expect(kernel: &str, what: &str, tensor: &Tensor, shape: &[usize]) -> Result<()> {
    if tensor.len() == shape.iter().product::<usize>() {
        return Ok(());
    }
    Err(Error::Shape(format!("{kernel}: {what} is {:?}, expected {shape:?}", tensor.shape())))
}

/// Binds the gradient called `name` where one is asked for.
pub(super) fn bind_gradient<'a>(launch: Launch<'a>, name: &str, target: Option<&GradTarget>) -> Launch<'a> {
    match target {
        Some(target) => launch.bind(name, &target.tensor),
        None => launch,
    }
}

/// The word `accumulate` of a gradient that may not be asked for.
pub(super) fn flag(target: Option<&GradTarget>) -> usize {
    target.map_or(0, GradTarget::flag)
}

/// Binds the number of samples that count where a dispatch of its own has found it.
pub(super) fn counted<'a>(launch: Launch<'a>, count: Option<&Tensor>) -> Launch<'a> {
    match count {
        Some(count) => launch.bind("present_count", count),
        None => launch,
    }
}

/// A gradient's destination for a case, and what is in it already: the gradient must come out added to that.
pub(super) fn destination(gpu: &Gpu, shape: &[usize], accumulate: bool) -> Result<(GradTarget, Vec<f64>)> {
    let len = shape.iter().product();
    if !accumulate {
        return Ok((GradTarget::fresh(Tensor::empty(gpu, shape)?), vec![0.0; len]));
    }
    let there = values(999, len);
    let target = GradTarget { tensor: Tensor::from_f32(gpu, &there, shape)?, accumulate };
    Ok((target, f64s(&there)))
}

/// `there + weight · gradient`.
pub(super) fn added(there: &[f64], weight: f64, gradient: &[f64]) -> Vec<f64> {
    there.iter().zip(gradient).map(|(t, g)| t + weight * g).collect()
}

/// The sum of a loss's rows, as the one value of a check.
pub(super) fn total(gpu: &Gpu, row_loss: &Tensor) -> Result<Vec<f32>> {
    Ok(vec![row_loss.to_f32(gpu)?.iter().sum()])
}

/// The checks of a loss fused with its gradient: `run(target, row_loss)` without a gradient, with a fresh one, and with one that is
/// added to; `shape` is the gradient's, `rows` the loss's.
pub(super) fn fused(
    gpu: &Gpu,
    what: &str,
    (shape, rows): (&[usize], usize),
    weight: f32,
    (loss, grad): (f64, &[f64]),
    terms: usize,
    run: impl Fn(Option<&GradTarget>, &Tensor) -> Result<()>,
) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for gradient in [None, Some(false), Some(true)] {
        let what = format!("{what}, accumulate {gradient:?}");
        let (out, there) = destination(gpu, shape, gradient == Some(true))?;
        let row_loss = Tensor::empty(gpu, &[rows])?;
        run(gradient.map(|_| &out), &row_loss)?;
        let want = vec![f64::from(weight) * loss];
        checks.push(Check::sum(format!("loss, {what}"), total(gpu, &row_loss)?, want, terms));
        if gradient.is_some() {
            let want = added(&there, weight.into(), grad);
            checks.push(Check::sum(format!("gradient, {what}"), out.tensor.to_f32(gpu)?, want, terms));
        }
    }
    Ok(checks)
}

/// A loss fused with its gradient, ready for the clock: `run(target, shares)` adds the loss of weight 1 and its gradient; `shape` is the
/// gradient's, `rows` the number of shares; `want()` gives both as the reference has them, to the digits of a sum of `terms`.
pub(super) fn timed(
    gpu: &Gpu,
    (shape, rows): (&[usize], usize),
    terms: usize,
    run: impl Fn(&Gpu, Option<&GradTarget>, &Tensor) -> Result<()> + 'static,
    want: impl Fn() -> (f64, Vec<f64>) + 'static,
) -> Result<Prepared> {
    let (run, out, shares) =
        (Rc::new(run), GradTarget::fresh(Tensor::empty(gpu, shape)?), Tensor::empty(gpu, &[rows])?);
    let (again, target, again_shares) = (run.clone(), out.clone(), shares.clone());
    Ok(Prepared {
        run: Box::new(move |gpu| run(gpu, Some(&out), &shares)),
        check: Box::new(move |gpu| {
            again(gpu, Some(&target), &again_shares)?;
            let (loss, gradient) = want();
            let got: f64 = again_shares.to_f32(gpu)?.iter().map(|v| f64::from(*v)).sum();
            Ok(vec![
                Check::sum("loss", vec![got as f32], vec![loss], terms),
                Check::sum("gradient", target.tensor.to_f32(gpu)?, gradient, terms),
            ])
        }),
    })
}
