//! What the Dice loss is timed on: the pixels of a batch.

use super::{MISSING, dice};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::LossOut;
use crate::kernels::case::timed;
use crate::kernels::case::{Prepared, Size, Workload, f64s, values};
use crate::reference;
use crate::tensor::Tensor;

/// Maps of 128x128 pixels, of 2 and of 21 classes: 8 of them, 2 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let images = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let workload = |c: usize| {
        let rows = images * 128 * 128;
        Workload {
            name: format!("{images}x128x128x{c}"),
            variant: None,
            // Of each logit maximum, difference, exponential and sum; the class's sums; its share of the gradient.
            flops: 14 * (rows * c) as u64,
            // Logits and labels are read, the gradient is written.
            bytes: 4 * (2 * rows * c + rows) as u64,
            prepare: Box::new(move |gpu| prepare(gpu, rows, c)),
        }
    };
    [2, 21].map(workload).into()
}

fn prepare(gpu: &Gpu, rows: usize, c: usize) -> Result<Prepared> {
    let logits: Vec<f32> = values(1, rows * c).iter().map(|v| 3.0 * v).collect();
    let labels: Vec<u32> = (0..rows).map(|i| if i % 16 == 3 { MISSING } else { (i / 64 % c) as u32 }).collect();
    let (z, truth) = (Tensor::from_f32(gpu, &logits, &[rows, c])?, Tensor::from_u32(gpu, &labels, &[rows])?);
    let class_weights = Tensor::from_f32(gpu, &vec![1.0; c], &[c])?;
    let run = move |gpu: &Gpu, out: LossOut| dice(gpu, &z, &truth, &class_weights, 1e-5, out);
    timed(gpu, (&[rows, c], c), c, run, move || {
        let (z, weights) = (f64s(&logits), vec![1.0; c]);
        (reference::dice::forward(&z, &labels, &weights, 1e-5), reference::dice::grad(&z, &labels, &weights, 1e-5))
    })
}
