//! What is tried of `imitation`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, f64s, fused, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [false, true].map(|grad| variant(*r, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Maps as coarse as a teacher's levels, finer and coarser; images without objects, with a crowd, and at which nobody has looked; more
/// places than one workgroup counts; few channels and many.
pub fn cases() -> Vec<Case> {
    let all: [(usize, Grid, usize, usize); 5] = [
        (1, Grid { size: [1, 1], step: [8.0, 8.0] }, 1, 1),
        (4, Grid { size: [5, 7], step: [4.0, 4.0] }, 1, 8),
        (3, Grid { size: [9, 12], step: [2.0, 2.0] }, 3, 33),
        (4, Grid { size: [3, 4], step: [6.5, 5.75] }, 5, 100),
        (2, Grid { size: [24, 33], step: [1.0, 1.0] }, 2, 3),
    ];
    let case = |(n, grid, levels, c): (usize, Grid, usize, usize)| {
        Case::new(format!("{n} of {grid:?}, {levels} levels, {c} channels"), move |gpu| run(gpu, n, grid, levels, c))
    };
    all.map(case).into()
}

/// Objects and a crowd, off the cells' edges; the second image of a batch has none, at the third nobody has looked.
pub(super) fn things(image: usize, [h, w]: [f64; 2]) -> Option<Vec<reference::fcos::Thing>> {
    let thing = |edges: [f64; 4], ignored| {
        let edges = [edges[0] * w, edges[1] * h, edges[2] * w, edges[3] * h].map(|e| (e * 8.0).round() / 8.0 + 0.0625);
        reference::fcos::Thing { edges, class: 0, ignored }
    };
    match image {
        1 => Some(Vec::new()),
        2 => None,
        _ => Some(vec![
            thing([0.1, 0.2, 0.5, 0.6], false),
            thing([0.4, 0.5, 0.9, 1.1], true),
            thing([0.8, 0.05, 0.81, 0.06], false),
        ]),
    }
}

/// Objects as the kernel reads them, `[images, boxes, 6]`; `None` for an image at which nobody has looked.
pub(super) fn packed(all: &[Option<Vec<reference::fcos::Thing>>], boxes: usize) -> Vec<f32> {
    let mut objects = vec![0.0; all.len() * boxes * OBJECT];
    for (image, things) in objects.chunks_mut(boxes * OBJECT).zip(all) {
        let Some(things) = things else {
            image[5] = 3.0;
            continue;
        };
        for (object, t) in image.chunks_mut(OBJECT).zip(things) {
            object.iter_mut().zip(t.edges).for_each(|(o, e)| *o = e as f32);
            object[5] = if t.ignored { 2.0 } else { 1.0 };
        }
    }
    objects
}

/// The mask as the reference has it, where a teacher says `taught` `[images, places, classes + 5]`.
pub(super) fn masked(
    all: &[Option<Vec<reference::fcos::Thing>>],
    (taught, classes): (&[f32], usize),
    levels: &[reference::fcos::Level],
    grid: &Grid,
) -> Vec<f64> {
    let places = levels.iter().map(|l| l.size[0] * l.size[1]).sum();
    let cells = reference::imitation::Grid { size: grid.size, step: grid.step.map(f64::from) };
    let foreground = reference::fcos::foreground(&f64s(taught), classes);
    let each = all.iter().zip(foreground.chunks(places));
    each.flat_map(|(things, seen)| reference::imitation::mask(things.as_deref(), seen, levels, &cells)).collect()
}

fn run(gpu: &Gpu, n: usize, grid: Grid, levels: usize, c: usize) -> Result<Vec<Check>> {
    let [h, w] = grid.size;
    let image = [h as f64 * f64::from(grid.step[0]), w as f64 * f64::from(grid.step[1])];
    let level = |k: usize| {
        let stride = f64::from(2u32 << k);
        reference::fcos::Level { size: image.map(|side| (side / stride).ceil() as usize), stride }
    };
    let references: Vec<reference::fcos::Level> = (0..levels).map(level).collect();
    let gpu_level = |l: &reference::fcos::Level| Level { size: l.size, stride: l.stride as f32 };
    let pyramid = Pyramid { levels: references.iter().map(gpu_level).collect(), images: n };
    let (boxes, places) = (3, pyramid.places());
    let said = values(1, n * places * 7);
    let all: Vec<_> = (0..n).map(|i| things(i, image)).collect();
    let (objects, want) = (packed(&all, boxes), masked(&all, (&said, 2), &references, &grid));
    let objects = Tensor::from_f32(gpu, &objects, &[n, boxes, OBJECT])?;
    let taught = Tensor::from_f32(gpu, &said, &[n, places, 7])?;
    let made = mask(gpu, &grid, &objects, &pyramid, &taught)?;
    let sum = total(gpu, &made)?;
    let mut checks = vec![
        Check::sum("mask", made.to_f32(gpu)?, want.clone(), 1),
        Check::sum("total", sum.to_f32(gpu)?, vec![want.iter().sum()], want.len()),
    ];
    let (rows, shape) = (want.len(), [n, h, w, c]);
    let (s, t) = (values(2, rows * c), values(3, rows * c));
    let (s64, t64) = (f64s(&s), f64s(&t));
    let loss = reference::imitation::forward(&s64, &t64, &want, c);
    let grad = reference::imitation::grad(&s64, &t64, &want, c);
    let (s, t) = (Tensor::from_f32(gpu, &s, &shape)?, Tensor::from_f32(gpu, &t, &shape)?);
    for how in RowParallelism::ALL {
        let what = format!("{how:?}");
        checks.extend(fused(gpu, &what, (&shape, rows), 0.75, (loss, &grad), c, |out| {
            imitation_with(gpu, (&s, &t), (&made, &sum), out, how)
        })?);
    }
    Ok(checks)
}
