//! IDX's files, alone and two sets on one canvas.

use flate2::{Compression, write::GzEncoder};
use limbeck::Error;
use limbeck::data::Split;
use limbeck::data::augment::Augment;
use limbeck::data::compose::{Pairing, Samples, compose};
use limbeck::data::formats::idx;
use limbeck::data::loader::{Batch, Loader};
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::{TempDir, tempdir};

fn header(magic: [u8; 4], dims: &[u32]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes
}

/// `n` images of `h` x `w`, image i filled with `i + base`.
fn idx_images(n: u32, h: u32, w: u32, base: u8) -> Vec<u8> {
    let mut bytes = header([0, 0, 8, 3], &[n, h, w]);
    (0..n).for_each(|i| bytes.extend(vec![i as u8 + base; (h * w) as usize]));
    bytes
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    let mut bytes = header([0, 0, 8, 1], &[labels.len() as u32]);
    bytes.extend(labels);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn put(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A sound little set: 20 training and 6 test images of 4 x 3, labels 0, 1, 2, 0, 1, …
fn idx_files(dir: &TempDir, prefix: &str, base: u8) -> idx::Files {
    let labels = |n: u8| idx_labels(&(0..n).map(|i| i % 3).collect::<Vec<_>>());
    idx::Files {
        train_images: put(dir, &format!("{prefix}-train-images"), &gz(&idx_images(20, 4, 3, base))),
        train_labels: put(dir, &format!("{prefix}-train-labels.gz"), &labels(20)),
        test_images: put(dir, &format!("{prefix}-test-images.gz"), &idx_images(6, 4, 3, base + 20)),
        test_labels: put(dir, &format!("{prefix}-test-labels"), &gz(&labels(6))),
        task: prefix.into(),
        classes: None,
        flip: false,
    }
}

#[test]
fn idx_is_read_plain_or_gzipped_whatever_its_name() {
    let dir = tempdir().unwrap();
    let data = idx::load("set", &idx_files(&dir, "digit", 0), 0.2, 0).unwrap();
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
fn every_damage_to_an_idx_file_is_named_with_its_place() {
    let dir = tempdir().unwrap();
    let sound = idx_images(5, 4, 4, 0);
    let cut = |n: usize| sound[..sound.len() - n].to_vec();
    let packed = gz(&sound);
    let mut flipped = packed.clone();
    let n = flipped.len();
    flipped[n - 6] ^= 0xff; // in the checksum
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("empty", vec![], "byte 0", "header"),
        ("half a header", sound[..10].to_vec(), "byte 10", "header"),
        ("truncated", cut(7), "byte 89", "truncated"),
        ("too long", [sound.as_slice(), b"x"].concat(), "byte 96", "goes on"),
        ("text", b"<html>404 not found</html>".to_vec(), "byte 0", "not an IDX file"),
        ("floats", header([0, 0, 13, 3], &[1, 1, 1]), "byte 0", "unsigned bytes"),
        ("labels", idx_labels(&[1, 2, 3]), "byte 0", "swapped"),
        ("rank 4", header([0, 0, 8, 4], &[1, 1, 1, 1]), "byte 0", "4 dimensions"),
        ("nothing in it", header([0, 0, 8, 3], &[0, 4, 4]), "byte 4", "no images"),
        ("zero height", header([0, 0, 8, 3], &[4, 0, 4]), "byte 8", "zero size"),
        ("absurd", header([0, 0, 8, 3], &[u32::MAX, u32::MAX, u32::MAX]), "byte 16", "promises"),
        ("large", header([0, 0, 8, 3], &[60_000, 1000, 1000]), "byte 16", "promises"),
        ("absurd, gzipped", gz(&header([0, 0, 8, 3], &[u32::MAX, 4096, 1])), "byte 4", "promises"),
        ("truncated, then gzipped", gz(&cut(7)), "byte 89 (unpacked)", "truncated"),
        ("too long, then gzipped", gz(&[sound.as_slice(), b"x"].concat()), "byte 96", "goes on"),
        ("gzipped, then truncated", packed[..n / 2].to_vec(), "unpacked", "breaks off"),
        ("gzip without its end", packed[..n - 3].to_vec(), "byte 96", "breaks off"),
        ("gzip with a wrong checksum", flipped, "byte 96", "damaged"),
        ("gzip of nothing", packed[..2].to_vec(), "byte 0", "breaks off"),
    ];
    for (name, bytes, place, words) in cases {
        let path = put(&dir, name, &bytes);
        let error = idx::read_images(&path).unwrap_err();
        assert!(matches!(error, Error::Data { .. }), "{name}: {error:?}");
        let message = error.to_string();
        assert!(message.contains(path.to_str().unwrap()), "{name}: {message}");
        assert!(message.contains(place) && message.contains(words), "{name}: {message}");
    }
    assert!(matches!(idx::read_images(&dir.path().join("absent")), Err(Error::Io { .. })));
    assert!(matches!(idx::read_images(dir.path()), Err(Error::Data { .. })));
}

#[test]
fn labels_and_images_must_fit_each_other() {
    let dir = tempdir().unwrap();
    let fails = |files: &idx::Files| idx::load("set", files, 0.2, 0).unwrap_err().to_string();

    let mut files = idx_files(&dir, "a", 0);
    files.classes = Some(vec!["zero".into(), "one".into()]);
    let message = fails(&files);
    assert!(
        message.contains("record 2") && message.contains("label 2") && message.contains("train-labels"),
        "{message}"
    );

    let mut files = idx_files(&dir, "a", 0);
    files.test_labels = put(&dir, "l", &idx_labels(&[0, 1, 2, 0, 9, 1]));
    let message = fails(&files);
    assert!(message.contains("record 4") && message.contains("label 9"), "{message}");

    // A flipped bit in a training label must not silently become 130 classes.
    let mut labels: Vec<u8> = (0..20).map(|i| i % 3).collect();
    labels[7] |= 128;
    files = idx_files(&dir, "a", 0);
    files.train_labels = put(&dir, "l", &idx_labels(&labels));
    let message = fails(&files);
    assert!(message.contains("record 7") && message.contains("label 129"), "{message}");

    files = idx_files(&dir, "a", 0);
    files.test_labels = put(&dir, "l", &idx_labels(&[0, 1, 2, 0]));
    let message = fails(&files);
    assert!(message.contains("4 labels") && message.contains("6 images"), "{message}");

    files = idx_files(&dir, "a", 0);
    files.test_images = put(&dir, "i", &idx_images(6, 3, 4, 0));
    let message = fails(&files);
    assert!(message.contains("3x4") && message.contains("4x3"), "{message}");
}

#[test]
fn no_source_image_is_in_two_splits_of_a_composed_set() {
    let dir = tempdir().unwrap();
    let (a, b) = (idx_files(&dir, "digit", 0), idx_files(&dir, "article", 100));
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
    let files = idx_files(&dir, "digit", 0);
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
