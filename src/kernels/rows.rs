//! What the kernels over rows share (`shaders/shared/rows.wgsl`): who works through a row, and how labelled rows are
//! counted.

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
