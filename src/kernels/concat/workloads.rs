//! What joining the levels of a pyramid is timed on: the answers of a detector.

use super::{concat, concat_grad};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::case::{Check, Prepared, Size, Workload, f64s, values};
use crate::reference;
use crate::tensor::{GradTarget, Tensor};

/// Places of five levels over 256x256 pixels, strides 8 to 128.
const LEVELS: [usize; 5] = [1024, 256, 64, 16, 4];

/// Values of a place: 80 classes, four distances, centre-ness.
const COLUMNS: usize = 85;

/// Five levels of 8 images as one list of places, and their gradients; of 2 images on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let n = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let total: usize = LEVELS.iter().sum();
    let workload = |grad: bool| Workload {
        name: format!("{n}x{total}x{COLUMNS}/{}", if grad { "backward" } else { "forward" }),
        variant: None,
        flops: 0,
        // Every value is read and written.
        bytes: 8 * (n * total * COLUMNS) as u64,
        prepare: Box::new(move |gpu| if grad { apart(gpu, n, total) } else { together(gpu, n) }),
    };
    [false, true].map(workload).into()
}

fn together(gpu: &Gpu, n: usize) -> Result<Prepared> {
    let parts: Vec<Vec<f32>> = (1..).zip(LEVELS).map(|(i, rows)| values(i, n * rows * COLUMNS)).collect();
    let on_gpu = parts.iter().zip(LEVELS).map(|(p, rows)| Tensor::from_f32(gpu, p, &[n, rows, COLUMNS]));
    let on_gpu = on_gpu.collect::<Result<Vec<_>>>()?;
    let again = on_gpu.clone();
    Ok(Prepared {
        run: Box::new(move |gpu| concat(gpu, &on_gpu.iter().collect::<Vec<_>>()).map(|_| ())),
        check: Box::new(move |gpu| {
            let got = concat(gpu, &again.iter().collect::<Vec<_>>())?.to_f32(gpu)?;
            let wide: Vec<Vec<f64>> = parts.iter().map(|p| f64s(p)).collect();
            let references: Vec<(&[f64], usize)> = wide.iter().map(Vec::as_slice).zip(LEVELS).collect();
            Ok(vec![Check {
                tolerance: 0.0,
                ..Check::sum("whole", got, reference::concat::forward(&references, n, COLUMNS), 1)
            }])
        }),
    })
}

fn apart(gpu: &Gpu, n: usize, total: usize) -> Result<Prepared> {
    let all = values(1, n * total * COLUMNS);
    let dy = Tensor::from_f32(gpu, &all, &[n, total, COLUMNS])?;
    let empty = |rows: usize| Tensor::empty(gpu, &[n, rows, COLUMNS]).map(GradTarget::fresh);
    let parts = LEVELS.into_iter().map(empty).collect::<Result<Vec<_>>>()?;
    let (dy_again, parts_again) = (dy.clone(), parts.clone());
    Ok(Prepared {
        run: Box::new(move |gpu| split(gpu, &dy, &parts)),
        check: Box::new(move |gpu| {
            split(gpu, &dy_again, &parts_again)?;
            let (mut offset, mut checks, all) = (0, Vec::new(), f64s(&all));
            for (part, rows) in parts_again.iter().zip(LEVELS) {
                let want = reference::concat::grad(&all, n, COLUMNS, (offset, rows, total));
                let check = Check::sum(format!("part at {offset}"), part.tensor.to_f32(gpu)?, want, 1);
                checks.push(Check { tolerance: 0.0, ..check });
                offset += rows;
            }
            Ok(checks)
        }),
    })
}

fn split(gpu: &Gpu, dy: &Tensor, parts: &[GradTarget]) -> Result<()> {
    let mut offset = 0;
    for part in parts {
        concat_grad(gpu, dy, offset, part)?;
        offset += part.tensor.shape()[1];
    }
    Ok(())
}
