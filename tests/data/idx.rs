//! IDX's files, alone and two sets on one canvas.

use flate2::{Compression, write::GzEncoder};
use limbeck::data::Split;
use limbeck::data::augment::Augment;
use limbeck::data::compose::{Pairing, Samples, compose};
use limbeck::data::formats::idx;
use limbeck::data::loader::{Batch, Loader};
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::tempdir;

pub fn header(magic: [u8; 4], dims: &[u32]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes
}

/// `n` images of `h` x `w`, image i filled with `i + base`.
pub fn images(n: u32, h: u32, w: u32, base: u8) -> Vec<u8> {
    let mut bytes = header([0, 0, 8, 3], &[n, h, w]);
    (0..n).for_each(|i| bytes.extend(vec![i as u8 + base; (h * w) as usize]));
    bytes
}

pub fn labels(labels: &[u8]) -> Vec<u8> {
    let mut bytes = header([0, 0, 8, 1], &[labels.len() as u32]);
    bytes.extend(labels);
    bytes
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A sound little set: 20 training and 6 test images of 4 x 3, labels 0, 1, 2, 0, 1, …
pub fn files(folder: &Path, prefix: &str, base: u8) -> idx::Files {
    let of = |n: u8| labels(&(0..n).map(|i| i % 3).collect::<Vec<_>>());
    idx::Files {
        train_images: put(folder, &format!("{prefix}-train-images"), &gz(&images(20, 4, 3, base))),
        train_labels: put(folder, &format!("{prefix}-train-labels.gz"), &of(20)),
        test_images: put(folder, &format!("{prefix}-test-images.gz"), &images(6, 4, 3, base + 20)),
        test_labels: put(folder, &format!("{prefix}-test-labels"), &gz(&of(6))),
        task: prefix.into(),
        classes: None,
        flip: false,
    }
}

#[test]
fn idx_is_read_plain_or_gzipped_whatever_its_name() {
    let dir = tempdir().unwrap();
    let data = idx::load("set", &files(dir.path(), "digit", 0), 0.2, 0).unwrap();
    assert_eq!((data.train.len(), data.val.len(), data.test.len()), (16, 4, 6));
    assert_eq!((data.train.images.height, data.train.images.width, data.train.images.channels), (4, 3, 1));
    assert_eq!(data.tasks[0].classes, ["0", "1", "2"]);
    assert_eq!(data.test.labels[0].classes(), [0, 1, 2, 0, 1, 2]);
    assert_eq!(data.test.images.get(5), [25; 12]);
    for (_, split) in data.splits() {
        (0..split.len())
            .for_each(|i| assert_eq!(u32::from(split.images.get(i)[0]) % 20 % 3, split.labels[0].classes()[i]));
    }
}

#[test]
fn no_source_image_is_in_two_splits_of_a_composed_set() {
    let dir = tempdir().unwrap();
    let (a, b) = (files(dir.path(), "digit", 0), files(dir.path(), "article", 100));
    let (a, b) = (idx::load("a", &a, 0.2, 1).unwrap(), idx::load("b", &b, 0.2, 1).unwrap());
    let pairing = Pairing { canvas: [8, 6], samples: Samples { train: 160, val: 40, test: 30 }, seed: 2 };
    let data = compose("pair", &a, &b, &pairing).unwrap();
    assert_eq!((data.tasks[0].name.as_str(), data.tasks[1].name.as_str()), ("digit", "article"));
    let corners = |s: &Split| -> [HashSet<u8>; 2] {
        [0, 47].map(|corner| (0..s.len()).map(|i| s.images.get(i)[corner]).collect())
    };
    let (train, val, test) = (corners(&data.train), corners(&data.val), corners(&data.test));
    for side in 0..2 {
        assert_eq!((train[side].len(), val[side].len(), test[side].len()), (16, 4, 6), "all are used");
        assert!(train[side].is_disjoint(&val[side]) && train[side].is_disjoint(&test[side]));
        assert!(val[side].is_disjoint(&test[side]));
    }
    // The labels belong to the pictures they came with.
    for i in 0..data.train.len() {
        let image = data.train.images.get(i);
        assert_eq!(data.train.labels[0].classes()[i], u32::from(image[0]) % 3);
        assert_eq!(data.train.labels[1].classes()[i], u32::from(image[47] - 100) % 3);
    }
}

#[test]
fn the_same_seeds_give_the_same_batches_from_file_to_loader() {
    let dir = tempdir().unwrap();
    let files = files(dir.path(), "digit", 0);
    let augment = Augment { shift: 1, noise: 0.1, ..Augment::NONE };
    let batches = |split_seed, epoch_seed, start| -> Vec<Batch> {
        let data = idx::load("set", &files, 0.2, split_seed).unwrap();
        Loader::train(Arc::new(data.train), 3, epoch_seed, augment, start).collect()
    };
    let base = batches(0, 0, 0);
    assert_eq!(base.len(), 5);
    assert_eq!(base, batches(0, 0, 0));
    assert_eq!(base[3..], batches(0, 0, 3));
    assert_ne!(base, batches(1, 0, 0));
    assert_ne!(base, batches(0, 1, 0));
}
