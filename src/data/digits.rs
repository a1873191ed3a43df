//! The embedded default: 1,797 optical handwritten digits, 8x8 (Alpaydin & Kaynak 1998, UCI Machine Learning Repository,
//! CC BY 4.0; see `assets/README.md`), and two of them overlapped on one canvas.

use super::{Dataset, Images, Labels, Split, Task, compose, split};
use crate::Result;

/// 64 pixels in 0..=16 and a label, 65 bytes a record.
static PACKED: &[u8] = include_bytes!("../../assets/digits.bin");
const SIDE: usize = 8;
const RECORD: usize = SIDE * SIDE + 1;

/// Parts of the digits for validation and for the test; the rest, 60 %, is for training.
const VAL: f64 = 0.15;
const TEST: f64 = 0.25;

/// All digits, undivided: `[1797, 8, 8, 1]` scaled from 0..16 to 0..255, one label each.
pub fn all() -> Split {
    let records = PACKED.chunks_exact(RECORD);
    let count = records.len();
    // 16 levels to 255, rounded to the nearest.
    let pixels =
        records.clone().flat_map(|r| &r[..RECORD - 1]).map(|&v| ((u16::from(v) * 255 + 8) / 16) as u8).collect();
    let labels = records.map(|r| u32::from(r[RECORD - 1])).collect();
    Split {
        images: Images { pixels, count, height: SIDE, width: SIDE, channels: 1 },
        labels: vec![Labels::Class(labels)],
        files: Vec::new(),
        originals: None,
    }
}

/// The digits as one task of ten classes, divided 60 / 15 / 25 % into train, validation and test, stratified by digit.
pub fn single(task: &str, split_seed: u64) -> Result<Dataset> {
    let classes = (0..10).map(|d| d.to_string()).collect();
    split::three_ways("digits", Task::class(task, classes), &all(), VAL, TEST, split_seed)
}

/// The names of the two tasks.
pub const TASKS: [&str; 2] = ["first", "second"];

/// Two digits on one canvas, usually 12x12: task `first` names the one at the top left, task `second` the one at the bottom
/// right. The digits are divided by `split_seed` before they are paired, so no digit image is in two splits.
pub fn load(pairing: &compose::Pairing, split_seed: u64) -> Result<Dataset> {
    compose::compose("digits", &single(TASKS[0], split_seed)?, &single(TASKS[1], split_seed)?, pairing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::compose::{Pairing, Samples};
    use std::collections::HashSet;

    #[test]
    fn the_asset_is_whole() {
        let digits = all();
        assert_eq!((PACKED.len(), digits.len()), (1797 * RECORD, 1797));
        let mut counts = [0; 10];
        digits.labels[0].classes().iter().for_each(|&l| counts[l as usize] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        // scikit-learn's load_digits().images[0][1] is 0 0 13 15 10 15 5 0.
        assert_eq!(digits.images.get(0)[8..16], [0, 0, 207, 239, 159, 239, 80, 0]);
        assert_eq!(digits.images.pixels.iter().max(), Some(&255));
        assert!(PACKED.chunks_exact(RECORD).all(|r| r[..64].iter().all(|&v| v <= 16)));
    }

    #[test]
    fn the_split_has_the_promised_sizes_and_shares_no_image() {
        let data = single("digit", 3).unwrap();
        let sizes = data.splits().map(|(_, s)| s.len());
        assert_eq!(sizes.iter().sum::<usize>(), 1797);
        for (size, share) in sizes.into_iter().zip([0.60, 0.15, 0.25]) {
            assert!((size as f64 - 1797.0 * share).abs() <= 2.0, "{sizes:?}");
        }
        let images = |s: &Split| (0..s.len()).map(|i| s.images.get(i).to_vec()).collect::<HashSet<_>>();
        let (train, val, test) = (images(&data.train), images(&data.val), images(&data.test));
        assert!(train.is_disjoint(&test) && train.is_disjoint(&val) && val.is_disjoint(&test));
    }

    #[test]
    fn pairs_show_digits_of_their_own_split_only() {
        let pairing = Pairing { canvas: [16, 16], samples: Samples { train: 300, val: 100, test: 200 }, seed: 1 };
        let (data, parts) = (load(&pairing, 5).unwrap(), single("digit", 5).unwrap());
        for ((_, composed), (name, part)) in data.splits().into_iter().zip(parts.splits()) {
            let known: HashSet<&[u8]> = (0..part.len()).map(|i| part.images.get(i)).collect();
            for i in 0..composed.len() {
                // At 16x16 the two do not overlap, so each can be cut out again.
                let canvas = composed.images.get(i);
                let crop =
                    |top: usize| (top..top + 8).flat_map(|y| &canvas[y * 16 + top..][..8]).copied().collect::<Vec<_>>();
                assert!(known.contains(crop(0).as_slice()) && known.contains(crop(8).as_slice()), "{name} {i}");
            }
        }
    }

    #[test]
    fn seeds_decide_and_repeat() {
        let pairing = |seed| Pairing { canvas: [12, 12], samples: Samples { train: 60, val: 20, test: 20 }, seed };
        let hash = |seed, split_seed| load(&pairing(seed), split_seed).unwrap().fingerprint();
        assert_eq!(hash(0, 0), hash(0, 0));
        assert_ne!(hash(0, 0), hash(1, 0));
        assert_ne!(hash(0, 0), hash(0, 1));
    }
}
