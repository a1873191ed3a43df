//! The surest pairs of a place and a class that a detector names, found where they are, so that nothing else is fetched.

mod workloads;

pub use workloads::workloads;

use super::case::{Case, Check, Permutation, f64s, values};
use crate::gpu::{Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines, reference};

const SOURCE: Source = Source { name: "topk", text: include_str!("../../shaders/topk.wgsl") };

/// Words of a pair.
const WORDS: usize = 7;

/// A class at a place, and what is said there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The place.
    pub place: usize,
    /// The class.
    pub class: usize,
    /// The class's logit.
    pub logit: f32,
    /// The logit of centre-ness.
    pub centre: f32,
    /// The logarithms of the distances to the left, upper, right and lower edge, in strides.
    pub distances: [f32; 4],
}

/// Of each image of `z` `[images, places, classes + 5]` (as [`fcos`](super::fcos) describes it) the `most` pairs with the largest
/// `σ(logit) σ(centre-ness)`, of equal ones those that come first, none below `least` nor of anything that is no number; in the order of
/// places and classes. The GPU's exponential decides what is equal and what is below.
///
/// Waits for the GPU, and fetches `images · most` pairs at most.
pub fn topk(gpu: &Gpu, z: &Tensor, least: f32, most: usize) -> Result<Vec<Vec<Pair>>> {
    let &[images, places, columns] = z.shape() else { return Err(strange(z)) };
    if z.is_empty() || columns < 6 {
        return Err(strange(z));
    }
    let classes = columns - 5;
    let most = most.min(places * classes);
    if most == 0 {
        return Ok(vec![Vec::new(); images]);
    }
    let found = select(gpu, z, [images, places, classes], least, most)?.to_u32(gpu)?;
    let pair = |words: &[u32]| {
        let &[pair, logit, centre, a, b, c, d] = words else { return None };
        let index = (pair != u32::MAX).then_some(pair as usize)?;
        Some(Pair {
            place: index / classes,
            class: index % classes,
            logit: f32::from_bits(logit),
            centre: f32::from_bits(centre),
            distances: [a, b, c, d].map(f32::from_bits),
        })
    };
    Ok(found.chunks_exact(WORDS * most).map(|image| image.chunks_exact(WORDS).map_while(pair).collect()).collect())
}

fn strange(z: &Tensor) -> Error {
    Error::Shape(format!("topk: {:?} is not what a detector says, [images, places, classes + 5]", z.shape()))
}

/// Records it: `[images, most, 7]` of words (see the shader).
fn select(gpu: &Gpu, z: &Tensor, [images, places, classes]: [usize; 3], least: f32, most: usize) -> Result<Tensor> {
    let pairs = places * classes;
    let (keys, found) = (Tensor::empty(gpu, &[images, pairs])?, Tensor::empty(gpu, &[images, most, WORDS])?);
    let launch = |entry| {
        let launch = gpu.launch(SOURCE, entry, &defines! {})?.u32("images", images).u32("places", places);
        Ok::<_, Error>(launch.u32("classes", classes).u32("most", most).f32("least", least))
    };
    let name = launch("topk_keys")?.bind("z", z).bind("keys_out", &keys).cost(20 * keys.len() as u64);
    name.threads(images * pairs)?;
    // Counting three times, looking for the edge each time, and two walks along a stretch.
    let turns = 5 * pairs.div_ceil(256) + 3 * 270 + 256 + 7 * most.div_ceil(256);
    let choose = launch("topk_select")?.bind("said", z).bind("keys", &keys).bind("found", &found);
    choose.turns(turns).cost(10 * keys.len() as u64).groups(images)?;
    Ok(found)
}

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
fn said([images, places, classes]: [usize; 3], steps: f32) -> Vec<f32> {
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
fn compare(what: &str, found: &[Pair], z: &[f32], classes: usize, (least, most): (f32, usize)) -> [Check; 2] {
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
