//! Files that are damaged, misplaced, or do not fit each other.

use super::{Given, Refusal, Run, Texts, unchanged};
use crate::folders::{class, red_and_blue};
use crate::idx::{gz, header, images, labels};
use crate::support::idx_folder;
use crate::{coco, masks, members, table, voc, yolo};
use image::{GrayImage, Luma, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};

pub fn rows() -> Vec<Refusal> {
    [idx_files(), idx_sets(), folders_and_pictures(), runs(), annotations()].into_iter().flatten().collect()
}

fn idx_files() -> Vec<Refusal> {
    let sound = images(5, 4, 4, 0);
    let cut = |n: usize| sound[..sound.len() - n].to_vec();
    let long = [sound.as_slice(), b"x"].concat();
    let packed = gz(&sound);
    let n = packed.len();
    let mut flipped = packed.clone();
    flipped[n - 6] ^= 0xff; // in the checksum
    let row = |name, bytes, says: Texts| (name, Given::IdxFile(bytes), "Data", says);
    vec![
        row("IDX: empty", vec![], &["byte 0", "header"]),
        row("IDX: half a header", sound[..10].to_vec(), &["byte 10", "header"]),
        row("IDX: truncated", cut(7), &["byte 89", "truncated"]),
        row("IDX: too long", long.clone(), &["byte 96", "goes on"]),
        row("IDX: text", b"<html>404 not found</html>".to_vec(), &["byte 0", "not an IDX file"]),
        row("IDX: floats", header([0, 0, 13, 3], &[1, 1, 1]), &["byte 0", "unsigned bytes"]),
        row("IDX: labels", labels(&[1, 2, 3]), &["byte 0", "swapped"]),
        row("IDX: rank 4", header([0, 0, 8, 4], &[1, 1, 1, 1]), &["byte 0", "4 dimensions"]),
        row("IDX: nothing in it", header([0, 0, 8, 3], &[0, 4, 4]), &["byte 4", "no images"]),
        row("IDX: zero height", header([0, 0, 8, 3], &[4, 0, 4]), &["byte 8", "zero size"]),
        row("IDX: absurd", header([0, 0, 8, 3], &[u32::MAX, u32::MAX, u32::MAX]), &["byte 16", "promises"]),
        row("IDX: large", header([0, 0, 8, 3], &[60_000, 1000, 1000]), &["byte 16", "promises"]),
        row("IDX: absurd, gzipped", gz(&header([0, 0, 8, 3], &[u32::MAX, 4096, 1])), &["byte 4", "promises"]),
        row("IDX: truncated, then gzipped", gz(&cut(7)), &["byte 89 (unpacked)", "truncated"]),
        row("IDX: too long, then gzipped", gz(&long), &["byte 96", "goes on"]),
        row("IDX: gzipped, then truncated", packed[..n / 2].to_vec(), &["unpacked", "breaks off"]),
        row("IDX: gzip without its end", packed[..n - 3].to_vec(), &["byte 96", "breaks off"]),
        row("IDX: gzip with a wrong checksum", flipped, &["byte 96", "damaged"]),
        row("IDX: gzip of nothing", packed[..2].to_vec(), &["byte 0", "breaks off"]),
        ("IDX: not there", Given::IdxPath("absent"), "Io", &["absent"]),
        ("IDX: a folder", Given::IdxPath("."), "Data", &["folder"]),
    ]
}

/// Puts another file in the place of one of the set's.
fn put(folder: &Path, file: &mut PathBuf, bytes: &[u8]) {
    *file = folder.join("other");
    fs::write(file, bytes).unwrap();
}

fn idx_sets() -> Vec<Refusal> {
    type Spoil = fn(&Path, &mut limbeck::data::formats::idx::Files);
    let row = |name, spoil: Spoil, says: Texts| (name, Given::IdxSet(spoil), "Data", says);
    vec![
        row(
            "IDX: a label beyond the names",
            |_, files| files.classes = Some(vec!["zero".into(), "one".into()]),
            &["record 2", "label 2", "train-labels"],
        ),
        row(
            "IDX: a test label beyond the training labels",
            |folder, files| put(folder, &mut files.test_labels, &labels(&[0, 1, 2, 0, 9, 1])),
            &["record 4", "label 9"],
        ),
        row(
            // It must not silently become 130 classes.
            "IDX: a flipped bit in a training label",
            |folder, files| {
                let mut all: Vec<u8> = (0..20).map(|i| i % 3).collect();
                all[7] |= 128;
                put(folder, &mut files.train_labels, &labels(&all));
            },
            &["record 7", "label 129"],
        ),
        row(
            "IDX: fewer labels than images",
            |folder, files| put(folder, &mut files.test_labels, &labels(&[0, 1, 2, 0])),
            &["4 labels", "6 images"],
        ),
        row(
            "IDX: test images of another size",
            |folder, files| put(folder, &mut files.test_images, &images(6, 3, 4, 0)),
            &["3x4", "4x3"],
        ),
    ]
}

fn folders_and_pictures() -> Vec<Refusal> {
    let row = |name, make: fn(&Path), says: Texts| (name, Given::Folders(make), "Data", says);
    vec![
        row("folders: none", |_| {}, &["train/<class>"]),
        row(
            "folders: splits without train",
            |root| {
                red_and_blue(root, ".", 4);
                red_and_blue(root, "val", 4);
            },
            &["train: no such folder, but there is val/ beside it", "train/<class>"],
        ),
        row("folders: no class", |root| fs::create_dir(root.join("train")).unwrap(), &["at least two"]),
        row("folders: one class", |root| drop(class(root, "train/red", 4, [250, 0, 0])), &["at least two"]),
        row(
            "folders: an empty class",
            |root| {
                red_and_blue(root, "train", 4);
                fs::create_dir(root.join("train/green")).unwrap();
            },
            &["green", "class folder"],
        ),
        row(
            "folders: nothing to validate on",
            |root| {
                red_and_blue(root, "train", 4);
                fs::create_dir(root.join("val")).unwrap();
            },
            &["val", "cut"],
        ),
        row(
            "folders: a class of broken pictures",
            |root| {
                red_and_blue(root, "train", 5);
                let green = root.join("train/green");
                fs::create_dir(&green).unwrap();
                (0..5).for_each(|i| fs::write(green.join(format!("{i}.png")), b"no").unwrap());
            },
            &["green", "none of the"],
        ),
        row(
            "folders: a class that is not among those trained on",
            |root| {
                red_and_blue(root, "train", 4);
                red_and_blue(root, "test", 3);
                class(root, "val/red", 2, [250, 0, 0]);
                class(root, "val/green", 1, [0, 250, 0]);
            },
            &["green", "blue, red"],
        ),
        ("picture: no height", Given::Picture([0, 8], 1), "Invalid", &["0x8x1", "sizes are above 0"]),
        ("picture: two channels", Given::Picture([8, 8], 2), "Invalid", &["8x8x2", "channels are 1 or 3"]),
    ]
}

/// Changes the bytes of a file.
fn damage(folder: &Path, name: &str, change: impl Fn(&mut Vec<u8>)) {
    let path = folder.join(name);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Two classes of twelve pictures, and one without any.
fn hollow_class(root: &Path) -> String {
    red_and_blue(&root.join("pictures"), "train", 12);
    fs::create_dir(root.join("pictures/train/green")).unwrap();
    format!(
        "[data]\nsource = \"folder\"\nroot = {root:?}\nfolder = \"pictures\"\nsize = [8, 8]\nchannels = 3\n\
         val_fraction = 0.2\ntest_fraction = 0.2\n"
    )
}

/// A teacher's file that is none.
fn unfit_teacher(root: &Path) -> String {
    let teacher = root.join("teacher.safetensors");
    fs::write(&teacher, b"not a network").unwrap();
    format!("[data]\nsource = \"digits\"\n[teacher.paths]\nsecond = {teacher:?}\n")
}

/// Whole runs, refused before anything is begun.
fn runs() -> Vec<Refusal> {
    let row = |name, change: fn(&Path), says: Texts| {
        (name, Given::Start(Run(|root| idx_folder(root).to_toml(), change, &[])), "Data", says)
    };
    vec![
        row(
            "run: truncated images",
            |root| damage(root, "train-images", |b| b.truncate(1000)),
            &["train-images", "byte 1000", "truncated"],
        ),
        row(
            "run: truncated labels",
            |root| damage(root, "train-labels", |b| b.truncate(20)),
            &["train-labels", "byte 20", "truncated"],
        ),
        row(
            "run: images of nine dimensions",
            |root| damage(root, "train-images", |b| b[3] = 9),
            &["train-images", "byte 0", "9 dimensions"],
        ),
        row(
            "run: a page in the place of images",
            |root| damage(root, "test-images", |b| *b = b"<html>404</html>".to_vec()),
            &["test-images", "byte 0", "not an IDX file"],
        ),
        row(
            "run: a label beyond the classes",
            |root| damage(root, "test-labels", |b| b[8 + 4] = 7),
            &["test-labels", "record 4", "label 7", "3 classes"],
        ),
        (
            "run: a class without pictures",
            Given::Start(Run(hollow_class, unchanged, &[])),
            "Data",
            &["train/green", "no .png", "remove the folder"],
        ),
        (
            "run: a ready-made teacher that is no network",
            Given::Start(Run(unfit_teacher, unchanged, &[])),
            "Checkpoint",
            &["teacher.safetensors"],
        ),
    ]
}

/// Annotations as those of `coco::set`, with another text in the place of one.
fn retold(root: &Path, from: &str, to: &str) {
    let text = coco::instances("");
    assert!(text.contains(from), "{from}");
    fs::write(root.join("instances.json"), text.replace(from, to)).unwrap();
}

fn annotations() -> Vec<Refusal> {
    let row = |name, make: fn(&Path) -> String, change: fn(&Path), sets: Texts, says: Texts| {
        (name, Given::Data(Run(make, change, sets)), "Data", says)
    };
    vec![
        row(
            "coco: a box without width",
            coco::set,
            |root| {
                let more = r#", {"id": 4, "image_id": 3, "category_id": 2, "bbox": [1, 1, 0, 4]}"#;
                fs::write(root.join("instances.json"), coco::instances(more)).unwrap();
            },
            &[],
            &["instances.json", "annotation 4", "skip"],
        ),
        row(
            "coco: another image than was annotated",
            coco::set,
            |root| retold(root, r#""width": 10, "height": 10"#, r#""width": 20, "height": 10"#),
            &[],
            &["empty.png", "10x20"],
        ),
        row(
            "coco: the images held out are trained on",
            coco::set,
            unchanged,
            &["data.train=held.json"],
            &["held-wide.png is a training image too"],
        ),
        row(
            "coco: none of the images is there",
            coco::set,
            |root| {
                ["wide", "tall", "empty"].iter().for_each(|n| fs::remove_file(root.join(format!("{n}.png"))).unwrap())
            },
            &[],
            &["none of 3 images is there); is data.images the right folder"],
        ),
        row(
            "voc: an image in two sets",
            voc::set,
            voc::lists,
            &["data.sets={ train = \"train.txt\", val = \"twice.txt\" }"],
            &["twice.txt", "\"7\" is in another set"],
        ),
        row(
            "yolo: a mask of another size than its image",
            yolo::set,
            |root| GrayImage::from_pixel(20, 17, Luma([3])).save(root.join("masks/5.png")).unwrap(),
            &[],
            &["5.png", "17x20"],
        ),
        row(
            "masks: a value without a name",
            masks::set,
            |root| GrayImage::from_pixel(20, 16, Luma([2])).save(root.join("masks/5.png")).unwrap(),
            &[],
            &["5.png", "value 2", "no name"],
        ),
        row(
            "masks: another size than the image's",
            masks::set,
            |root| GrayImage::from_pixel(20, 17, Luma([0])).save(root.join("masks/5.png")).unwrap(),
            &[],
            &["5.png", "17x20"],
        ),
        row(
            "masks: colours, not numbers",
            masks::set,
            |root| RgbImage::new(20, 16).save(root.join("masks/5.png")).unwrap(),
            &[],
            &["5.png", "palette or grey"],
        ),
        row(
            "masks: names with a suffix",
            masks::set,
            masks::suffixed,
            &[],
            &["masks", "no mask for any image", "set data.mask_suffix = \"_L\""],
        ),
        row(
            "masks: an image in two lists",
            masks::set,
            masks::overlapping_lists,
            &["data.sets={ train = \"train.txt\", test = \"test.txt\" }"],
            &["0.png", "is in two splits"],
        ),
        row(
            "masks: a list of an image that is not there",
            masks::set,
            masks::lists_with_a_stranger,
            &["data.sets={ train = \"train.txt\" }"],
            &["train.txt, line 4", "\"33\"", "no image of this name"],
        ),
        row(
            "members: an image in two lists",
            yolo::set,
            |root| members::lists(root, ["", "images/3.png 4.png", "5 3"]),
            &["data.members={ val = \"val.txt\", test = \"test.txt\" }"],
            &["test.txt, line 2", "\"3\" is in the list of val too", "val.txt, line 1)"],
        ),
        row(
            "members: an image that is not there",
            table::set,
            |root| members::lists(root, ["", "", "2.png 0023.png"]),
            &["data.members={ test = \"test.txt\" }"],
            &["test.txt, line 2", "\"0023.png\"", "the nearest is \"23.png\"", "on_error"],
        ),
        row(
            "members: no image of a source that bears nothing",
            |root| format!("[data]\nsource = \"folder\"\nroot = {root:?}\nfolder = \".\"\nsize = [8, 8]\n"),
            |root| {
                red_and_blue(root, "train", 4);
                members::lists(root, ["", "", "train/red/00.png train/rde/01.JPG"]);
            },
            &["data.members={ test = \"test.txt\" }"],
            &["test.txt, line 2", "correct or remove it"],
        ),
        row(
            "members: an empty list",
            masks::set,
            |root| members::lists(root, ["#", "", ""]),
            &["data.members={ train = \"train.txt\" }"],
            &["train.txt", "names no image"],
        ),
        (
            "members: a group in two splits",
            Given::Data(Run(
                table::set,
                |root| members::lists(root, ["", "4.png 5.png 6.png", "7.png"]),
                &["data.members={ val = \"val.txt\", test = \"test.txt\" }"],
            )),
            "Invalid",
            &["6.png and ", "7.png are in lists of different splits and in one group, \"3\""],
        ),
        (
            "members: nothing left to learn from",
            Given::Data(Run(
                coco::set,
                |root| members::lists(root, ["", "", "wide tall empty"]),
                &["data.members={ test = \"test.txt\" }"],
            )),
            "Invalid",
            &["the data have for train", "data.members.train"],
        ),
        row(
            "yolo: more objects than can be learnt",
            yolo::set,
            |root| {
                let place = |i: u32, n: u32| 0.2 + 0.5 * f64::from(i) / f64::from(n);
                let line = |i: u32| format!("4 {} {} 0.1 0.1\n", place(i % 200, 200), place(i / 200, 100));
                fs::write(root.join("labels/5.txt"), (0..16_385).map(line).collect::<String>()).unwrap();
            },
            &[],
            &["5.png", "has 16385 objects", "16384"],
        ),
        row("yolo: a value of a mask without a name", yolo::set, yolo::unnamed_value, &[], &["5.png", "value 9"]),
    ]
}
