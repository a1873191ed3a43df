//! What moving the labels of pixels is timed on: the masks and the depth of a batch.

use super::{MISSING, classes, numbers};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::augment::cases::{shifted, upload};
use crate::kernels::case::{Check, Prepared, Size, Workload, values};
use crate::reference;
use crate::tensor::Tensor;

/// Classes and numbers of 128x128 pixels, shifted and mirrored: of 8 images, 2 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let n = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let shape = [n, 128, 128];
    let pixels = (n * 128 * 128) as u64;
    let name = |what: &str| format!("{n}x128x128/{what}");
    let of = |what, bytes, prepare| Workload { name: name(what), variant: None, flops: 0, bytes, prepare };
    vec![
        // A byte is read, a word written.
        of("classes", 5 * pixels, Box::new(move |gpu| masks(gpu, shape))),
        of("numbers", 8 * pixels, Box::new(move |gpu| depth(gpu, shape))),
    ]
}

fn masks(gpu: &Gpu, shape: [usize; 3]) -> Result<Prepared> {
    let [n, h, w] = shape;
    let bytes: Vec<u8> = (0..n * h * w).map(|i| if i % 9 == 4 { 255 } else { (i * 37 % 21) as u8 }).collect();
    let warps = shifted(n, w);
    let (labels, moves) = (Tensor::from_bytes(gpu, &bytes)?, upload(gpu, &warps)?);
    let again = (labels.clone(), moves.clone());
    Ok(Prepared {
        run: Box::new(move |gpu| classes(gpu, &labels, shape, Some(&moves)).map(|_| ())),
        check: Box::new(move |gpu| {
            let got = classes(gpu, &again.0, shape, Some(&again.1))?.to_u32(gpu)?;
            let got = got.into_iter().map(|c| if c == MISSING { 255.0 } else { c as f32 }).collect();
            let want = reference::relabel::forward(&bytes, h, w, &warps, 255).into_iter().map(f64::from).collect();
            Ok(vec![Check { tolerance: 0.0, ..Check::sum("classes", got, want, 1) }])
        }),
    })
}

fn depth(gpu: &Gpu, shape: [usize; 3]) -> Result<Prepared> {
    let [n, h, w] = shape;
    let far = values(1, n * h * w);
    let warps = shifted(n, w);
    let (labels, moves) = (Tensor::from_f32(gpu, &far, &shape)?, upload(gpu, &warps)?);
    let again = (labels.clone(), moves.clone());
    Ok(Prepared {
        run: Box::new(move |gpu| numbers(gpu, &labels, shape, Some(&moves), -99.0).map(|_| ())),
        check: Box::new(move |gpu| {
            let got = numbers(gpu, &again.0, shape, Some(&again.1), -99.0)?.to_f32(gpu)?;
            let want = reference::relabel::forward(&far, h, w, &warps, -99.0).into_iter().map(f64::from).collect();
            Ok(vec![Check { tolerance: 0.0, ..Check::sum("numbers", got, want, 1) }])
        }),
    })
}
