//! Images with objects, from COCO's files to a data set and through a run.

use limbeck::config::Config;
use limbeck::data::formats::coco::{self, OnError};
use limbeck::data::formats::objects::{self, Masks, Options, TaskChoice};
use limbeck::data::{Dataset, IGNORED, Labels};
use limbeck::experiment;
use limbeck::geometry::Rect;
use limbeck::gpu::Gpu;
use limbeck::predict;
use limbeck::predict::Predictor;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::{TempDir, tempdir};

/// Three images of different sizes: 8x16 with a square and a crowd, 16x8 with a box alone, 10x10 empty; grey but for the square.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let png = |name: &str, [h, w]: [u32; 2]| {
        let pixel = |x, y| if (2..6).contains(&x) && (2..6).contains(&y) { [250, 10, 10] } else { [90; 3] };
        image::RgbImage::from_fn(w, h, |x, y| image::Rgb(pixel(x, y))).save(folder.path().join(name)).unwrap();
    };
    png("wide.png", [8, 16]);
    png("tall.png", [16, 8]);
    png("empty.png", [10, 10]);
    std::fs::write(folder.path().join("instances.json"), instances("")).unwrap();
    folder
}

fn instances(more: &str) -> String {
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

fn load(folder: &Path, on_error: OnError) -> limbeck::Result<Dataset> {
    let found = coco::read(&folder.join("instances.json"), on_error)?;
    let all = || objects::of_instances(&found, folder);
    let questions = TaskChoice::ALL.map(|(_, q)| q).to_vec();
    let options = Options { size: [16, 16], channels: 3, questions, masks: Masks::Drawn, on_error };
    objects::load("test", &found.classes, [all(), all(), all()], &options)
}

#[test]
fn boxes_masks_and_pixels_lie_on_one_canvas() {
    let folder = folder();
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
fn what_cannot_be_used_is_told_or_left_out() {
    let folder = folder();
    let write = |text: &str| std::fs::write(folder.path().join("instances.json"), text).unwrap();
    write(&instances(r#", {"id": 4, "image_id": 3, "category_id": 2, "bbox": [1, 1, 0, 4]}"#));
    let error = load(folder.path(), OnError::Fail).unwrap_err().to_string();
    assert!(error.contains("instances.json") && error.contains("annotation 4") && error.contains("skip"), "{error}");
    // Another image than was annotated, and one that is not there.
    write(&instances("").replace(r#""width": 10, "height": 10"#, r#""width": 20, "height": 10"#));
    let error = load(folder.path(), OnError::Fail).unwrap_err().to_string();
    assert!(error.contains("empty.png") && error.contains("10x20"), "{error}");
    std::fs::remove_file(folder.path().join("tall.png")).unwrap();
    let data = load(folder.path(), OnError::Skip).unwrap();
    assert_eq!(data.train.len(), 1);
    let named = |part: &str| data.skipped.iter().any(|s| s.path.ends_with(part));
    assert!(named("tall.png") && named("empty.png"), "{:?}", data.skipped);
}

#[test]
fn a_run_learns_from_coco_files() {
    let folder = folder();
    // What is held out are other files, of the same content.
    for name in ["wide", "tall", "empty"] {
        let file = |before: &str| folder.path().join(format!("{before}{name}.png"));
        std::fs::copy(file(""), file("held-")).unwrap();
    }
    let held = instances("").replace("\"file_name\": \"", "\"file_name\": \"held-");
    std::fs::write(folder.path().join("held.json"), held).unwrap();
    let text = format!(
        "name = \"coco\"\nseeds = [0]\n[data]\nsource = \"coco\"\nroot = {:?}\nimages = \".\"\ntrain = \"instances.json\"\n\
         val = \"held.json\"\ntest = \"held.json\"\nsize = [16, 16]\n\
         [tasks]\nmask = {{ loss = \"focal\", gamma = 1.5, class_weights = \"balanced\" }}\n\
         [augment]\nshift = 1\nflip = true\n[train]\nepochs = 2\nbatch = 4\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n[student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n",
        folder.path()
    );
    let file = folder.path().join("coco.toml");
    std::fs::write(&file, &text).unwrap();
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
    let few = Config::load(&file, &["tasks.mask.class_weights=[1, 2]".into()]).unwrap();
    let error =
        experiment::run(&few, &folder.path().join("few"), &Gpu::open().unwrap(), &AtomicBool::new(false), &mut |_| {});
    let error = error.unwrap_err().to_string();
    assert!(error.contains("2 numbers for 3 names: background, square, column"), "{error}");
    let error =
        experiment::load_data(&Config::load(&file, &["data.train=held.json".into()]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("held-wide.png is a training image too"), "{error}");
    // An image that no file knows, and one that has no file.
    std::fs::copy(folder.path().join("wide.png"), folder.path().join("more.png")).unwrap();
    std::fs::remove_file(folder.path().join("held-tall.png")).unwrap();
    let data = experiment::load_data(&config).unwrap();
    assert_eq!(data.splits().map(|(_, s)| s.len()), [3, 2, 2]);
    let told = |name: &str, part: &str| data.skipped.iter().any(|s| s.path.ends_with(name) && s.reason.contains(part));
    assert!(
        told("more.png", "not named by any annotation that was read") && told("held-tall.png", "no such file"),
        "{:?}",
        data.skipped
    );
    assert_eq!(data.skipped.len(), 3);
    // A limit is one of images that are there.
    std::fs::remove_file(folder.path().join("empty.png")).unwrap();
    let few = Config::load(&file, &["data.limit.train=2".into()]).unwrap();
    assert_eq!(experiment::load_data(&few).unwrap().train.len(), 2);
    let error =
        experiment::load_data(&Config::load(&file, &["data.images=run".into()]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("none of 3 images is; is data.images the right folder"), "{error}");
    std::fs::write(&file, text.replace("train = \"instances.json\"", "train = \"instance.json\"")).unwrap();
    let error = Config::load(&file, &[]).unwrap_err().to_string();
    assert!(error.contains("data.train") && error.contains("did you mean `instances.json`"), "{error}");
}

#[test]
fn a_run_learns_from_voc_annotations() {
    let folder = tempdir().unwrap();
    for i in 0..12u32 {
        let (x, y) = (2 + i % 5, 3 + i % 4);
        let pixel = |px, py| if (x..x + 6).contains(&px) && (y..y + 6).contains(&py) { [250, 10, 10] } else { [90; 3] };
        let name = format!("{i}.png");
        image::RgbImage::from_fn(20, 16, |px, py| image::Rgb(pixel(px, py))).save(folder.path().join(&name)).unwrap();
        let text = format!(
            "<annotation><filename>{name}</filename><size><width>20</width><height>16</height></size><object><name>square</name>\
             <bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object></annotation>",
            x + 1,
            y + 1,
            x + 6,
            y + 6
        );
        std::fs::write(folder.path().join(format!("{i}.xml")), text).unwrap();
    }
    let text = format!(
        "name = \"voc\"\nseeds = [0]\n[data]\nsource = \"voc\"\nroot = {:?}\nimages = \".\"\nannotations = \".\"\n\
         size = [20, 20]\nval_fraction = 0.25\ntest_fraction = 0.25\n[train]\nepochs = 2\nbatch = 3\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n[student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n",
        folder.path()
    );
    let file = folder.path().join("voc.toml");
    std::fs::write(&file, &text).unwrap();
    let config = Config::load(&file, &[]).unwrap();
    assert_eq!(Config::parse(&config.to_toml(), &file, &[]).unwrap(), config);
    let out = folder.path().join("run");
    let summary = experiment::run(&config, &out, &Gpu::open().unwrap(), &AtomicBool::new(false), &mut |_| {}).unwrap();
    let tasks: Vec<&str> = summary.models["joint"].metrics.keys().map(String::as_str).collect();
    assert_eq!(tasks, ["boxes", "count"]);
    // In use the student sees an image as it did in training: whole, on grey.
    // For that the data need not be there any more.
    let gone = out.join("config.toml");
    let own = std::fs::read_to_string(&gone).unwrap();
    std::fs::write(&gone, own.replace(&format!("{:?}", folder.path()), "\"/nowhere\"")).unwrap();
    assert!(Config::load(&gone, &[]).unwrap_err().to_string().contains("/nowhere"));
    let student = Predictor::of_run(&Gpu::open().unwrap(), &out, "joint").unwrap();
    let pixels = student.read(&folder.path().join("0.png")).unwrap();
    assert!(student.card().letterbox && pixels[..2 * 20 * 3].iter().all(|v| *v == 114) && pixels[2 * 20 * 3] == 90);
    std::fs::write(&file, text.replace("test_fraction = 0.25", "test_fraction = 0.8")).unwrap();
    assert!(Config::load(&file, &[]).unwrap_err().to_string().contains("data.test_fraction"));
    // As lists say, where there are lists; the rest of the images is left out.
    let list = |name: &str, ids: std::ops::Range<u32>| {
        let lines: Vec<String> = ids.map(|i| format!("{i} 1\n")).collect();
        std::fs::write(folder.path().join(name), lines.concat()).unwrap();
    };
    [("train.txt", 0..8), ("val.txt", 8..10), ("twice.txt", 7..9)].into_iter().for_each(|(name, ids)| list(name, ids));
    let with = |sets: &str| -> limbeck::Result<[usize; 3]> {
        std::fs::write(&file, text.replace("[train]", &format!("sets = {{ {sets} }}\n[train]"))).unwrap();
        let config = Config::load(&file, &[])?;
        assert_eq!(Config::parse(&config.to_toml(), &file, &[])?, config);
        let data = experiment::load_data(&config)?;
        Ok([data.train.len(), data.val.len(), data.test.len()])
    };
    assert_eq!(with("train = \"train.txt\"").unwrap(), [4, 2, 2]);
    assert_eq!(with("train = \"train.txt\", val = \"val.txt\"").unwrap(), [6, 2, 2]);
    assert_eq!(with("train = \"train.txt\", test = \"val.txt\"").unwrap(), [6, 2, 2]);
    // Masks as in `SegmentationClass`: a palette's numbers, 255 on the seam around the object; not every image has one.
    std::fs::create_dir(folder.path().join("SegmentationClass")).unwrap();
    for i in 0..8u8 {
        let path = folder.path().join(format!("SegmentationClass/{i}.png"));
        let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 20, 16);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette((0..768).map(|v| (v % 251) as u8).collect::<Vec<u8>>());
        let value = |p: usize| [0, 0, 255, 1][p % 20 / 5];
        encoder.write_header().unwrap().write_image_data(&(0..320).map(value).collect::<Vec<u8>>()).unwrap();
    }
    let masks = "masks = { folder = \"SegmentationClass\", names = [\"background\", \"square\"] }\n[train]";
    std::fs::write(&file, text.replace("[train]", masks)).unwrap();
    let data = experiment::load_data(&Config::load(&file, &[]).unwrap()).unwrap();
    let names: Vec<&str> = data.tasks.iter().map(|t| t.name.as_str()).collect();
    assert_eq!((names, data.tasks[1].classes.len()), (vec!["boxes", "mask", "count"], 2));
    let known = data.splits().map(|(_, s)| s.labelled(&[1]).len());
    assert_eq!((known.iter().sum::<usize>(), data.skipped.len()), (8, 4), "{:?}", data.skipped);
    let Labels::Mask(mask) = &data.train.labels[1] else { panic!() };
    let first = data.train.labelled(&[1])[0] as usize;
    // Two rows of the canvas lie above the image.
    let at = |x: usize| mask[first * 400 + 5 * 20 + x];
    assert_eq!([at(0), at(9), at(12), at(17), mask[first * 400]], [0, 0, IGNORED, 1, IGNORED]);
    let error = with("train = \"train.txt\", val = \"twice.txt\"").unwrap_err().to_string();
    assert!(error.contains("twice.txt") && error.contains("\"7\" is in another set"), "{error}");
    assert!(with("val = \"val.txt\"").unwrap_err().to_string().contains("data.sets.train"));
}

#[test]
fn a_run_learns_from_yolo_labels_and_masks_beside_them() {
    let folder = tempdir().unwrap();
    ["images", "labels", "masks"].iter().for_each(|f| std::fs::create_dir(folder.path().join(f)).unwrap());
    for i in 0..12u32 {
        let (x, y) = (2 + i % 5, 3 + i % 4);
        let inside = move |px, py| (x..x + 6).contains(&px) && (y..y + 6).contains(&py);
        let pixel = |px, py| if inside(px, py) { [250, 10, 10] } else { [90; 3] };
        let path = |kind: &str, end: &str| folder.path().join(kind).join(format!("{i}.{end}"));
        image::RgbImage::from_fn(20, 16, |px, py| image::Rgb(pixel(px, py))).save(path("images", "png")).unwrap();
        // Value 7 is the square, 3 the ground, 0 nobody has labelled.
        let value = |px, py| if inside(px, py) { 7 } else { 3 * u8::from(px > 0) };
        image::GrayImage::from_fn(20, 16, |px, py| image::Luma([value(px, py)])).save(path("masks", "png")).unwrap();
        let [cx, cy] = [f64::from(x + 3) / 20.0, f64::from(y + 3) / 16.0];
        std::fs::write(path("labels", "txt"), format!("4 {cx} {cy} 0.3 0.375\n")).unwrap();
    }
    // Nobody has looked for objects in the last; of the first the classes of the pixels are not known.
    std::fs::remove_file(folder.path().join("labels/11.txt")).unwrap();
    std::fs::remove_file(folder.path().join("masks/0.png")).unwrap();
    std::fs::write(folder.path().join("names.yaml"), "names:\n  4: square\n").unwrap();
    std::fs::write(folder.path().join("masks.yaml"), "names: {0: none, 3: ground, 7: square}\n").unwrap();
    let text = format!(
        "name = \"yolo\"\nseeds = [0]\n[data]\nsource = \"yolo\"\nroot = {:?}\nimages = \"images\"\nlabels = \"labels\"\n\
         names = \"names.yaml\"\nsize = [20, 20]\nval_fraction = 0.25\ntest_fraction = 0.25\n\
         masks = {{ folder = \"masks\", names = \"masks.yaml\", ignored = [0] }}\n\
         [augment]\nflip = true\n[train]\nepochs = 2\nbatch = 3\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n[student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n",
        folder.path()
    );
    let file = folder.path().join("yolo.toml");
    std::fs::write(&file, &text).unwrap();
    let config = Config::load(&file, &[]).unwrap();
    assert_eq!(Config::parse(&config.to_toml(), &file, &[]).unwrap(), config);
    let data = experiment::load_data(&config).unwrap();
    assert_eq!(data.tasks[1].classes, ["ground", "square"]);
    assert_eq!(data.splits().iter().map(|(_, s)| s.len()).sum::<usize>(), 12);
    let unknown = |task: usize| {
        let all = data.splits().map(|(_, s)| s.len() - s.labelled(&[task]).len());
        all.iter().sum::<usize>()
    };
    assert_eq!((unknown(0), unknown(1), unknown(2), data.skipped.len()), (1, 1, 1, 2), "{:?}", data.skipped);
    let Labels::Mask(mask) = &data.train.labels[1] else { panic!() };
    assert!(mask.contains(&0) && mask.contains(&1) && mask.iter().all(|c| *c <= 1 || *c == IGNORED));
    let out = folder.path().join("run");
    let gpu = Gpu::open().unwrap();
    let summary = experiment::run(&config, &out, &gpu, &AtomicBool::new(false), &mut |_| {}).unwrap();
    let tasks: Vec<&str> = summary.models["distilled"].metrics.keys().map(String::as_str).collect();
    assert_eq!(tasks, ["boxes", "count", "mask"]);
    // Masks are those of the file's own pixels.
    let student = Predictor::of_run(&gpu, &out, "distilled").unwrap();
    let answers = student.classify_file(&gpu, &folder.path().join("images/3.png")).unwrap();
    let mask = answers.iter().find(|a| a.task == "mask").unwrap();
    assert!(matches!(&mask.answer, predict::TaskOutput::Mask { size: [16, 20], classes, .. } if classes.len() == 320));
    // A mask of another size, and a value without a name.
    let other = image::GrayImage::from_pixel(20, 17, image::Luma([3]));
    other.save(folder.path().join("masks/5.png")).unwrap();
    let error = experiment::load_data(&config).unwrap_err().to_string();
    assert!(error.contains("5.png") && error.contains("17x20"), "{error}");
    image::GrayImage::from_pixel(20, 16, image::Luma([9])).save(folder.path().join("masks/5.png")).unwrap();
    let error = experiment::load_data(&config).unwrap_err().to_string();
    assert!(error.contains("5.png") && error.contains("value 9"), "{error}");
    // Or all that is wrong is borne, and named; and a mask whose image is not there.
    std::fs::copy(folder.path().join("masks/3.png"), folder.path().join("masks/30.png")).unwrap();
    std::fs::write(folder.path().join("images/6.png"), b"no image").unwrap();
    let data = experiment::load_data(&Config::load(&file, &["data.on_error=skip".into()]).unwrap()).unwrap();
    let told = |name: &str, part: &str| data.skipped.iter().any(|s| s.path.ends_with(name) && s.reason.contains(part));
    assert!(told("5.png", "value 9") && told("30.png", "belongs to no image"), "{:?}", data.skipped);
    assert_eq!(data.splits().iter().map(|(_, s)| s.len()).sum::<usize>(), 10);
    // Of a limit, another takes the place of an image that cannot be read.
    for train in 3..=4 {
        let sets = ["data.on_error=skip".to_string(), format!("data.limit.train={train}")];
        assert_eq!(experiment::load_data(&Config::load(&file, &sets).unwrap()).unwrap().train.len(), train);
    }
    // Once each: beside these the image without boxes and the one without a mask.
    assert!(told("images/6.png", "neither a PNG nor") && data.skipped.len() == 5, "{:?}", data.skipped);
    let error = Config::load(&file, &["data.tasks=[\"boxes\"]".into()]).unwrap_err().to_string();
    assert!(error.contains("data.masks") && error.contains("no task uses masks"), "{error}");
    let error = Config::load(&file, &["data.masks.folder=mask".into()]).unwrap_err().to_string();
    assert!(error.contains("data.masks.folder") && error.contains("did you mean `masks`"), "{error}");
}

#[test]
fn a_run_learns_from_a_table() {
    let folder = tempdir().unwrap();
    let mut table = "image,kind,bright,size,owner\n".to_string();
    for i in 0..24u32 {
        let (red, side) = (i % 2 == 0, 4 + i % 5);
        let pixel = |x, y| if x < side && y < side { [if red { 250 } else { 10 }, 90, 10] } else { [60; 3] };
        let name = format!("{i}.png");
        image::RgbImage::from_fn(20, 16, |x, y| image::Rgb(pixel(x, y))).save(folder.path().join(&name)).unwrap();
        table += &format!("{name},{},{red},{side},{}\n", if red { "red" } else { "green" }, i / 2);
    }
    std::fs::write(folder.path().join("table.csv"), table).unwrap();
    let text = format!(
        "name = \"table\"\nseeds = [0]\n[data]\nsource = \"csv\"\nroot = {:?}\nfile = \"table.csv\"\nimages = \".\"\ngroup = \"owner\"\n\
         size = [16, 16]\nval_fraction = 0.25\ntest_fraction = 0.25\n\
         columns = {{ kind = \"class\", bright = \"attribute\", size = \"number\" }}\n\
         [tasks]\nattributes = {{ pos_weight = \"balanced\" }}\n[train]\nepochs = 2\nbatch = 4\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.25\n[student]\narch = \"resnet8\"\nwidth = 0.25\n",
        folder.path()
    );
    let file = folder.path().join("table.toml");
    std::fs::write(&file, &text).unwrap();
    let config = Config::load(&file, &[]).unwrap();
    assert_eq!(Config::parse(&config.to_toml(), &file, &[]).unwrap(), config);
    let out = folder.path().join("run");
    let summary = experiment::run(&config, &out, &Gpu::open().unwrap(), &AtomicBool::new(false), &mut |_| {}).unwrap();
    let tasks: Vec<&str> = summary.models["joint"].metrics.keys().map(String::as_str).collect();
    assert_eq!(tasks, ["attributes", "kind", "size"]);
    for (set, part) in [
        ("augment.flip=true", "mirroring may change the label of kind, attributes, size"),
        ("data.columns={}", "data.columns"),
        ("data.columns={ kind = \"classes\" }", "did you mean \"class\""),
        ("data.columns={ attributes = \"number\" }", "cannot be named"),
        ("data.file=tabel.csv", "did you mean `table.csv`"),
        ("data.labels=x", "has no meaning for source = \"csv\""),
    ] {
        let error = Config::load(&file, &[set.into()]).unwrap_err().to_string();
        assert!(error.contains(part), "{set}: {error}");
    }
}

/// labelme's files lie beside their images; polygons give masks.
#[test]
fn labelme_files_become_boxes_masks_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..12u32 {
        let (x, y) = (2 + i % 5, 3 + i % 4);
        image::RgbImage::new(20, 16).save(folder.path().join(format!("{i}.png"))).unwrap();
        let (x1, y1) = (x + 6, y + 6);
        let text = format!(
            r#"{{"shapes": [{{"label": "square", "shape_type": "polygon", "group_id": null,
                "points": [[{x}, {y}], [{x1}, {y}], [{x1}, {y1}], [{x}, {y1}]]}}],
                "imagePath": "{i}.png", "imageData": null, "imageHeight": 16, "imageWidth": 20}}"#
        );
        std::fs::write(folder.path().join(format!("{i}.json")), text).unwrap();
    }
    image::RgbImage::new(20, 16).save(folder.path().join("unseen.png")).unwrap();
    let text = format!(
        "[data]\nsource = \"labelme\"\nroot = {:?}\nannotations = \".\"\nsize = [20, 20]\n\
         val_fraction = 0.25\ntest_fraction = 0.25\ntasks = [\"boxes\", \"mask\", \"count\"]\n",
        folder.path()
    );
    let file = folder.path().join("labelme.toml");
    std::fs::write(&file, &text).unwrap();
    let config = Config::load(&file, &[]).unwrap();
    assert_eq!(Config::parse(&config.to_toml(), &file, &[]).unwrap(), config);
    let data = experiment::load_data(&config).unwrap();
    assert_eq!(data.splits().map(|(_, split)| split.len()), [6, 3, 3]);
    assert_eq!(data.tasks[1].classes, ["background", "square"]);
    let Labels::Mask(mask) = &data.train.labels[1] else { panic!() };
    assert!(mask[..400].iter().filter(|v| **v == 1).count() == 36, "a square of six pixels");
    assert!(data.skipped.len() == 1 && data.skipped[0].path.ends_with("unseen.png"), "{:?}", data.skipped);
    let error = Config::load(&file, &["data.annotations=run".into()]).unwrap_err().to_string();
    assert!(error.contains("data.annotations") && error.contains("there is no folder"), "{error}");
    let error = Config::load(&file, &["data.sets=x".into()]).unwrap_err().to_string();
    assert!(error.contains("has no meaning for source = \"labelme\"") && error.contains("\"voc\""), "{error}");
}
