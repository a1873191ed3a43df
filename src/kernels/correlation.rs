//! One minus Pearson's correlation of the rows, or of the columns, of two matrices, fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::LossOut;
use super::rows::{RowParallelism, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "correlation", text: include_str!("../../shaders/correlation.wgsl") };

/// Lengths below it count as it (PyTorch's `normalize` in the reference).
const EPS: f32 = 1e-8;

/// What is correlated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Each row with its counterpart.
    Rows,
    /// Each column.
    Columns,
    /// All values at once.
    All,
}

impl Of {
    /// How many correlations there are between matrices `[rows, columns]`, and of how many values.
    fn size(self, rows: usize, columns: usize) -> (usize, usize) {
        match self {
            Of::Rows => (rows, columns),
            Of::Columns => (columns, rows),
            Of::All => (1, rows * columns),
        }
    }
}

/// The sum of `1 − correlation` of `a` with `b`, both `[rows, columns]`; the shares, one of each correlation, go to the row losses from
/// `first` on.
pub fn correlation(gpu: &Gpu, (a, b): (&Tensor, &Tensor), of: Of, first: usize, out: LossOut) -> Result<()> {
    let (_, values) = of.size(a.rows(), a.columns());
    correlation_with(gpu, (a, b), of, first, out, RowParallelism::choose(values, gpu.profile().class))
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`correlation`] with rows worked through in a given way.
pub fn correlation_with(
    gpu: &Gpu,
    (a, b): (&Tensor, &Tensor),
    of: Of,
    first: usize,
    out: LossOut,
    rows: RowParallelism,
) -> Result<()> {
    expect("correlation", "b", b, a.shape())?;
    let (count, values) = of.size(a.rows(), a.columns());
    if first + count > out.row_loss.len() {
        let message = format!("correlation: {count} losses from {first} into {:?}", out.row_loss.shape());
        return Err(Error::Shape(message));
    }
    out.check("correlation", a, out.row_loss.len())?;
    let (row_stride, column_stride) = if of == Of::Columns { (1, a.columns()) } else { (values, 1) };
    let launch = gpu
        .launch(SOURCE, "correlation", &variant(rows, out.grad.is_some()))?
        .bind("a", a)
        .bind("b", b)
        .u32("rows", count)
        .u32("columns", values)
        .u32("row_stride", row_stride)
        .u32("column_stride", column_stride)
        .u32("first", first)
        .f32("eps", EPS)
        .cost(30 * a.len() as u64);
    rows.dispatch(out.bind(out.set(launch), "da"), [count, values])
}
