//! The surest pairs of a place and a class that a detector names, found where they are, so that nothing else is fetched.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use crate::gpu::{Gpu, Source};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

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
