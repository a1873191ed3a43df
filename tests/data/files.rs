//! Data from files: what a damaged file, a misplaced folder or a broken picture leads to.

use flate2::{Compression, write::GzEncoder};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use limbeck::{
    Error,
    data::{
        Dataset, Limits, Split,
        augment::Augment,
        compose::{Pairing, Samples, compose},
        formats::{folder, idx, image as picture},
        loader::{Batch, Loader},
    },
};
use std::{
    collections::HashSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::{TempDir, tempdir};

// ---------------------------------------------------------------- IDX

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

// ---------------------------------------------------------------- composition

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

// ---------------------------------------------------------------- class folders

fn options(root: &Path) -> folder::Options {
    folder::Options {
        root: root.to_path_buf(),
        size: [6, 8],
        channels: 3,
        task: "class".into(),
        flip: true,
        val_fraction: 0.2,
        test_fraction: 0.2,
        split_seed: 0,
        limits: Limits::default(),
    }
}

/// `n` pictures of one colour, PNG and JPEG in turn, of different sizes.
fn class(root: &Path, name: &str, n: u8, colour: [u8; 3]) -> PathBuf {
    let folder = root.join(name);
    fs::create_dir_all(&folder).unwrap();
    for i in 0..n {
        let image = RgbImage::from_pixel(8 + u32::from(i), 6, Rgb(colour));
        let extension = if i % 2 == 0 { "png" } else { "JPG" };
        image.save(folder.join(format!("{i:02}.{extension}"))).unwrap();
    }
    folder
}

fn red_and_blue(root: &Path, part: &str, n: u8) {
    class(root, &format!("{part}/red"), n, [250, 0, 0]);
    class(root, &format!("{part}/blue"), n, [0, 0, 250]);
}

fn load(root: &Path) -> limbeck::Result<Dataset> {
    folder::load("pictures", &options(root))
}

#[test]
fn class_folders_are_read_in_the_order_of_their_names() {
    let dir = tempdir().unwrap();
    red_and_blue(dir.path(), "train", 10);
    fs::write(dir.path().join("train/red/.DS_Store"), b"x").unwrap();
    fs::create_dir(dir.path().join("train/.cache")).unwrap();
    let data = load(dir.path()).unwrap();
    assert_eq!(data.tasks[0].classes, ["blue", "red"]);
    assert_eq!((data.train.len(), data.val.len(), data.test.len()), (12, 4, 4));
    assert!(data.skipped.is_empty(), "{:?}", data.skipped);
    for (_, split) in data.splits() {
        let red: u32 = split.labels[0].classes().iter().sum();
        assert_eq!(red as usize * 2, split.len(), "stratified");
        for (i, &label) in split.labels[0].classes().iter().enumerate() {
            let image = split.images.get(i);
            assert_eq!(image.len(), 6 * 8 * 3);
            // JPEG keeps a plain colour to within a few levels.
            let (r, b) = (image[0], image[2]);
            assert!(if label == 1 { r > 240 && b < 10 } else { r < 10 && b > 240 }, "{r} {b}");
        }
    }
    assert_eq!(data.fingerprint(), load(dir.path()).unwrap().fingerprint());
    let grey = folder::load("grey", &folder::Options { channels: 1, ..options(dir.path()) }).unwrap();
    assert_eq!(grey.train.images.image_len(), 6 * 8);
}

#[test]
fn own_val_and_test_folders_are_used_and_may_lack_a_class() {
    let dir = tempdir().unwrap();
    red_and_blue(dir.path(), "train", 4);
    red_and_blue(dir.path(), "test", 3);
    class(dir.path(), "val/red", 2, [250, 0, 0]);
    let data = load(dir.path()).unwrap();
    assert_eq!((data.train.len(), data.val.len(), data.test.len()), (8, 2, 6));
    assert_eq!(data.val.labels[0].classes(), [1, 1]);
    class(dir.path(), "val/green", 1, [0, 250, 0]);
    let message = load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("green") && message.contains("blue, red"), "{message}");
}

#[test]
fn broken_pictures_are_skipped_counted_and_named() {
    let dir = tempdir().unwrap();
    red_and_blue(dir.path(), "train", 20);
    let red = dir.path().join("train/red");
    let jpeg = fs::read(red.join("01.JPG")).unwrap();
    let png = fs::read(red.join("00.png")).unwrap();
    let broken: [(&str, &[u8]); 5] = [
        ("a truncated.jpg", &jpeg[..jpeg.len() - 40]),
        ("b truncated.png", &png[..png.len() / 2]),
        ("c empty.jpg", b""),
        ("d page.png", b"<html>not found</html>"),
        ("e notes.txt", b"hello"),
    ];
    broken.iter().for_each(|(name, bytes)| fs::write(red.join(name), bytes).unwrap());
    let data = load(dir.path()).unwrap();
    assert_eq!(data.train.len() + data.val.len() + data.test.len(), 40);
    let mut names: Vec<_> = data.skipped.iter().map(|s| s.path.file_name().unwrap().to_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, broken.map(|(name, _)| name));
    assert!(data.skipped.iter().all(|s| !s.reason.is_empty()));
    // The pictures behind the gaps have kept their labels.
    for (_, split) in data.splits() {
        (0..split.len()).for_each(|i| assert_eq!(split.images.get(i)[0] > 128, split.labels[0].classes()[i] == 1));
    }
}

#[test]
fn folders_that_cannot_be_learnt_from_are_errors() {
    let fails = |prepare: &dyn Fn(&Path)| {
        let dir = tempdir().unwrap();
        prepare(dir.path());
        let error = load(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Data { .. }), "{error:?}");
        error.to_string()
    };
    assert!(fails(&|_| {}).contains("train/<class>"));
    assert!(fails(&|root| fs::create_dir(root.join("train")).unwrap()).contains("at least two"));
    assert!(fails(&|root| drop(class(root, "train/red", 4, [250, 0, 0]))).contains("at least two"));
    let empty = fails(&|root| {
        red_and_blue(root, "train", 4);
        fs::create_dir(root.join("train/green")).unwrap();
    });
    assert!(empty.contains("green") && empty.contains("class folder"), "{empty}");
    let hollow = fails(&|root| {
        red_and_blue(root, "train", 4);
        fs::create_dir(root.join("val")).unwrap();
    });
    assert!(hollow.contains("val") && hollow.contains("cut"), "{hollow}");
    let all_broken = fails(&|root| {
        red_and_blue(root, "train", 5);
        let green = root.join("train/green");
        fs::create_dir(&green).unwrap();
        (0..5).for_each(|i| fs::write(green.join(format!("{i}.png")), b"no").unwrap());
    });
    assert!(all_broken.contains("green") && all_broken.contains("none of the"), "{all_broken}");
}

#[test]
fn limits_choose_files_in_proportion_before_decoding() {
    let dir = tempdir().unwrap();
    red_and_blue(dir.path(), "train", 20);
    let limits = Limits { train: Some(6), val: Some(2), test: Some(4) };
    let limited = |seed| {
        let options = folder::Options { limits, split_seed: seed, ..options(dir.path()) };
        folder::load("pictures", &options).unwrap()
    };
    let data = limited(0);
    assert_eq!((data.train.len(), data.val.len(), data.test.len()), (6, 2, 4));
    assert_eq!(data.train.labels[0].classes().iter().sum::<u32>(), 3);
    assert_eq!(data, limited(0));
}

// ---------------------------------------------------------------- single pictures

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn every_kind_of_png_becomes_the_same_bytes() {
    let rgb = RgbImage::from_fn(4, 3, |x, y| Rgb([60 * x as u8, 90 * y as u8, 7]));
    let expected = rgb.as_raw().clone();
    let rgb = DynamicImage::ImageRgb8(rgb);
    let decode = |image: DynamicImage, channels| {
        picture::decode(Path::new("p"), &encoded(&image, ImageFormat::Png), [3, 4], channels).unwrap()
    };
    assert_eq!(decode(rgb.clone(), 3), expected);
    assert_eq!(decode(rgb.to_rgba8().into(), 3), expected);
    assert_eq!(decode(rgb.to_rgb16().into(), 3), expected);
    assert_eq!(decode(rgb.to_rgba16().into(), 3), expected);
    let grey = rgb.to_luma8().into_raw();
    assert_eq!(decode(rgb.clone(), 1), grey);
    assert_eq!(decode(rgb.to_luma8().into(), 1), grey);
    assert_eq!(decode(rgb.to_luma_alpha8().into(), 1), grey);
    // 16 bits whose upper half is the grey of 8.
    let deep = ImageBuffer::from_fn(4, 3, |x, y| Luma([u16::from(grey[(4 * y + x) as usize]) * 257]));
    assert_eq!(decode(DynamicImage::ImageLuma16(deep), 1), grey);
    let tripled: Vec<u8> = grey.iter().flat_map(|&g| [g; 3]).collect();
    assert_eq!(decode(rgb.to_luma8().into(), 3), tripled);
}

#[test]
fn pictures_are_resized_without_aliasing() {
    // A fine checkerboard becomes even grey; picking single pixels would leave it black and white.
    let board = RgbImage::from_fn(64, 64, |x, y| Rgb([255 * ((x + y) % 2) as u8; 3]));
    let bytes = encoded(&board.into(), ImageFormat::Png);
    let small = picture::decode(Path::new("p"), &bytes, [8, 8], 1).unwrap();
    assert!(small.iter().all(|&v| v.abs_diff(128) < 8), "{small:?}");
    assert!(picture::decode(Path::new("p"), &bytes, [0, 8], 1).is_err());
    assert!(picture::decode(Path::new("p"), &bytes, [8, 8], 2).is_err());
}

#[test]
fn a_cmyk_jpeg_has_the_colours_that_pillow_reads() {
    let decoded = picture::read(Path::new("tests/goldens/cmyk.jpg"), [32, 32], 3).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read("tests/goldens/cmyk.json").unwrap()).unwrap();
    let colours = golden["colours"].as_array().unwrap();
    assert_eq!(colours.len(), 4);
    for (i, colour) in colours.iter().enumerate() {
        let at = 3 * (32 * (16 * (i / 2) + 8) + 16 * (i % 2) + 8);
        for channel in 0..3 {
            let (got, want) = (i64::from(decoded[at + channel]), colour[channel].as_i64().unwrap());
            assert!((got - want).abs() <= 4, "colour {i}: {:?}, not {colour}", &decoded[at..at + 3]);
        }
    }
}

#[test]
fn a_palette_is_looked_up() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Four);
    encoder.set_palette(vec![1, 2, 3, 200, 100, 50]);
    encoder.write_header().unwrap().write_image_data(&[0x10]).unwrap();
    assert_eq!(picture::decode(Path::new("p"), &bytes, [1, 2], 3).unwrap(), [200, 100, 50, 1, 2, 3]);
}

#[test]
fn exif_orientation_is_applied() {
    // Left half white, right half black; orientation 6 means "turn it clockwise", so white comes to the top.
    let image = RgbImage::from_fn(16, 8, |x, _| Rgb([if x < 8 { 255 } else { 0 }; 3]));
    let jpeg = encoded(&image.into(), ImageFormat::Jpeg);
    #[rustfmt::skip]
    let exif = [
        0xff, 0xe1, 0, 34, b'E', b'x', b'i', b'f', 0, 0,
        b'M', b'M', 0, 42, 0, 0, 0, 8, // TIFF, big-endian, first directory at 8
        0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, // one entry: orientation, u16, 1 value, 6
        0, 0, 0, 0,
    ];
    let turned = [&jpeg[..2], &exif, &jpeg[2..]].concat();
    let image = picture::decode(Path::new("p"), &turned, [16, 16], 1).unwrap();
    assert!(image[8] > 200 && image[16 * 15 + 8] < 50, "{} {}", image[8], image[16 * 15 + 8]);
    // Sizes are those of the picture that is shown; on a square canvas there is grey beside it.
    let folder = tempdir().unwrap();
    let path = put(&folder, "turned.jpg", &turned);
    assert_eq!(picture::size(&path).unwrap(), [16, 8]);
    let (boxed, size, letterbox) = picture::read_boxed(&path, [16, 16], 1).unwrap();
    assert_eq!((size, letterbox.inner), ([16, 8], [16, 8]));
    assert_eq!((boxed[0], boxed[16 * 15]), (114, 114));
    assert!(boxed[8] > 200 && boxed[16 * 15 + 8] < 50);
}
