//! What the detection kernels are timed on: images of 256x256 pixels with 16 objects each, 80 classes.

use super::*;
use crate::gpu::AdapterClass;
use crate::kernels::case::timed;
use crate::kernels::case::{Check, Prepared, Size, Workload, f64s, values};
use crate::reference::fcos::{self as reference, Thing, Wanted};

pub(in crate::kernels) const CLASSES: usize = 80;
pub(in crate::kernels) const BOXES: usize = 16;
const RADIUS: f32 = 1.5;
const FOCAL: Focal = Focal { alpha: 0.25, gamma: 2.0 };

/// Five levels, strides 8 to 128, over `images` images.
pub(in crate::kernels) fn pyramid(images: usize) -> Pyramid {
    let level = |stride: usize| Level { size: [256 / stride; 2], stride: stride as f32 };
    Pyramid { levels: [8, 16, 32, 64, 128].map(level).into(), images }
}

/// What places are to say, and the three losses with their gradients: of 8 images, 2 on software adapters.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let images = if gpu.profile().class == AdapterClass::Software { 2 } else { 8 };
    let rows = (images * pyramid(images).places()) as u64;
    let values = rows * (CLASSES as u64 + 5);
    let name = |what: &str| format!("{images}x256x256x{CLASSES}/{what}");
    let mut all = vec![Workload {
        name: name("assign"),
        variant: None,
        // Distances, centre, farthest edge, area and their comparisons, of each place and object.
        flops: 30 * rows * BOXES as u64,
        bytes: 4 * ((images * BOXES * OBJECT) as u64 + rows * TARGET as u64),
        prepare: Box::new(move |gpu| assignment(gpu, images)),
    }];
    // Words that are read of each place (its logits or its box, what it is to say), beside the gradient and the loss that are written.
    for (what, part, flops, read) in [
        ("focal", Part::Classes(FOCAL), 20 * CLASSES as u64, CLASSES as u64 + 1),
        ("giou", Part::Boxes, 80, 4 + TARGET as u64),
        ("centre", Part::Centre, 10, 1 + 2),
    ] {
        all.push(Workload {
            name: name(what),
            variant: None,
            flops: flops * rows,
            bytes: 4 * (values + rows * (read + 1)),
            prepare: Box::new(move |gpu| losses(gpu, images, part)),
        });
    }
    all
}

/// The objects of image `n`, on eighths of pixels, off the places' middles.
pub(in crate::kernels) fn things(n: usize) -> Vec<Thing> {
    let v = values(7 + n as u64, 4 * BOXES);
    let eighth = |x: f64| (x * 8.0).round() / 8.0 + 1.0 / 16.0;
    let thing = |k: usize| {
        let part = |i: usize| (f64::from(v[4 * k + i]) / 6.0 + 0.5).clamp(0.05, 0.95) * 256.0;
        let (x, y, w, h) = (part(0), part(1), part(2) * 0.6, part(3) * 0.6);
        let edges = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0].map(eighth);
        Thing { edges, class: (k * 7 + n) % CLASSES, ignored: false }
    };
    (0..BOXES).map(thing).collect()
}

fn upload(gpu: &Gpu, images: usize) -> Result<Tensor> {
    let row = |t: Thing| {
        let [left, upper, right, lower] = t.edges.map(|e| e as f32);
        [left, upper, right, lower, t.class as f32, 1.0]
    };
    let all: Vec<f32> = (0..images).flat_map(things).flat_map(row).collect();
    Tensor::from_f32(gpu, &all, &[images, BOXES, OBJECT])
}

fn wanted(images: usize) -> Vec<Wanted> {
    let level = |l: &Level| reference::Level { size: l.size, stride: l.stride.into() };
    let levels: Vec<reference::Level> = pyramid(images).levels.iter().map(level).collect();
    (0..images).flat_map(|n| reference::assign(&things(n), &levels, RADIUS.into())).collect()
}

fn assignment(gpu: &Gpu, images: usize) -> Result<Prepared> {
    let objects = upload(gpu, images)?;
    let again = objects.clone();
    Ok(Prepared {
        run: Box::new(move |gpu| assign(gpu, &pyramid(images), &objects, RADIUS).map(|_| ())),
        check: Box::new(move |gpu| {
            let got = assign(gpu, &pyramid(images), &again, RADIUS)?.to_f32(gpu)?;
            let flat = |w: Wanted| match w {
                Wanted::Ignored => [-2.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                Wanted::Nothing => [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                Wanted::Object { class, distances: d, centre } => [class as f64, d[0], d[1], d[2], d[3], centre],
            };
            Ok(vec![Check::sum("targets", got, wanted(images).into_iter().flat_map(flat).collect(), 1)])
        }),
    })
}

fn losses(gpu: &Gpu, images: usize, part: Part) -> Result<Prepared> {
    let pyramid = pyramid(images);
    let places = pyramid.places();
    let shape = [images, places, CLASSES + 5];
    let said = values(3, shape.iter().product());
    let z = Tensor::from_f32(gpu, &said, &shape)?;
    let targets = assign(gpu, &pyramid, &upload(gpu, images)?, RADIUS)?;
    let sums = norms(gpu, &targets)?;
    let run = move |gpu: &Gpu, out: LossOut| loss(gpu, part, &z, (&targets, &sums), out);
    timed(gpu, (&shape, images * places), CLASSES, run, move || {
        let (z, wanted) = (f64s(&said), wanted(images));
        match part {
            Part::Classes(Focal { alpha, gamma }) => reference::focal(&z, &wanted, CLASSES, alpha.into(), gamma.into()),
            Part::Boxes => reference::giou(&z, &wanted, CLASSES),
            Part::Centre => reference::centre(&z, &wanted, CLASSES),
        }
    })
}
