//! What is tried of `topk`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// One place and many; fewer named than wanted, as many, and all; ties, of some and of all; nothing named; logits that are no numbers, or
/// infinite.
pub fn cases() -> Vec<Case> {
    // Images, places, classes; the least score; how many; steps of a logit of 1.
    let all = [
        (1, 1, 1, 0.0, 1, 8.0),
        (3, 5, 2, 0.1, 1000, 8.0),
        (2, 85, 3, 0.05, 100, 8.0),
        (2, 85, 3, 0.0, 255, 8.0),
        (4, 300, 20, 0.0025, 1000, 8.0),
        (1, 1364, 80, 0.0025, 1000, 8.0),
        // Two scores, and one.
        (2, 100, 7, 0.0, 333, 0.4),
        (1, 257, 1, 0.0, 256, 0.0),
        (2, 40, 3, 0.999, 10, 8.0),
    ];
    let case = |(n, places, classes, least, most, steps): (usize, usize, usize, f32, usize, f32)| {
        let name = format!("{n} of {places} places, {classes} classes, {most} from {least}, steps {steps}");
        Case::new(name, move |gpu| run(gpu, [n, places, classes], least, most, steps))
    };
    all.map(case).into()
}

/// Logits on a grid, so that scores are either equal or well apart; some that are no numbers, or not finite.
pub(super) fn said([images, places, classes]: [usize; 3], steps: f32) -> Vec<f32> {
    let columns = classes + 5;
    let mut z: Vec<f32> =
        values(1, images * places * columns).iter().map(|v| (v * steps).round() / 8.0 - 1.0).collect();
    for (i, v) in z.iter_mut().enumerate() {
        match i % 97 {
            31 => *v = f32::NAN,
            47 => *v = f32::INFINITY,
            59 => *v = f32::NEG_INFINITY,
            _ => {}
        }
    }
    z
}

fn run(gpu: &Gpu, shape: [usize; 3], least: f32, most: usize, steps: f32) -> Result<Vec<Check>> {
    let [images, places, classes] = shape;
    let z = said(shape, steps);
    let on_gpu = Tensor::from_f32(gpu, &z, &[images, places, classes + 5])?;
    let found = topk(gpu, &on_gpu, least, most)?;
    let mut checks = Vec::new();
    for (n, (found, z)) in found.iter().zip(z.chunks(places * (classes + 5))).enumerate() {
        checks.extend(compare(&format!("image {n}"), found, z, classes, (least, most)));
    }
    Ok(checks)
}

/// The pairs against the reference's, and what is told of them against what is said, bit for bit.
pub(super) fn compare(
    what: &str,
    found: &[Pair],
    z: &[f32],
    classes: usize,
    (least, most): (f32, usize),
) -> [Check; 2] {
    let exact = |name: &str, got: Vec<f32>, want: Vec<f64>| Check {
        what: format!("{name}, {what}"),
        got,
        want,
        tolerance: 0.0,
    };
    let got = found.iter().map(|p| (p.place * classes + p.class) as f32).collect();
    let want = reference::topk::select(&f64s(z), classes, least.into(), most).into_iter().map(|i| i as f64).collect();
    let same = |p: &Pair| {
        let row = &z[p.place * (classes + 5)..(p.place + 1) * (classes + 5)];
        let own = [p.logit, p.centre].into_iter().chain(p.distances);
        let there = [row[p.class], row[classes + 4]].into_iter().chain(row[classes..classes + 4].iter().copied());
        own.map(f32::to_bits).eq(there.map(f32::to_bits))
    };
    let right = found.iter().filter(|p| same(p)).count();
    [exact("pairs", got, want), exact("what they say", vec![right as f32], vec![found.len() as f64])]
}
