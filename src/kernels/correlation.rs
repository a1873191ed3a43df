//! One minus Pearson's correlation of the rows, or of the columns, of two matrices, fused with its gradient.

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations, workloads};

use super::rows::{RowParallelism, bind_gradient, expect, flag};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
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

/// `weight ·` the sum of `1 − correlation` of `a` with `b`, both `[rows, columns]`; the shares go to `row_loss` from `first` on, the
/// gradient of `a` to `da`.
pub fn correlation(
    gpu: &Gpu,
    (a, b): (&Tensor, &Tensor),
    of: Of,
    weight: f32,
    da: Option<&GradTarget>,
    (row_loss, first): (&Tensor, usize),
) -> Result<()> {
    let (_, values) = of.size(a.rows(), a.columns());
    let rows = RowParallelism::choose(values, gpu.profile().class);
    correlation_with(gpu, (a, b), of, weight, da, (row_loss, first), rows)
}

fn variant(rows: RowParallelism, grad: bool) -> Defines {
    defines! { WIDE = rows.wide(), GRAD = grad }
}

/// [`correlation`] with rows worked through in a given way.
pub fn correlation_with(
    gpu: &Gpu,
    (a, b): (&Tensor, &Tensor),
    of: Of,
    weight: f32,
    da: Option<&GradTarget>,
    (row_loss, first): (&Tensor, usize),
    rows: RowParallelism,
) -> Result<()> {
    expect("correlation", "b", b, a.shape())?;
    if let Some(da) = da {
        expect("correlation", "da", &da.tensor, a.shape())?;
    }
    let (count, values) = of.size(a.rows(), a.columns());
    if first + count > row_loss.len() {
        let message = format!("correlation: {count} losses from {first} into {:?}", row_loss.shape());
        return Err(Error::Shape(message));
    }
    let (row_stride, column_stride) = if of == Of::Columns { (1, a.columns()) } else { (values, 1) };
    let launch = gpu
        .launch(SOURCE, "correlation", &variant(rows, da.is_some()))?
        .bind("a", a)
        .bind("b", b)
        .bind("row_loss", row_loss)
        .u32("rows", count)
        .u32("columns", values)
        .u32("row_stride", row_stride)
        .u32("column_stride", column_stride)
        .u32("first", first)
        .u32("accumulate", flag(da))
        .f32("eps", EPS)
        .f32("weight", weight)
        .cost(30 * a.len() as u64);
    rows.dispatch(bind_gradient(launch, "da", da), [count, values])
}
