//! What the focal loss is timed on: the pixels of a batch.

use super::{MISSING, focal};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::LossOut;
use crate::kernels::case::timed;
use crate::kernels::case::{Prepared, Size, Workload, f64s, values};
use crate::reference;
use crate::tensor::Tensor;

/// Maps of 128x128 pixels of 21 classes, as cross entropy with class weights (γ of 0) and with γ of 2: 8 of them, 2 on software
/// adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let images = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let workload = |gamma: f32| {
        let (rows, c) = (images * 128 * 128, 21);
        Workload {
            name: format!("{images}x128x128x{c}/gamma-{gamma}"),
            variant: None,
            // Of each logit maximum, difference, exponential and sum; its share of the gradient.
            flops: 8 * (rows * c) as u64,
            // Logits and labels are read, the gradient and each row's loss are written.
            bytes: 4 * (2 * rows * c + 2 * rows) as u64,
            prepare: Box::new(move |gpu| prepare(gpu, rows, c, gamma)),
        }
    };
    [0.0, 2.0].map(workload).into()
}

fn prepare(gpu: &Gpu, rows: usize, c: usize, gamma: f32) -> Result<Prepared> {
    let logits: Vec<f32> = values(1, rows * c).iter().map(|v| 3.0 * v).collect();
    let labels: Vec<u32> = (0..rows).map(|i| if i % 16 == 3 { MISSING } else { (i / 64 % c) as u32 }).collect();
    let weights: Vec<f32> = (0..c).map(|j| 0.5 + j as f32 / c as f32).collect();
    let (z, truth) = (Tensor::from_f32(gpu, &logits, &[rows, c])?, Tensor::from_u32(gpu, &labels, &[rows])?);
    let on_gpu = Tensor::from_f32(gpu, &weights, &[c])?;
    let run = move |gpu: &Gpu, out: LossOut| focal(gpu, &z, &truth, &on_gpu, gamma, out);
    timed(gpu, (&[rows, c], rows), c, run, move || {
        let (z, weights, gamma) = (f64s(&logits), f64s(&weights), f64::from(gamma));
        (reference::focal::forward(&z, &labels, &weights, gamma), reference::focal::grad(&z, &labels, &weights, gamma))
    })
}
