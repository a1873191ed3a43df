//! What the losses of numbers are timed on: the depth of a batch.

use super::{RegressionLoss, regression};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::LossOut;
use crate::kernels::case::timed;
use crate::kernels::case::{Prepared, Size, Workload, f64s, values};
use crate::reference;
use crate::tensor::Tensor;

const DELTA: f32 = 0.7;

/// Squared error and Huber's loss of maps of 128x128 pixels: 8 of them, 2 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let images = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let workload = |(name, loss): (&str, RegressionLoss)| {
        let rows = images * 128 * 128;
        Workload {
            name: format!("{images}x128x128x1/{name}"),
            variant: None,
            flops: 5 * rows as u64,
            // Values and targets are read, the gradient and each row's loss are written.
            bytes: 16 * rows as u64,
            prepare: Box::new(move |gpu| prepare(gpu, rows, loss)),
        }
    };
    [("l2", RegressionLoss::L2), ("huber", RegressionLoss::Huber { delta: DELTA })].map(workload).into()
}

fn prepare(gpu: &Gpu, rows: usize, loss: RegressionLoss) -> Result<Prepared> {
    let (said, targets) = (values(1, rows), values(2, rows));
    let (z, truth) = (Tensor::from_f32(gpu, &said, &[rows, 1])?, Tensor::from_f32(gpu, &targets, &[rows, 1])?);
    let run = move |gpu: &Gpu, out: LossOut| regression(gpu, &z, &truth, loss, out);
    timed(gpu, (&[rows, 1], rows), 1, run, move || {
        let (z, t, delta) = (f64s(&said), f64s(&targets), f64::from(DELTA));
        let of = if loss == RegressionLoss::L2 { reference::regression::squared } else { reference::regression::huber };
        (reference::regression::forward(of, &z, &t, delta), reference::regression::grad(of, &z, &t, delta))
    })
}
