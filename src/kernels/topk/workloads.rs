//! What the choice of the surest is timed on: a detector of 80 classes over images of 256x256 pixels.

use super::cases::{compare, said};
use super::{select, topk};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::case::{Prepared, Size, Workload};
use crate::tensor::Tensor;

/// Places of five levels, strides 8 to 128, and classes.
const PLACES: usize = 1364;
const CLASSES: usize = 80;

/// FCOS's values: 1000 pairs of a score of at least 0.05² (the score is a root).
const MOST: usize = 1000;
const LEAST: f32 = 0.0025;

/// The 1000 surest of 8 images, of 2 on software adapters; without fetching them.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let images = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let pairs = (images * PLACES * CLASSES) as u64;
    vec![Workload {
        name: format!("{images}x{PLACES}x{CLASSES}/{MOST}"),
        variant: None,
        // Two logistic functions, their product, and a comparison of each pair.
        flops: 10 * pairs,
        // Logits are read, what is chosen is written.
        bytes: 4 * (images * (PLACES * (CLASSES + 5) + 7 * MOST)) as u64,
        prepare: Box::new(move |gpu| prepare(gpu, images)),
    }]
}

fn prepare(gpu: &Gpu, images: usize) -> Result<Prepared> {
    let shape = [images, PLACES, CLASSES];
    let said = said(shape, 8.0);
    let z = Tensor::from_f32(gpu, &said, &[images, PLACES, CLASSES + 5])?;
    let again = z.clone();
    Ok(Prepared {
        run: Box::new(move |gpu| select(gpu, &z, shape, LEAST, MOST).map(|_| ())),
        check: Box::new(move |gpu| {
            let found = topk(gpu, &again, LEAST, MOST)?;
            let each = found.iter().zip(said.chunks(PLACES * (CLASSES + 5))).enumerate();
            Ok(each.flat_map(|(n, (f, z))| compare(&format!("image {n}"), f, z, CLASSES, (LEAST, MOST))).collect())
        }),
    })
}
