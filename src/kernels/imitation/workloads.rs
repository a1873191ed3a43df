//! What imitation is timed on: the finest level of a pyramid over images of 256x256 pixels with 16 objects each, 80 classes.

use super::cases::{masked, packed};
use super::{Grid, imitation, mask, total};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::LossOut;
use crate::kernels::case::timed;
use crate::kernels::case::{Check, Prepared, Size, Workload, f64s, values};
use crate::kernels::fcos::OBJECT;
use crate::kernels::fcos::workloads::{BOXES, CLASSES, pyramid, things};
use crate::reference;
use crate::reference::fcos::Thing;
use crate::tensor::Tensor;

/// The level of stride 8, and its channels.
const GRID: Grid = Grid { size: [32, 32], step: [8.0, 8.0] };
const CHANNELS: usize = 256;

/// The mask with its sum, from objects and what a teacher says, and the loss under it: of 8 images, 2 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let images = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let (rows, places) = (images * GRID.places(), images * pyramid(images).places());
    let len = rows * CHANNELS;
    let name = |what: &str| format!("{images}x32x32x{CHANNELS}/{what}");
    vec![
        Workload {
            name: name("mask"),
            variant: None,
            // Of what is said of each place the largest class and its logistic function, and four exponentials of its box; of each place
            // of the map and each object four comparisons; the sum.
            flops: (places * (CLASSES + 8) + rows * (4 * BOXES + 1)) as u64,
            // What is said is read, and the objects; the mask and its sum are written.
            bytes: 4 * (places * (CLASSES + 5) + images * BOXES * OBJECT + rows + 1) as u64,
            prepare: Box::new(move |gpu| masks(gpu, images)),
        },
        Workload {
            name: name("loss"),
            variant: None,
            // Difference, square and sum; weight of the gradient.
            flops: 4 * len as u64,
            // Both maps and the mask are read, the gradient and each row's loss are written.
            bytes: 4 * (3 * len + 2 * rows) as u64,
            prepare: Box::new(move |gpu| losses(gpu, images)),
        },
    ]
}

/// The objects of each image, every eighth a crowd; at every fourth image nobody has looked.
fn scenes(images: usize) -> Vec<Option<Vec<Thing>>> {
    let crowd = |(k, t): (usize, Thing)| Thing { ignored: k % 8 == 5, ..t };
    (0..images).map(|n| (n % 4 != 1).then(|| things(n).into_iter().enumerate().map(crowd).collect())).collect()
}

/// What a teacher says of the places, `[images, places, classes + 5]`.
fn said(images: usize) -> Vec<f32> {
    values(1, images * pyramid(images).places() * (CLASSES + 5))
}

/// The mask as the reference has it.
fn wanted(images: usize) -> Vec<f64> {
    let pyramid = pyramid(images);
    let levels = pyramid.levels.iter().map(|l| reference::fcos::Level { size: l.size, stride: l.stride.into() });
    masked(&scenes(images), (&said(images), CLASSES), &levels.collect::<Vec<_>>(), &GRID)
}

fn masks(gpu: &Gpu, images: usize) -> Result<Prepared> {
    let pyramid = pyramid(images);
    let objects = Tensor::from_f32(gpu, &packed(&scenes(images), BOXES), &[images, BOXES, OBJECT])?;
    let taught = Tensor::from_f32(gpu, &said(images), &[images, pyramid.places(), CLASSES + 5])?;
    let again = (objects.clone(), taught.clone(), pyramid.clone());
    Ok(Prepared {
        run: Box::new(move |gpu| total(gpu, &mask(gpu, &GRID, &objects, &pyramid, &taught)?).map(|_| ())),
        check: Box::new(move |gpu| {
            let (objects, taught, pyramid) = &again;
            let made = mask(gpu, &GRID, objects, pyramid, taught)?;
            let (sum, want) = (total(gpu, &made)?, wanted(images));
            let all = vec![want.iter().sum()];
            Ok(vec![
                Check::sum("total", sum.to_f32(gpu)?, all, want.len()),
                Check::sum("mask", made.to_f32(gpu)?, want, 1),
            ])
        }),
    })
}

fn losses(gpu: &Gpu, images: usize) -> Result<Prepared> {
    let (shape, rows) = ([images, GRID.size[0], GRID.size[1], CHANNELS], images * GRID.places());
    let (student, teacher) = (values(2, rows * CHANNELS), values(3, rows * CHANNELS));
    let (s, t) = (Tensor::from_f32(gpu, &student, &shape)?, Tensor::from_f32(gpu, &teacher, &shape)?);
    let want = wanted(images);
    let counts: Vec<f32> = want.iter().map(|v| *v as f32).collect();
    let counts = Tensor::from_f32(gpu, &counts, &[rows])?;
    let sum = total(gpu, &counts)?;
    let run = move |gpu: &Gpu, out: LossOut| imitation(gpu, (&s, &t), (&counts, &sum), out);
    timed(gpu, (&shape, rows), CHANNELS, run, move || {
        let (s, t) = (f64s(&student), f64s(&teacher));
        (reference::imitation::forward(&s, &t, &want, CHANNELS), reference::imitation::grad(&s, &t, &want, CHANNELS))
    })
}
