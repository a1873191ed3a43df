//! What the kernels over rows share (`shaders/shared/rows.wgsl`): who works through a row, and how labelled rows are
//! counted.

use crate::gpu::{Defines, Gpu, Launch, Source};
use crate::tensor::{Target, Tensor};
use crate::{Error, Result};

/// Who works through a row of a `[rows, columns]` matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rows {
    /// One invocation: nothing to synchronise.
    Invocation,
    /// A workgroup of 64, which folds its parts in a tree.
    Workgroup,
}

impl Rows {
    /// Both of them.
    pub const ALL: [Rows; 2] = [Rows::Invocation, Rows::Workgroup];

    /// A workgroup pays where each of its invocations has more than one column.
    pub fn choose(columns: usize) -> Rows {
        if columns > 64 { Rows::Workgroup } else { Rows::Invocation }
    }

    /// The define `WIDE`.
    pub(super) fn wide(self) -> i64 {
        i64::from(self == Rows::Workgroup)
    }

    /// Records `launch` over `rows` rows.
    pub(super) fn dispatch(self, launch: Launch, rows: usize) -> Result<()> {
        match self {
            Rows::Invocation => launch.threads(rows),
            Rows::Workgroup => launch.groups(rows),
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

    /// Up to 64 loads an invocation are cheaper than a dispatch.
    pub fn choose(samples: usize) -> Counting {
        if samples > 4096 { Counting::Before } else { Counting::Fused }
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
        prepare: impl Fn(Launch<'a>) -> Launch<'a>,
    ) -> Result<Option<Tensor>> {
        if self == Counting::Fused {
            return Ok(None);
        }
        let count = Tensor::empty(gpu, &[1])?;
        prepare(gpu.launch(source, "count_present", defines)?).bind("count_out", &count).groups(1)?;
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
pub(super) fn bind_gradient<'a>(launch: Launch<'a>, name: &str, target: Option<&Target>) -> Launch<'a> {
    match target {
        Some(target) => launch.bind(name, &target.tensor),
        None => launch,
    }
}

/// The word `accumulate` of a gradient that may not be asked for.
pub(super) fn flag(target: Option<&Target>) -> usize {
    target.map_or(0, Target::flag)
}

/// Binds the number of samples that count where a dispatch of its own has found it.
pub(super) fn counted<'a>(launch: Launch<'a>, count: Option<&Tensor>) -> Launch<'a> {
    match count {
        Some(count) => launch.bind("present_count", count),
        None => launch,
    }
}
