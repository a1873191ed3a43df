//! Two sources on one canvas: the two-task sets Multi-Fashion+MNIST (Lin et al. 2019, after Sabour et al. 2017) and the
//! overlapped digits. The first image lies at the top left, the second at the bottom right, and where they overlap the
//! brighter pixel wins.

use super::{Dataset, Images, Labels, Split, Task, seed, split};
use crate::{Error, Result};

/// How many composed samples each split gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "train", derive(serde::Serialize))]
pub struct Samples {
    /// Training samples.
    pub train: usize,
    /// Validation samples.
    pub val: usize,
    /// Test samples.
    pub test: usize,
}

/// How two sources become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pairing {
    /// Height and width of the canvas.
    pub canvas: [usize; 2],
    /// Number of pairs of each split.
    pub samples: Samples,
    /// Decides who meets whom.
    pub seed: u64,
}

/// Pairs the images of two data sets, split by split, so an image of one split never appears in another.
///
/// The partners are read from seeded permutations laid end to end, one independent sequence for each side, rather than
/// drawn independently: over a split every image of a source is used `⌊samples / images⌋` or `⌈samples / images⌉` times.
/// The result has the tasks of `first`, then those of `second`; `skipped` is carried over from both.
///
/// Errors: an image larger than the canvas, different channels, an empty source split, no samples, two tasks of one name.
pub fn compose(name: &str, first: &Dataset, second: &Dataset, pairing: &Pairing) -> Result<Dataset> {
    let [ch, cw] = pairing.canvas;
    for source in [first, second] {
        source.check()?;
        let (h, w) = (source.train.images.height, source.train.images.width);
        if h > ch || w > cw {
            return Err(Error::Invalid(format!(
                "a canvas of {ch}x{cw} is smaller than the {h}x{w} images of {}; enlarge data.canvas",
                source.name
            )));
        }
    }
    let (a, b) = (first.train.images.channels, second.train.images.channels);
    if a != b {
        return Err(Error::Invalid(format!(
            "{} has {a} channel(s), {} has {b}; both need the same",
            first.name, second.name
        )));
    }
    let tasks: Vec<Task> = first.tasks.iter().chain(&second.tasks).cloned().collect();
    if let Some(task) = tasks.iter().find(|t| t.kind.is_spatial()) {
        let kind = task.kind.name();
        return Err(Error::Invalid(format!(
            "task {:?} ({kind}) belongs to places, which composing would move",
            task.name
        )));
    }
    if let Some(twice) = first.tasks.iter().find(|t| second.tasks.iter().any(|u| u.name == t.name)) {
        return Err(Error::Invalid(format!("both sources have a task named {:?}; rename one", twice.name)));
    }
    let Samples { train, val, test } = pairing.samples;
    let part = |label: &str, a: &Split, b: &Split, samples: usize| {
        let images = Images::black(samples, pairing.canvas, first.train.images.channels)?;
        let branch = seed::derive(pairing.seed, label);
        let left = partners(a.len(), samples, seed::derive(branch, "first"));
        let right = partners(b.len(), samples, seed::derive(branch, "second"));
        Ok(lay(images, a, b, &left, &right))
    };
    let data = Dataset {
        name: name.into(),
        tasks,
        train: part("train", &first.train, &second.train, train)?,
        val: part("val", &first.val, &second.val, val)?,
        test: part("test", &first.test, &second.test, test)?,
        skipped: [first.skipped.as_slice(), second.skipped.as_slice()].concat(),
    };
    data.check()?;
    Ok(data)
}

/// `samples` indices below `n`, each used equally often to within one: permutations laid end to end.
fn partners(n: usize, samples: usize, branch: u64) -> Vec<u32> {
    let rounds = (0..).map(|round| split::permutation(n, seed::derive_n(branch, round)));
    rounds.take(samples.div_ceil(n.max(1))).flatten().take(samples).collect()
}

/// Fills the black canvases with pairs `(left[i], right[i])`. Both fit, which [`compose`] has checked.
fn lay(mut images: Images, a: &Split, b: &Split, left: &[u32], right: &[u32]) -> Split {
    let (len, width) = (images.image_len(), images.width);
    let bottom_right = [images.height - b.images.height, width - b.images.width];
    for ((out, &i), &j) in images.pixels.chunks_exact_mut(len.max(1)).zip(left).zip(right) {
        lay_one(out, width, &a.images, i, [0, 0]);
        lay_one(out, width, &b.images, j, bottom_right);
    }
    let pick = |s: &Split, who: &[u32]| -> Vec<Labels> {
        s.labels.iter().map(|l| l.gather(who, s.images.height * s.images.width)).collect()
    };
    let mut labels = pick(a, left);
    labels.extend(pick(b, right));
    Split { images, labels, files: Vec::new(), originals: None }
}

/// The pixel-wise maximum of what `out` (rows of `canvas_width` pixels) holds and the image with its corner at `[top, left]`.
fn lay_one(out: &mut [u8], canvas_width: usize, source: &Images, index: u32, [top, left]: [usize; 2]) {
    let row_len = source.width * source.channels;
    for (y, row) in source.get(index as usize).chunks_exact(row_len).enumerate() {
        let start = ((top + y) * canvas_width + left) * source.channels;
        out[start..start + row_len].iter_mut().zip(row).for_each(|(o, &v)| *o = (*o).max(v));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(name: &str, size: [usize; 2], base: u8) -> Dataset {
        // Image i of split s is filled with base + 10 s + i: recognisable after composing.
        let part = |s: u8, n: u8| {
            let pixels = (0..n).flat_map(|i| vec![base + 10 * s + i; size[0] * size[1]]).collect();
            let images = Images { pixels, count: n as usize, height: size[0], width: size[1], channels: 1 };
            let labels = vec![Labels::Class((0..n).map(|i| u32::from(i % 2)).collect())];
            Split { images, labels, files: Vec::new(), originals: None }
        };
        let task = Task::class(name, vec!["0".into(), "1".into()]);
        Dataset {
            name: name.into(),
            tasks: vec![task],
            train: part(0, 7),
            val: part(1, 3),
            test: part(2, 5),
            skipped: vec![],
        }
    }

    fn pairing(canvas: [usize; 2], train: usize, val: usize, test: usize) -> Pairing {
        Pairing { canvas, samples: Samples { train, val, test }, seed: 4 }
    }

    #[test]
    fn the_canvas_holds_both_and_the_brighter_pixel_wins() {
        let (a, b) = (source("a", [3, 2], 10), source("b", [2, 3], 100));
        let data = compose("ab", &a, &b, &pairing([4, 4], 5, 2, 2)).unwrap();
        let image = data.train.images.get(0);
        let (p, q) = (image[0], image[15]);
        #[rustfmt::skip]
        assert_eq!(image, [
            p, p, 0, 0,
            p, p, 0, 0,
            p, q, q, q,
            0, q, q, q,
        ]);
        assert_eq!(data.train.labels[0].classes()[0], u32::from((p - 10) % 2));
        assert_eq!(data.train.labels[1].classes()[0], u32::from((q - 100) % 2));
    }

    #[test]
    fn no_image_is_in_two_splits() {
        let (a, b) = (source("a", [2, 2], 10), source("b", [2, 2], 100));
        let data = compose("ab", &a, &b, &pairing([4, 4], 40, 20, 30)).unwrap();
        for (s, (_, split)) in data.splits().into_iter().enumerate() {
            for i in 0..split.len() {
                let image = split.images.get(i);
                assert_eq!(((image[0] - 10) / 10) as usize, s);
                assert_eq!(((image[15] - 100) / 10) as usize, s);
            }
        }
    }

    #[test]
    fn misfits_are_refused() {
        let (a, b) = (source("a", [3, 2], 10), source("b", [2, 3], 100));
        let fails = |a: &Dataset, b: &Dataset, p: Pairing| compose("x", a, b, &p).unwrap_err().to_string();
        assert!(fails(&a, &b, pairing([2, 4], 1, 1, 1)).contains("canvas"));
        assert!(fails(&a, &b, pairing([4, 4], 0, 1, 1)).contains("train split is empty"));
        assert!(fails(&a, &a, pairing([4, 4], 1, 1, 1)).contains("rename"));
        assert!(fails(&a, &b, pairing([1 << 20, 1 << 20], 1 << 30, 1, 1)).contains("memory"));
    }

    proptest! {
        #[test]
        fn every_image_is_used_equally_often(n in 1usize..40, samples in 0usize..200, seed: u64) {
            let mut uses = vec![0; n];
            partners(n, samples, seed).iter().for_each(|&i| uses[i as usize] += 1);
            prop_assert_eq!(uses.iter().sum::<usize>(), samples);
            prop_assert!(uses.iter().all(|&u| u == samples / n || u == samples.div_ceil(n)));
        }
    }
}
