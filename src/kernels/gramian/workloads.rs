//! What the products of gradients are timed on: several tasks' gradients of a whole trunk.

use super::GradientRows;
use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::case::{Check, Prepared, Size, Workload, f64s, sampled, spread, values};
use crate::reference;
use crate::tensor::{GradTarget, Tensor};

/// The shared parameters of a ResNet-20 with ten classes.
const RESNET20: usize = 271_824;

/// Three and eight tasks on a ResNet-20: the products, and the weighted sum.
pub fn workloads(_: &Gpu, _: Size) -> Vec<Workload> {
    let workload = |(tasks, combine): (usize, bool)| {
        let values = (tasks * RESNET20) as u64;
        let what = if combine { "combine" } else { "products" };
        Workload {
            name: format!("resnet20/{tasks}-tasks/{what}"),
            variant: None,
            // Of a symmetric matrix only one half is computed.
            flops: if combine { 2 * values } else { values * (tasks as u64 + 1) },
            bytes: 4 * (values + if combine { RESNET20 as u64 } else { 0 }),
            prepare: Box::new(move |gpu| if combine { sum(gpu, tasks) } else { products(gpu, tasks) }),
        }
    };
    [(3, false), (3, true), (8, false), (8, true)].into_iter().map(workload).collect()
}

fn gradients(gpu: &Gpu, tasks: usize) -> Result<(GradientRows, Vec<f32>)> {
    let all = values(1, tasks * RESNET20);
    let rows = GradientRows::new(gpu, tasks, RESNET20)?;
    for (k, row) in all.chunks_exact(RESNET20).enumerate() {
        rows.row(k, &[RESNET20])?.copy_from(gpu, &Tensor::from_f32(gpu, row, &[RESNET20])?)?;
    }
    Ok((rows, all))
}

fn products(gpu: &Gpu, tasks: usize) -> Result<Prepared> {
    let (rows, all) = gradients(gpu, tasks)?;
    let (gramian, again) = (GradTarget::fresh(Tensor::empty(gpu, &[tasks, tasks])?), rows.clone());
    let out = gramian.clone();
    Ok(Prepared {
        run: Box::new(move |gpu| rows.products(gpu, &gramian)),
        check: Box::new(move |gpu| {
            again.products(gpu, &out)?;
            let want = reference::gramian::products(&f64s(&all), tasks);
            // Sums of random signs are small beside their parts: the lengths, not the values, are what they are held against.
            let length = want.iter().step_by(tasks + 1).fold(0.0, |most: f64, v| most.max(*v));
            let got = out.tensor.to_f32(gpu)?.iter().map(|v| v / length as f32).collect();
            Ok(vec![Check::sum("products", got, want.iter().map(|v| v / length).collect(), 16)])
        }),
    })
}

fn sum(gpu: &Gpu, tasks: usize) -> Result<Prepared> {
    let (rows, all) = gradients(gpu, tasks)?;
    let weights: Vec<f32> = (0..tasks).map(|k| 0.5 + k as f32).collect();
    let on_gpu = Tensor::from_f32(gpu, &weights, &[tasks])?;
    let out = GradTarget::fresh(Tensor::empty(gpu, &[RESNET20])?);
    let again = (rows.clone(), on_gpu.clone(), out.clone());
    Ok(Prepared {
        run: Box::new(move |gpu| rows.combine(gpu, &on_gpu, &out)),
        check: Box::new(move |gpu| {
            let (rows, on_gpu, out) = &again;
            rows.combine(gpu, on_gpu, out)?;
            let want = reference::gramian::combine(&f64s(&all), &f64s(&weights));
            Ok(vec![sampled("sum", &out.tensor.to_f32(gpu)?, &spread(RESNET20, 4096), |i| want[i], tasks)])
        }),
    })
}
