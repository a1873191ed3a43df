//! Folders of pictures, one for each class.

use image::{Rgb, RgbImage};
use limbeck::data::formats::folder;
use limbeck::data::{Dataset, Limits};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::tempdir;

fn options(root: &Path) -> folder::Options {
    folder::Options {
        root: root.to_path_buf(),
        size: [6, 8],
        channels: 3,
        max_pixels: 1 << 20,
        task: "class".into(),
        flip: true,
        val_fraction: 0.2,
        test_fraction: 0.2,
        split_seed: 0,
        limits: Limits::default(),
    }
}

/// `n` pictures of one colour, PNG and JPEG in turn, of different sizes.
pub fn class(root: &Path, name: &str, n: u8, colour: [u8; 3]) -> PathBuf {
    let folder = root.join(name);
    fs::create_dir_all(&folder).unwrap();
    for i in 0..n {
        let image = RgbImage::from_pixel(8 + u32::from(i), 6, Rgb(colour));
        let extension = if i % 2 == 0 { "png" } else { "JPG" };
        image.save(folder.join(format!("{i:02}.{extension}"))).unwrap();
    }
    folder
}

pub fn red_and_blue(root: &Path, part: &str, n: u8) {
    class(root, &format!("{part}/red"), n, [250, 0, 0]);
    class(root, &format!("{part}/blue"), n, [0, 0, 250]);
}

pub fn load(root: &Path) -> limbeck::Result<Dataset> {
    folder::load("pictures", &options(root))
}

/// The same wherever the files lie.
fn anywhere(mut data: Dataset) -> Dataset {
    [&mut data.train, &mut data.val, &mut data.test].into_iter().for_each(|split| split.files.clear());
    data
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
            assert!(split.file(i).unwrap().parent().unwrap().ends_with(["blue", "red"][label as usize]));
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
        (0..split.len()).for_each(|i| {
            let red = split.images.get(i)[0] > 128;
            assert_eq!(red, split.labels[0].classes()[i] == 1);
            assert_eq!(red, split.file(i).unwrap().starts_with(dir.path().join("train/red")));
        });
    }
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

#[test]
fn folders_of_splits_have_several_names_and_others_are_told() {
    let expected = {
        let dir = tempdir().unwrap();
        ["train", "val", "test"].iter().for_each(|part| red_and_blue(dir.path(), part, 4));
        anywhere(load(dir.path()).unwrap())
    };
    for (train, val, test) in
        [("train", "valid", "test"), ("training", "validation", "testing"), ("train", "dev", "test")]
    {
        let dir = tempdir().unwrap();
        [train, val, test].iter().for_each(|part| red_and_blue(dir.path(), part, 4));
        let data = load(dir.path()).unwrap();
        assert_eq!(anywhere(data), expected, "{val}");
        fs::create_dir(dir.path().join("extra")).unwrap();
        let told = load(dir.path()).unwrap().skipped;
        assert!(told.len() == 1 && told[0].path.ends_with("extra"), "{told:?}");
        fs::create_dir(dir.path().join(if val == "dev" { "val" } else { "dev" })).unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is a folder of the same split as"), "{error}");
    }
}

#[test]
fn class_folders_alone_are_one_set() {
    let load_from = |part: &str| {
        let dir = tempdir().unwrap();
        red_and_blue(&dir.path().join(part), ".", 10);
        fs::create_dir(dir.path().join(part).join(".cache")).unwrap();
        anywhere(load(dir.path()).unwrap())
    };
    let alone = load_from(".");
    assert_eq!((alone.train.len(), alone.val.len(), alone.test.len()), (12, 4, 4));
    assert_eq!(alone, load_from("train"));
    // Other files beside the classes are told.
    let dir = tempdir().unwrap();
    red_and_blue(dir.path(), ".", 10);
    fs::write(dir.path().join("labels.csv"), "").unwrap();
    let told = load(dir.path()).unwrap().skipped;
    assert!(told.len() == 1 && told[0].reason == "a file beside the class folders", "{told:?}");
}
