//! Images and masks alone, in the layouts in which they are distributed.

use limbeck::config::Config;
use limbeck::data::{Dataset, IGNORED, Labels};
use limbeck::experiment::{self, Overview};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

use crate::as_found::{content, edit};

const FOLDERS: &str = "images = \"images\"\nmasks = \"masks\"\n";

/// Twelve images with a square each and their masks, the first column of pixels without a class, and the settings of a run on them.
pub fn set(root: &Path) -> String {
    ["images", "masks"].iter().for_each(|f| fs::create_dir(root.join(f)).unwrap());
    for i in 0..12u32 {
        let (x, y) = (2 + i % 5, 3 + i % 4);
        let inside = move |px, py| (x..x + 6).contains(&px) && (y..y + 6).contains(&py);
        let pixel = |px, py| if inside(px, py) { [250, 10, 10] } else { [90; 3] };
        let path = |kind: &str| root.join(kind).join(format!("{i}.png"));
        image::RgbImage::from_fn(20, 16, |px, py| image::Rgb(pixel(px, py))).save(path("images")).unwrap();
        let value = |px, py| if px == 0 { 255 } else { u8::from(inside(px, py)) };
        image::GrayImage::from_fn(20, 16, |px, py| image::Luma([value(px, py)])).save(path("masks")).unwrap();
    }
    fs::write(root.join("names.yaml"), "names: {0: ground, 255: square}\n").unwrap();
    format!(
        "[data]\nsource = \"masks\"\nroot = {root:?}\n{FOLDERS}names = [\"ground\", \"square\"]\nsize = [20, 20]\n\
         val_fraction = 0.25\ntest_fraction = 0.25\n[augment]\nflip = true\n"
    )
}

/// Of the images of [`set`]: the first eight, the next two, the last two.
fn split(i: u32) -> &'static str {
    match i {
        0..8 => "train",
        8..10 => "val",
        _ => "test",
    }
}

/// A list for each split, a line for each image.
fn lists(root: &Path, line: fn(u32) -> String) {
    for part in ["train", "val", "test"] {
        let lines: String = (0..12).filter(|i| split(*i) == part).map(|i| line(i) + "\n").collect();
        fs::write(root.join(format!("{part}.txt")), lines).unwrap();
    }
}

/// Lists by which an image is learnt and tested.
pub fn overlapping_lists(root: &Path) {
    lists(root, |i| if i == 10 { "0".into() } else { i.to_string() });
}

/// Lists that name an image that is not there.
pub fn lists_with_a_stranger(root: &Path) {
    lists(root, |i| if i == 3 { "33".into() } else { i.to_string() });
}

/// Masks of a suffix that nobody has told of.
pub fn suffixed(root: &Path) {
    (0..12).for_each(|i| {
        let of = |end: &str| root.join(format!("masks/{i}{end}.png"));
        fs::rename(of(""), of("_L")).unwrap();
    });
}

/// Images and masks in other places.
fn moved(root: &Path, image: fn(u32, &str) -> String, mask: fn(u32, &str) -> String) {
    for i in 0..12 {
        for (kind, to) in [("images", image(i, split(i))), ("masks", mask(i, split(i)))] {
            let (from, to) = (root.join(format!("{kind}/{i}.png")), root.join(to));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::rename(from, to).unwrap();
        }
    }
}

fn load(text: &str, root: &Path) -> limbeck::Result<Dataset> {
    let file = root.join("run.toml");
    fs::write(&file, text).unwrap();
    let config = Config::load(&file, &[])?;
    assert_eq!(Config::parse(&config.to_toml(), &file, &[])?, config);
    experiment::load_data(&config)
}

#[test]
fn images_and_masks_become_a_task() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    let text = set(root);
    let data = load(&text, root).unwrap();
    assert_eq!(data.splits().map(|(_, split)| split.len()), [6, 3, 3]);
    assert_eq!((data.tasks.len(), &data.tasks[0].classes), (1, &vec!["ground".to_string(), "square".into()]));
    assert!(data.skipped.is_empty(), "{:?}", data.skipped);
    let Labels::Mask(mask) = &data.train.labels[0] else { panic!() };
    // Two rows of the canvas lie above the image.
    assert_eq!((mask[0], mask[2 * 20], mask[2 * 20 + 1]), (IGNORED, IGNORED, 0));
    assert_eq!(mask[..400].iter().filter(|value| **value == 1).count(), 36, "a square of six pixels");
    // An image without a mask, a mask without an image, and an image that cannot be read.
    fs::rename(root.join("masks/3.png"), root.join("masks/30.png")).unwrap();
    fs::write(root.join("images/4.png"), b"no image").unwrap();
    let error = load(&text, root).unwrap_err().to_string();
    assert!(error.contains("4.png: neither a PNG nor a JPEG") && error.contains("on_error"), "{error}");
    let data = load(&text.replace("size =", "on_error = \"skip\"\nsize ="), root).unwrap();
    let told = |name: &str, part: &str| data.skipped.iter().any(|s| s.path.ends_with(name) && s.reason.contains(part));
    assert!(told("3.png", "has no mask") && told("30.png", "a mask that belongs to no image"), "{:?}", data.skipped);
    assert!(told("images/4.png", "neither a PNG") && data.skipped.len() == 3, "{:?}", data.skipped);
}

/// A mask of black and white has nothing of the second name in a list, which is told; a file of names can name 255.
#[test]
fn a_class_without_a_pixel_is_told_and_255_may_have_a_name() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    let text = set(root);
    for i in 0..12 {
        let path = root.join(format!("masks/{i}.png"));
        let mut mask = image::open(&path).unwrap().into_luma8();
        mask.pixels_mut().for_each(|pixel| pixel[0] = if pixel[0] == 1 { 255 } else { 0 });
        mask.save(path).unwrap();
    }
    let lines = |text: &str| {
        fs::write(root.join("run.toml"), text).unwrap();
        let config = Config::load(&root.join("run.toml"), &[]).unwrap();
        let data = experiment::load_data(&config).unwrap();
        let told = Overview::of(&data, &config.data.source).lines("skipped.txt").join(" ");
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let told = lines(&text);
    assert!(told.contains("square") && told.contains("none in train, val, test of"), "{told}");
    let told = lines(&text.replace("[\"ground\", \"square\"]", "\"names.yaml\""));
    assert!(told.contains("2 classes of") && !told.contains("none in"), "{told}");
    let numbered = text.replace("[\"ground\", \"square\"]", "{ 0 = \"ground\", 255 = \"square\" }");
    assert_eq!(
        content(&load(&numbered, root).unwrap()),
        content(&load(&text.replace("[\"ground\", \"square\"]", "\"names.yaml\""), root).unwrap())
    );
}

#[test]
fn one_data_set_in_every_layout() {
    type Row = (&'static str, fn(&Path), &'static str);
    let rows: [Row; 7] = [
        (
            "lists of names",
            |root| lists(root, |i| i.to_string()),
            "images = \"images\"\nmasks = \"masks\"\nsets = { train = \"train.txt\", val = \"val.txt\", test = \"test.txt\" }\n",
        ),
        (
            "lists of images and masks",
            |root| lists(root, |i| format!("/data/set/images/{i}.png /data/set/masks/{i}.png")),
            "images = \"images\"\nmasks = \"masks\"\nsets = { train = \"train.txt\", val = \"val.txt\", test = \"test.txt\" }\n",
        ),
        (
            "lists of images and masks below one folder",
            |root| lists(root, |i| format!("images/{i}.png\tmasks/{i}.png")),
            "images = \".\"\nmasks = \".\"\nsets = { train = \"train.txt\", val = \"val.txt\", test = \"test.txt\" }\n",
        ),
        (
            "folders of splits",
            |root| moved(root, |i, part| format!("images/{part}/{i}.png"), |i, part| format!("masks/{part}/{i}.png")),
            FOLDERS,
        ),
        (
            "folders of splits, masks together",
            |root| moved(root, |i, part| format!("images/{part}/{i}.png"), |i, _| format!("masks/{i}.png")),
            FOLDERS,
        ),
        (
            "a folder for each split and kind",
            |root| moved(root, |i, part| format!("{part}/{i}.png"), |i, part| format!("{part}annot/{i}.png")),
            "train = { images = \"train\", masks = \"trainannot\" }\nval = { images = \"val\", masks = \"valannot\" }\n\
             test = { images = \"test\", masks = \"testannot\" }\n",
        ),
        (
            "names that go on after what they share",
            |root| {
                moved(
                    root,
                    |i, part| format!("leftImg8bit/{part}/town/{i}_leftImg8bit.png"),
                    |i, part| format!("gtFine/{part}/town/{i}_gtFine_labelIds.png"),
                );
                // What is no mask of this suffix does not matter.
                fs::write(root.join("gtFine/train/town/0_gtFine_color.png"), b"of colours").unwrap();
            },
            "images = \"leftImg8bit\"\nmasks = \"gtFine\"\nimage_suffix = \"_leftImg8bit\"\nmask_suffix = \"_gtFine_labelIds\"\n",
        ),
    ];
    let mut first: Option<String> = None;
    for (name, lay_out, keys) in rows {
        let folder = tempdir().unwrap();
        let root = folder.path();
        let text = set(root).replace(FOLDERS, keys);
        lay_out(root);
        let data = load(&text, root).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(data.splits().map(|(_, split)| split.len()), [8, 2, 2], "{name}");
        assert!(data.skipped.is_empty(), "{name}: {:?}", data.skipped);
        let found = content(&data);
        assert!(*first.get_or_insert_with(|| found.clone()) == found, "{name}: other content");
    }
}

/// What nobody has split is cut; what stands beside splits is not guessed at.
#[test]
fn splits_that_are_missing_are_cut() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    let text = set(root);
    moved(root, |i, part| format!("images/{part}/{i}.png"), |i, part| format!("masks/{part}/{i}.png"));
    for kind in ["images", "masks"] {
        fs::remove_dir_all(root.join(kind).join("val")).unwrap();
    }
    let counts = |text: &str| load(text, root).map(|data| data.splits().map(|(_, split)| split.len()));
    assert_eq!(counts(&text).unwrap(), [6, 2, 2]);
    let own = "train = { images = \"images/train\", masks = \"masks/train\" }\n";
    assert_eq!(counts(&text.replace(FOLDERS, own)).unwrap(), [4, 2, 2]);
    fs::rename(root.join("masks/test"), root.join("masks/tests")).unwrap();
    let error = counts(&text).unwrap_err().to_string();
    assert!(error.contains("test: no such folder; expected the masks of"), "{error}");
    fs::copy(root.join("images/train/0.png"), root.join("images/more.png")).unwrap();
    let error = counts(&text).unwrap_err().to_string();
    assert!(error.contains("lies beside images") && error.contains("data.train"), "{error}");
    fs::remove_file(root.join("images/more.png")).unwrap();
    fs::remove_dir_all(root.join("images/train")).unwrap();
    let error = counts(&text).unwrap_err().to_string();
    assert!(error.contains("train: no such folder, but there are folders of other splits beside it"), "{error}");
    // An image named twice counts once.
    let other = tempdir().unwrap();
    let text = set(other.path()).replace("size =", "sets = { train = \"train.txt\" }\nsize =");
    lists(other.path(), |i| i.to_string());
    edit(&other.path().join("train.txt"), |list| list + "0\n");
    let data = load(&text, other.path()).unwrap();
    assert_eq!(data.splits().map(|(_, split)| split.len()), [4, 2, 2]);
    assert!(data.skipped.len() == 1 && data.skipped[0].place == "line 9", "{:?}", data.skipped);
}
