//! What the matrix product is timed on: square ones.

use super::forward;
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::case::{Prepared, Size, Workload, sampled, spread, values};
use crate::kernels::conv2d::{Pass, select};
use crate::reference;
use crate::shape::Conv2d;
use crate::tensor::Tensor;

/// `n³` products for n of 256 to 4096; a quick benchmark of a software adapter ends at 1024.
pub fn workloads(gpu: &Gpu, size: Size) -> Vec<Workload> {
    let largest = if size == Size::Quick && gpu.profile().class == AdapterClass::Software { 1024 } else { 4096 };
    let workload = |n: usize| {
        let shape = Conv2d::square(n, 1, 1, n, n, 1, 1, 0);
        Workload {
            name: format!("{n}x{n}x{n}"),
            variant: Some(select(gpu, Pass::Forward, &shape).to_string()),
            flops: 2 * (n as u64).pow(3),
            bytes: 12 * (n as u64).pow(2),
            prepare: Box::new(move |gpu| prepare(gpu, n)),
        }
    };
    [256, 512, 1024, 2048, 4096].into_iter().filter(|n| *n <= largest).map(workload).collect()
}

fn prepare(gpu: &Gpu, n: usize) -> Result<Prepared> {
    let inputs = [1, 2].map(|seed| values(seed, n * n));
    let x = Tensor::from_f32(gpu, &inputs[0], &[n, n])?;
    let w = Tensor::from_f32(gpu, &inputs[1], &[n, n])?;
    let again = [x.clone(), w.clone()];
    Ok(Prepared {
        run: Box::new(move |gpu| forward(gpu, &x, &w, None, false).map(|_| ())),
        check: Box::new(move |gpu| {
            let [x, w] = &again;
            let got = forward(gpu, x, w, None, false)?.to_f32(gpu)?;
            let want = |at| reference::linear::forward_at(&inputs[0], &inputs[1], n, n, at);
            Ok(vec![sampled("y", &got, &spread(got.len(), 256), want, n)])
        }),
    })
}
