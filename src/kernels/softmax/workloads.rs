//! What the softmax is timed on: the logits of large batches.

use super::{log_softmax, softmax};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::case::{Check, Prepared, Size, Workload, f64s, values};
use crate::reference;
use crate::tensor::Tensor;

/// 10, 100 and 1000 classes in a million logits, a sixteenth of it on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let logits = if gpu.profile().class == AdapterClass::Software { 1 << 16 } else { 1 << 20 };
    let workload = |(columns, log): (usize, bool)| {
        let rows = logits / columns;
        let name = if log { "log_softmax" } else { "softmax" };
        Workload {
            name: format!("{name}/{rows}x{columns}"),
            variant: None,
            // Scale, maximum, subtraction, exponential, sum and division.
            flops: 6 * (rows * columns) as u64,
            bytes: 8 * (rows * columns) as u64,
            prepare: Box::new(move |gpu| prepare(gpu, rows, columns, log)),
        }
    };
    [(10, false), (100, false), (1000, false), (1000, true)].into_iter().map(workload).collect()
}

fn prepare(gpu: &Gpu, rows: usize, columns: usize, log: bool) -> Result<Prepared> {
    let compute = if log { log_softmax } else { softmax };
    let definition = if log { reference::softmax::log_softmax } else { reference::softmax::softmax };
    let logits = values(1, rows * columns);
    let z = Tensor::from_f32(gpu, &logits, &[rows, columns])?;
    let again = z.clone();
    Ok(Prepared {
        run: Box::new(move |gpu| compute(gpu, &z, 4.0).map(|_| ())),
        check: Box::new(move |gpu| {
            let got = compute(gpu, &again, 4.0)?.to_f32(gpu)?;
            Ok(vec![Check::sum("y", got, definition(&f64s(&logits), columns, 4.0), columns)])
        }),
    })
}
