//! What the kernels over rows share (`shaders/shared/rows.wgsl`): who works through a row, and how labelled rows are
//! counted.

pub(super) use super::expect::expect;
use super::loss_out::LossOut;
use crate::Result;
use crate::gpu::{AdapterClass, Defines, Gpu, Launch, Source};
use crate::tensor::Tensor;

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

    /// Starts a loss over the rows of `z` whose mean is over those of `samples` samples that count: after a dispatch that counts them,
    /// where that is one of its own. `shared` binds and sets what both dispatches read; the gradient is bound as `dz`.
    pub(super) fn launch<'g>(
        self,
        gpu: &'g Gpu,
        (source, entry): (Source, &'static str),
        defines: &Defines,
        (z, samples): (&Tensor, usize),
        out: &LossOut,
        shared: impl Fn(Launch<'g>) -> Launch<'g>,
    ) -> Result<Launch<'g>> {
        out.check(entry, z, z.rows())?;
        let start = |entry: &'static str| -> Result<Launch<'g>> {
            let launch = gpu.launch(source, entry, defines)?.u32("rows", z.rows()).u32("columns", z.columns());
            Ok(shared(out.set(launch.u32("samples", samples))))
        };
        let count = match self {
            Counting::Fused => None,
            Counting::Before => {
                let count = Tensor::empty(gpu, &[1])?;
                start("count_present")?.bind("count_out", &count).turns(samples.div_ceil(64)).groups(1)?;
                Some(count)
            }
        };
        let launch = out.bind(start(entry)?.bind("z", z), "dz");
        Ok(match &count {
            Some(count) => launch.bind("present_count", count),
            None => launch,
        })
    }
}
