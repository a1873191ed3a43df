//! What the detection kernels are tried with.

use super::super::case::fused;
use super::super::case::{Case, Check, Permutation, f64s, values};
use super::loss::variant_defines;
use super::*;
use crate::reference::fcos::{self as reference, Thing, Wanted};

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let both = |source: Source| [false, true].map(|grad| Permutation { source, defines: variant_defines(grad) });
    let assignment = Permutation { source: SOURCE, defines: defines! {} };
    both(super::loss::SOURCE).into_iter().chain(both(super::teacher::SOURCE)).chain([assignment]).collect()
}

/// One level and five, images without objects, with crowds, and not judged at all; more places than one workgroup counts.
pub fn cases() -> Vec<Case> {
    let all: [(usize, [usize; 2], usize, usize, usize); 5] = [
        (1, [8, 8], 1, 1, 1),
        (3, [17, 23], 2, 3, 4),
        (2, [64, 48], 5, 10, 7),
        (4, [32, 32], 3, 4, 12),
        (2, [33, 65], 4, 1, 3),
    ];
    let case = |(n, size, levels, classes, boxes): (usize, [usize; 2], usize, usize, usize)| {
        Case::new(format!("{n} of {size:?}, {levels} levels, {classes} classes, {boxes} boxes"), move |gpu| {
            run(gpu, n, size, levels, classes, boxes)
        })
    };
    all.map(case).into()
}

/// Objects of image `n`, spread over it; every third is a crowd.
fn things(n: usize, [h, w]: [usize; 2], classes: usize, boxes: usize) -> Vec<Thing> {
    let v = values(7 + n as u64, 4 * boxes);
    // Edges on eighths of pixels, which single precision holds exactly, and off the places' middles.
    let eighth = |x: f64| (x * 8.0).round() / 8.0 + 1.0 / 16.0;
    let thing = |k: usize| {
        let part = |i: usize| (f64::from(v[4 * k + i]) / 6.0 + 0.5).clamp(0.05, 0.95);
        let (cx, cy) = (part(0) * w as f64, part(1) * h as f64);
        let (bw, bh) = (part(2) * w as f64 * 0.8 + 1.0, part(3) * h as f64 * 0.8 + 1.0);
        let edges = [cx - bw / 2.0, cy - bh / 2.0, cx + bw / 2.0, cy + bh / 2.0].map(eighth);
        Thing { edges, class: (k * 3 + n) % classes, ignored: k % 3 == 2 }
    };
    // The last image of several has nothing in it.
    if n == 3 { Vec::new() } else { (0..boxes).map(thing).collect() }
}

fn run(gpu: &Gpu, n: usize, size: [usize; 2], levels: usize, classes: usize, boxes: usize) -> Result<Vec<Check>> {
    let level = |k: usize| {
        let stride = 2usize.pow(k as u32 + 1);
        (size.map(|s| s.div_ceil(stride)), stride)
    };
    let both: Vec<_> = (0..levels).map(level).collect();
    let pyramid = Pyramid {
        levels: both.iter().map(|(size, stride)| Level { size: *size, stride: *stride as f32 }).collect(),
        images: n,
    };
    let reference_levels: Vec<reference::Level> =
        both.iter().map(|(size, stride)| reference::Level { size: *size, stride: *stride as f64 }).collect();
    let mut objects = vec![0.0f32; n * boxes * OBJECT];
    let mut wanted: Vec<Wanted> = Vec::new();
    for i in 0..n {
        let all = things(i, size, classes, boxes);
        for (k, t) in all.iter().enumerate() {
            let at = (i * boxes + k) * OBJECT;
            t.edges.iter().enumerate().for_each(|(e, v)| objects[at + e] = *v as f32);
            objects[at + 4] = t.class as f32;
            objects[at + 5] = if t.ignored { 2.0 } else { 1.0 };
        }
        // Nobody has looked at the second image.
        if i == 1 {
            objects[i * boxes * OBJECT + 5] = 3.0;
            let places = reference::assign(&all[1..], &reference_levels, 1.5);
            let unseen = |w| if matches!(w, Wanted::Object { .. }) { w } else { Wanted::Ignored };
            wanted.extend(places.into_iter().map(unseen));
        } else {
            wanted.extend(reference::assign(&all, &reference_levels, 1.5));
        }
    }
    let rows = wanted.len();
    let flat = |w: &Wanted| match w {
        Wanted::Ignored => [-2.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        Wanted::Nothing => [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        Wanted::Object { class, distances: d, centre } => [*class as f64, d[0], d[1], d[2], d[3], *centre],
    };
    let objects = Tensor::from_f32(gpu, &objects, &[n, boxes, OBJECT])?;
    let targets = assign(gpu, &pyramid, &objects, 1.5)?;
    let want: Vec<f64> = wanted.iter().flat_map(flat).collect();
    let mut checks = vec![Check::sum("targets", targets.to_f32(gpu)?, want, 1)];
    let sums = norms(gpu, &targets)?;
    let found = wanted.iter().filter_map(|w| if let Wanted::Object { centre, .. } = w { Some(*centre) } else { None });
    let want = vec![found.clone().count() as f64, found.sum()];
    checks.push(Check::sum("norms", sums.to_f32(gpu)?, want, rows));
    let columns = classes + 5;
    let values = values(3, rows * columns);
    let z = Tensor::from_f32(gpu, &values, &[n, rows / n, columns])?;
    let z64 = f64s(&values);
    let focal = Focal { alpha: 0.25, gamma: 2.0 };
    for part in [Part::Classes(focal), Part::Boxes, Part::Centre] {
        let (loss_want, grad) = match part {
            Part::Classes(_) => reference::focal(&z64, &wanted, classes, 0.25, 2.0),
            Part::Boxes => reference::giou(&z64, &wanted, classes),
            Part::Centre => reference::centre(&z64, &wanted, classes),
        };
        let shape = [n, rows / n, columns];
        checks.extend(fused(gpu, &format!("{part:?}"), (&shape, rows), 0.75, (loss_want, &grad), columns, |out| {
            loss(gpu, part, &z, (&targets, &sums), out)
        })?);
    }
    checks.extend(taught(gpu, (&z, &z64), [n, rows / n, columns])?);
    Ok(checks)
}

/// Against a teacher: its boxes, and its classes.
fn taught(gpu: &Gpu, (z, z64): (&Tensor, &[f64]), shape: [usize; 3]) -> Result<Vec<Check>> {
    let (rows, columns) = (shape[0] * shape[1], shape[2]);
    let classes = columns - 5;
    let said = values(8, rows * columns);
    let said64 = f64s(&said);
    let said = Tensor::from_f32(gpu, &said, &shape)?;
    let mut checks = Vec::new();
    let targets = teach(gpu, &said, 0.6)?;
    let sums = norms(gpu, &targets)?;
    let (want, grad) = reference::giou(z64, &reference::teach(&said64, classes, 0.6), classes);
    checks.extend(fused(gpu, "boxes of a teacher", (&shape, rows), 0.75, (want, &grad), columns, |out| {
        loss(gpu, Part::Boxes, z, (&targets, &sums), out)
    })?);
    let targets = teach(gpu, &said, 0.0)?;
    let sums = norms(gpu, &targets)?;
    let (want, grad) = reference::soft(z64, &said64, classes, 3.0);
    let of = Soft { taught: &said, temperature: 3.0 };
    checks.extend(fused(gpu, "classes of a teacher", (&shape, rows), 0.75, (want, &grad), columns, |out| {
        soft(gpu, of, z, (&targets, &sums), out)
    })?);
    Ok(checks)
}
