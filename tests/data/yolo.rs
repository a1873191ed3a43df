//! YOLO's labels, and masks beside them.

use limbeck::config::Config;
use limbeck::data::{IGNORED, Labels};
use limbeck::experiment;
use limbeck::gpu::Gpu;
use limbeck::predict;
use limbeck::predict::Predictor;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::tempdir;

/// Twelve images with a square each, labelled as a box and in a mask, and the settings of a run on them.
pub fn set(root: &Path) -> String {
    ["images", "labels", "masks"].iter().for_each(|f| std::fs::create_dir(root.join(f)).unwrap());
    for i in 0..12u32 {
        let (x, y) = (2 + i % 5, 3 + i % 4);
        let inside = move |px, py| (x..x + 6).contains(&px) && (y..y + 6).contains(&py);
        let pixel = |px, py| if inside(px, py) { [250, 10, 10] } else { [90; 3] };
        let path = |kind: &str, end: &str| root.join(kind).join(format!("{i}.{end}"));
        image::RgbImage::from_fn(20, 16, |px, py| image::Rgb(pixel(px, py))).save(path("images", "png")).unwrap();
        // Value 7 is the square, 3 the ground, 0 nobody has labelled.
        let value = |px, py| if inside(px, py) { 7 } else { 3 * u8::from(px > 0) };
        image::GrayImage::from_fn(20, 16, |px, py| image::Luma([value(px, py)])).save(path("masks", "png")).unwrap();
        let [cx, cy] = [f64::from(x + 3) / 20.0, f64::from(y + 3) / 16.0];
        std::fs::write(path("labels", "txt"), format!("4 {cx} {cy} 0.3 0.375\n")).unwrap();
    }
    // Nobody has looked for objects in the last; of the first the classes of the pixels are not known.
    std::fs::remove_file(root.join("labels/11.txt")).unwrap();
    std::fs::remove_file(root.join("masks/0.png")).unwrap();
    std::fs::write(root.join("names.yaml"), "names:\n  4: square\n").unwrap();
    std::fs::write(root.join("masks.yaml"), "names: {0: none, 3: ground, 7: square}\n").unwrap();
    format!(
        "name = \"yolo\"\nseeds = [0]\n[data]\nsource = \"yolo\"\nroot = {:?}\nimages = \"images\"\nlabels = \"labels\"\n\
         names = \"names.yaml\"\nsize = [20, 20]\nval_fraction = 0.25\ntest_fraction = 0.25\n\
         masks = {{ folder = \"masks\", names = \"masks.yaml\", ignored = [0] }}\n\
         [augment]\nflip = true\n[train]\nepochs = 2\nbatch = 3\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n[student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n",
        root
    )
}

/// Of the images of [`set`]: a mask with a value that `masks.yaml` does not name.
pub fn unnamed_value(root: &Path) {
    image::GrayImage::from_pixel(20, 16, image::Luma([9])).save(root.join("masks/5.png")).unwrap();
}

#[test]
fn a_run_learns_from_yolo_labels_and_masks_beside_them() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("yolo.toml");
    std::fs::write(&file, set(folder.path())).unwrap();
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
    unnamed_value(folder.path());
    // All that is wrong may be borne, and is named; so is a mask whose image is not there.
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
}
