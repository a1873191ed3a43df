//! COCO's files, from annotations to a data set and through a run.

use limbeck::config::Config;
use limbeck::data::formats::coco::{self, OnError};
use limbeck::data::formats::find::ImageFinder;
use limbeck::data::formats::objects::{self, Masks, Options, TaskChoice};
use limbeck::data::{Dataset, IGNORED, Labels};
use limbeck::experiment;
use limbeck::geometry::Rect;
use limbeck::gpu::Gpu;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::tempdir;

/// Three images of different sizes: 8x16 with a square and a crowd, 16x8 with a box alone, 10x10 empty; grey but for the square.
fn images(root: &Path) {
    let png = |name: &str, [h, w]: [u32; 2]| {
        let pixel = |x, y| if (2..6).contains(&x) && (2..6).contains(&y) { [250, 10, 10] } else { [90; 3] };
        image::RgbImage::from_fn(w, h, |x, y| image::Rgb(pixel(x, y))).save(root.join(name)).unwrap();
    };
    png("wide.png", [8, 16]);
    png("tall.png", [16, 8]);
    png("empty.png", [10, 10]);
    std::fs::write(root.join("instances.json"), instances("")).unwrap();
}

pub fn instances(more: &str) -> String {
    // The crowd is the last column: 8 · 15 pixels outside, 8 inside.
    format!(
        r#"{{"images": [{{"id": 1, "file_name": "wide.png", "width": 16, "height": 8}},
                        {{"id": 2, "file_name": "tall.png", "width": 8, "height": 16}},
                        {{"id": 3, "file_name": "empty.png", "width": 10, "height": 10}}],
            "categories": [{{"id": 1, "name": "square"}}, {{"id": 2, "name": "column"}}],
            "annotations": [
              {{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 4, 4], "area": 16, "iscrowd": 0,
                "segmentation": [[2, 2, 6, 2, 6, 6, 2, 6]]}},
              {{"id": 2, "image_id": 1, "category_id": 2, "bbox": [15, 0, 1, 8], "area": 8, "iscrowd": 1,
                "segmentation": {{"size": [8, 16], "counts": [120, 8]}}}},
              {{"id": 3, "image_id": 2, "category_id": 1, "bbox": [2, 2, 4, 4]}}{more}]}}"#
    )
}

/// The images with others held out, and the settings of a run on them.
pub fn set(root: &Path) -> String {
    images(root);
    // What is held out are other files, of the same content.
    for name in ["wide", "tall", "empty"] {
        let file = |before: &str| root.join(format!("{before}{name}.png"));
        std::fs::copy(file(""), file("held-")).unwrap();
    }
    let held = instances("").replace("\"file_name\": \"", "\"file_name\": \"held-");
    std::fs::write(root.join("held.json"), held).unwrap();
    format!(
        "name = \"coco\"\nseeds = [0]\n[data]\nsource = \"coco\"\nroot = {:?}\nimages = \".\"\ntrain = \"instances.json\"\n\
         val = \"held.json\"\ntest = \"held.json\"\nsize = [16, 16]\n\
         [tasks]\nmask = {{ loss = \"focal\", gamma = 1.5, class_weights = \"balanced\" }}\n\
         [augment]\nshift = 1\nflip = true\n[train]\nepochs = 2\nbatch = 4\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n[student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n",
        root
    )
}

fn load(folder: &Path, on_error: OnError) -> limbeck::Result<Dataset> {
    let found = coco::read(&folder.join("instances.json"), &ImageFinder::new(folder), on_error)?;
    let all = || objects::of_instances(&found);
    let questions = TaskChoice::ALL.map(|(_, q)| q).to_vec();
    let (masks, depth, max_pixels) = (Masks::Drawn, None, 1 << 20);
    let options = Options { size: [16, 16], channels: 3, max_pixels, questions, masks, depth, on_error };
    let mut data = objects::load("test", &found.classes, [all(), all(), all()], &options)?;
    data.skipped.extend(found.skipped.iter().cloned());
    Ok(data)
}

#[test]
fn boxes_masks_and_pixels_lie_on_one_canvas() {
    let folder = tempdir().unwrap();
    images(folder.path());
    let data = load(folder.path(), OnError::Fail).unwrap();
    let [Labels::Boxes(boxes), Labels::Mask(mask), Labels::Number(count)] = data.train.labels.as_slice() else {
        panic!("{:?}", data.tasks)
    };
    assert_eq!(count, &[1.0, 1.0, 0.0]);
    assert_eq!(data.tasks[1].classes, ["background", "square", "column"]);
    // The wide image has four rows above and below it, the tall one four columns beside it.
    let [wide, tall, empty] = boxes.as_slice() else { panic!("{boxes:?}") };
    let rects = |objects: &Option<Vec<limbeck::data::Object>>| -> Vec<Rect> {
        objects.as_ref().unwrap().iter().map(|o| o.rect).collect()
    };
    assert_eq!(rects(wide), [Rect::from_size(2.0, 6.0, 4.0, 4.0), Rect::from_size(15.0, 4.0, 1.0, 8.0)]);
    assert_eq!(rects(tall), [Rect::from_size(6.0, 2.0, 4.0, 4.0)]);
    assert!(wide.as_ref().unwrap()[1].ignored && empty.as_ref().unwrap().is_empty());
    let at = |image: usize, x: usize, y: usize| mask[image * 256 + y * 16 + x];
    assert_eq!([at(0, 3, 7), at(0, 1, 7), at(0, 15, 5), at(0, 3, 2)], [1, 0, 2, IGNORED]);
    // Of the tall image's object only the box is known.
    assert_eq!([at(1, 7, 3), at(1, 5, 3), at(1, 2, 3)], [IGNORED, 0, IGNORED]);
    assert!((0..256).all(|p| at(2, p % 16, p / 16) == 0));
    // The pixels are where the boxes are; what is beside the image is grey.
    let pixel = |image: usize, x: usize, y: usize| &data.train.images.get(image)[(y * 16 + x) * 3..][..3];
    assert_eq!([pixel(0, 3, 7), pixel(0, 8, 7), pixel(0, 3, 1)], [&[250, 10, 10], &[90; 3], &[114; 3]]);
    assert_eq!(pixel(1, 7, 3), [250, 10, 10]);
}

#[test]
fn what_cannot_be_used_may_be_left_out_and_is_told() {
    let folder = tempdir().unwrap();
    images(folder.path());
    // Another image than was annotated, and one that is not there.
    let text = instances("").replace(r#""width": 10, "height": 10"#, r#""width": 20, "height": 10"#);
    std::fs::write(folder.path().join("instances.json"), text).unwrap();
    std::fs::remove_file(folder.path().join("tall.png")).unwrap();
    let data = load(folder.path(), OnError::Skip).unwrap();
    assert_eq!(data.train.len(), 1);
    let named = |part: &str| data.skipped.iter().any(|s| s.path.ends_with(part));
    assert!(named("tall.png") && named("empty.png"), "{:?}", data.skipped);
}

#[test]
fn a_run_learns_from_coco_files() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("coco.toml");
    std::fs::write(&file, set(folder.path())).unwrap();
    let config = Config::load(&file, &[]).unwrap();
    assert_eq!(Config::parse(&config.to_toml(), &file, &[]).unwrap(), config);
    let summary = experiment::run(
        &config,
        &folder.path().join("run"),
        &Gpu::open().unwrap(),
        &AtomicBool::new(false),
        &mut |_| {},
    )
    .unwrap();
    let tasks: Vec<&str> = summary.models["distilled"].metrics.keys().map(String::as_str).collect();
    assert_eq!(tasks, ["boxes", "count", "mask"]);
    // An image that no file knows, and one that has no file.
    std::fs::copy(folder.path().join("wide.png"), folder.path().join("more.png")).unwrap();
    std::fs::remove_file(folder.path().join("held-tall.png")).unwrap();
    let data = experiment::load_data(&config).unwrap();
    assert_eq!(data.splits().map(|(_, s)| s.len()), [3, 2, 2]);
    let told = |name: &str, part: &str| data.skipped.iter().any(|s| s.path.ends_with(name) && s.reason.contains(part));
    assert!(
        told("more.png", "not named by any annotation that was read") && told("held-tall.png", "no image of this name"),
        "{:?}",
        data.skipped
    );
    assert_eq!(data.skipped.len(), 3);
    // A limit is one of images that are there.
    std::fs::remove_file(folder.path().join("empty.png")).unwrap();
    let few = Config::load(&file, &["data.limit.train=2".into()]).unwrap();
    assert_eq!(experiment::load_data(&few).unwrap().train.len(), 2);
}

/// One file of instances is enough: what has no file of its own is cut from the training images.
#[test]
fn what_has_no_file_is_cut() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("coco.toml");
    let text = set(folder.path());
    let with = |keys: &str| {
        std::fs::write(&file, text.replace("val = \"held.json\"\ntest = \"held.json\"\n", keys)).unwrap();
        let config = Config::load(&file, &[]).unwrap();
        assert_eq!(Config::parse(&config.to_toml(), &file, &[]).unwrap(), config);
        experiment::load_data(&config).unwrap().splits().map(|(_, split)| split.len())
    };
    assert_eq!(with(""), [1, 1, 1]);
    assert_eq!(with("val_fraction = 0.3\ntest_fraction = 0.3\n"), [1, 1, 1]);
    assert_eq!(with("val = \"held.json\"\n"), [2, 3, 1]);
    assert_eq!(with("test = \"held.json\"\n"), [2, 1, 3]);
    // Fractions of what is not cut are not written back, so that such a run goes on as it began.
    assert_eq!(with("val = \"held.json\"\ntest = \"held.json\"\n"), [3, 3, 3]);
    assert!(!Config::load(&file, &[]).unwrap().to_toml().contains("fraction"));
}
