//! What is measured, and which epoch is stored: `eval` against what `predict` says, in the images' own pixels, and the best epoch against
//! the metric that is reported.

use limbeck::config::Config;
use limbeck::config::EvaluateOn;
use limbeck::experiment;
use limbeck::experiment::Summary;
use limbeck::gpu::Gpu;
use limbeck::metrics::{Confusion, Detection, DetectionTally, RegressionTally, Truth};
use limbeck::predict;
use limbeck::predict::Evaluation;
use limbeck::predict::Predictor;
use limbeck::predict::TaskOutput;
use limbeck::train::EpochRecord;
use limbeck::train::event;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::{TempDir, tempdir};

/// An image of the test: height and width, and its one object: left, top, width, height.
type Drawn = ([u32; 2], [u32; 4]);

/// Images of odd proportions, each a light rectangle on dark ground, wide ones and tall ones.
pub fn drawn(split: u32) -> Vec<Drawn> {
    let one = |i: u32| {
        let size = if i.is_multiple_of(2) { [21 + i, 75 - i] } else { [70 + i, 33 - i] };
        let (w, h) = (size[1] / 3 + i % 5, size[0] / 3 + (i + split) % 4);
        (size, [(3 * i + split) % (size[1] - w), (5 * i + 2 * split) % (size[0] - h), w, h])
    };
    (0..8).map(|i| one(i + split)).collect()
}

/// A folder of three splits in COCO's form. The last test image has no object.
pub fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    for (number, name) in ["train", "val", "test"].into_iter().enumerate() {
        let (mut images, mut annotations) = (String::new(), String::new());
        let all = drawn(number as u32);
        for (i, ([h, w], [x, y, bw, bh])) in all.iter().enumerate() {
            let empty = name == "test" && i + 1 == all.len();
            let inside = |px: u32, py: u32| !empty && (*x..x + bw).contains(&px) && (*y..y + bh).contains(&py);
            let file = format!("{name}{i}.png");
            let pixel = |px, py| image::Rgb(if inside(px, py) { [230, 220, 60] } else { [30, 40, 60] });
            image::RgbImage::from_fn(*w, *h, pixel).save(folder.path().join(&file)).unwrap();
            let comma = if i == 0 { "" } else { "," };
            write!(images, r#"{comma}{{"id": {i}, "file_name": "{file}", "width": {w}, "height": {h}}}"#).unwrap();
            if !empty {
                let (x1, y1, area) = (x + bw, y + bh, bw * bh);
                let polygon = format!("[[{x}, {y}, {x1}, {y}, {x1}, {y1}, {x}, {y1}]]");
                let comma = if annotations.is_empty() { "" } else { "," };
                write!(
                    annotations,
                    r#"{comma}{{"id": {i}, "image_id": {i}, "category_id": 1, "bbox": [{x}, {y}, {bw}, {bh}], "area": {area},
                        "iscrowd": 0, "segmentation": {polygon}}}"#
                )
                .unwrap();
            }
        }
        let categories = r#"[{"id": 1, "name": "bar"}]"#;
        let text = format!(r#"{{"images": [{images}], "categories": {categories}, "annotations": [{annotations}]}}"#);
        std::fs::write(folder.path().join(format!("{name}.json")), text).unwrap();
    }
    folder
}

/// The settings of a run on it.
pub fn settings(folder: &Path, tasks: &str) -> String {
    format!(
        "name = \"bars\"\nseeds = [0]\n[data]\nsource = \"coco\"\nroot = {folder:?}\nimages = \".\"\ntrain = \"train.json\"\n\
         val = \"val.json\"\ntest = \"test.json\"\nsize = [32, 32]\ntasks = {tasks}\n[augment]\nshift = 0\n\
         [train]\nepochs = 40\nbatch = 8\nlr = 0.02\n[teacher]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 8\n\
         [student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 8\ntrain = {{ epochs = 2 }}\n"
    )
}

fn run(folder: &Path, out: &str, tasks: &str, sets: &[&str]) -> (Summary, std::path::PathBuf) {
    let file = folder.join("bars.toml");
    std::fs::write(&file, settings(folder, tasks)).unwrap();
    let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
    let (config, out) = (Config::load(&file, &sets).unwrap(), folder.join(out));
    let gpu = Gpu::open().unwrap();
    let summary = experiment::run(&config, &out, &gpu, &AtomicBool::new(false), &mut |_| {}).unwrap();
    (summary, out)
}

/// The metrics of a task, by name.
fn value(evaluation: &Evaluation, task: &str, metric: &str) -> Option<f64> {
    let (_, result) = evaluation.tasks.iter().find(|(name, _)| name == task).unwrap();
    result.scores.get(metric).or_else(|| result.more.get(metric)).copied()
}

#[test]
fn what_is_measured_is_what_is_predicted_in_the_images_own_pixels() {
    let folder = folder();
    let (_, out) = run(folder.path(), "run", r#"["boxes", "mask", "count"]"#, &[]);
    let gpu = Gpu::open().unwrap();
    let mut found = false;
    for model in ["teacher/boxes", "teacher/mask", "teacher/count", "distilled"] {
        let measured = predict::evaluate(&out, model, "test", &gpu).unwrap().remove(0);
        assert_eq!((measured.evaluate_on, measured.images, measured.files.len()), (EvaluateOn::Image, 8, 8));
        let network = Predictor::of_run(&gpu, &out, model).unwrap();
        let (mut boxes, mut pixels, mut count) =
            (DetectionTally::new(1), Confusion::new(2), RegressionTally::default());
        for (i, (file, ([h, w], [x, y, bw, bh]))) in measured.files.iter().zip(drawn(2)).enumerate() {
            assert!(file.ends_with(format!("test{i}.png")), "{}", file.display());
            let empty = i == 7;
            let rect = limbeck::geometry::Rect::from_size(x as f32, y as f32, bw as f32, bh as f32);
            for answer in network.classify_file(&gpu, file).unwrap() {
                match answer.answer {
                    TaskOutput::Boxes { objects } => {
                        let truths = if empty { Vec::new() } else { vec![Truth::new(rect, 0)] };
                        let seen = objects.iter().map(|o| Detection { rect: o.rect, class: 0, score: o.score });
                        boxes.add(truths, seen.collect()).unwrap();
                    }
                    TaskOutput::Mask { size, classes, .. } => {
                        assert_eq!(size, [h as usize, w as usize]);
                        for (p, class) in classes.into_iter().enumerate() {
                            let (px, py) = ((p % size[1]) as u32, (p / size[1]) as u32);
                            let inside = !empty && (x..x + bw).contains(&px) && (y..y + bh).contains(&py);
                            pixels.add(class.into(), inside.into()).unwrap();
                        }
                    }
                    TaskOutput::Number { value } => {
                        // A count is none below 0, and is measured as it is told.
                        assert!(value >= 0.0, "{value}");
                        count.add(value.into(), f64::from(u8::from(!empty))).unwrap();
                    }
                    other => panic!("{other}"),
                }
            }
        }
        let has = |task: &str| measured.tasks.iter().any(|(name, _)| name == task);
        if has("boxes") {
            let coco = boxes.coco();
            let ours = [("ap", coco.ap), ("ap50", coco.ap50), ("ar100", coco.ar100), ("ap_small", coco.ap_small)];
            ours.into_iter()
                .for_each(|(name, ours)| assert_eq!(value(&measured, "boxes", name), ours, "{model} {name}"));
            found |= coco.ap50.is_some_and(|ap| ap > 0.2);
        }
        if has("mask") {
            assert_eq!(value(&measured, "mask", "miou"), pixels.mean_iou(), "{model}");
            assert_eq!(value(&measured, "mask", "pixel_accuracy"), Some(pixels.accuracy()), "{model}");
        }
        if has("count") {
            let (rmse, ours) = (value(&measured, "count", "rmse").unwrap(), count.metrics().rmse.unwrap());
            assert!((rmse - ours).abs() < 1e-5 * ours, "{model}: {rmse} {ours}");
        }
    }
    // It has learnt something, or the comparison would be one of nothing with nothing.
    assert!(found);
}

#[test]
fn the_canvas_is_measured_where_it_is_asked_for_and_said() {
    let folder = folder();
    let few = "train.epochs=12";
    let (own, image) = run(folder.path(), "image", r#"["mask"]"#, &[few]);
    let (other, canvas) = run(folder.path(), "canvas", r#"["mask"]"#, &[few, "data.evaluate_on=canvas"]);
    assert_eq!((own.evaluate_on, other.evaluate_on), (EvaluateOn::Image, EvaluateOn::Canvas));
    let gpu = Gpu::open().unwrap();
    let measured = |dir: &Path| predict::evaluate(dir, "teacher/mask.last", "test", &gpu).unwrap().remove(0);
    let (a, b) = (measured(&image), measured(&canvas));
    assert_eq!((a.evaluate_on, b.evaluate_on), (EvaluateOn::Image, EvaluateOn::Canvas));
    // The same network, seen in other pixels.
    let [a, b] = [a, b].map(|e| e.tasks[0].1.confusion.as_ref().unwrap().total());
    let pixels = |(size, _): &Drawn| u64::from(size[0] * size[1]);
    assert_eq!(a, drawn(2).iter().map(pixels).sum::<u64>());
    assert!(b < 8 * 32 * 32, "{b}");
    let text = limbeck::report::table::text(&other);
    assert!(text.contains("pixels of the canvas") && !limbeck::report::table::text(&own).contains("of the canvas"));
}

/// Of a run: the best epoch of each stage is the one of the best main metric, the lower loss telling equals apart.
fn best_is_best(out: &Path) {
    let records = event::read_records(&out.join("metrics.jsonl")).unwrap();
    let stages: std::collections::BTreeSet<&str> = records.iter().map(|r| r.stage.as_str()).collect();
    for stage in stages.into_iter().filter(|s| s.contains('/')) {
        let own: Vec<&EpochRecord> = records.iter().filter(|r| r.stage == stage).collect();
        let key = |r: &EpochRecord| {
            let (metric, value) = r.val.values().next().unwrap().main().unwrap();
            let sign = if metric.higher_is_better { 1.0 } else { -1.0 };
            (value.map(|v| sign * v), -r.val_loss.unwrap())
        };
        let best = own.iter().max_by(|a, b| key(a).partial_cmp(&key(b)).unwrap()).unwrap();
        assert_eq!(own.iter().rfind(|r| r.best).unwrap().epoch, best.epoch, "{stage}");
    }
}

/// Numbers that have nothing to do with the images, and numbers that are all the same: R² is negative or undefined, RMSE still tells
/// epochs apart.
#[test]
fn numbers_that_cannot_be_learnt_have_a_best_epoch() {
    for constant in [false, true] {
        let folder = tempdir().unwrap();
        let mut table = "image,size\n".to_string();
        for i in 0..30u32 {
            let pixel = |x, y| image::Luma([((x * 31 + y * 17 + i * 101) % 251) as u8]);
            image::GrayImage::from_fn(16, 16, pixel).save(folder.path().join(format!("{i}.png"))).unwrap();
            writeln!(table, "{i}.png,{}", if constant { 3 } else { i * 7919 % 13 }).unwrap();
        }
        std::fs::write(folder.path().join("table.csv"), table).unwrap();
        let text = format!(
            "name = \"numbers\"\nseeds = [0]\n[data]\nsource = \"csv\"\nroot = {:?}\nfile = \"table.csv\"\nimages = \".\"\n\
             image = \"image\"\nsize = [16, 16]\nchannels = 1\nval_fraction = 0.3\ntest_fraction = 0.3\n[data.columns]\nsize = \"number\"\n\
             [train]\nepochs = 5\nbatch = 6\n[teacher]\narch = \"resnet8\"\nwidth = 0.25\n[student]\narch = \"resnet8\"\nwidth = 0.25\n",
            folder.path()
        );
        let file = folder.path().join("numbers.toml");
        std::fs::write(&file, text).unwrap();
        let (config, out) = (Config::load(&file, &[]).unwrap(), folder.path().join("run"));
        let gpu = Gpu::open().unwrap();
        let summary = experiment::run(&config, &out, &gpu, &AtomicBool::new(false), &mut |_| {}).unwrap();
        best_is_best(&out);
        let scores = &summary.models["distilled"].metrics["size"];
        assert_eq!(scores.get("r2").is_none(), constant);
        assert!(scores.get("rmse").is_some());
        // Nothing is relative to an error where all labels are equal; what is undefined is `null` in the file.
        assert_eq!(summary.delta_m.is_none(), constant);
        assert_eq!(summary.to_json().unwrap().contains("\"r2\": null"), constant);
        if constant {
            let why = &summary.without_delta_m["distilled"];
            assert!(why.contains("all labels of the test split are equal"), "{why}");
        }
    }
}

/// Splits without an object have no AP: it is neither 0 nor best.
#[test]
fn average_precision_without_objects_is_undefined() {
    let folder = folder();
    let text = std::fs::read_to_string(folder.path().join("test.json")).unwrap();
    let (images, _) = text.split_once("\"annotations\"").unwrap();
    std::fs::write(folder.path().join("test.json"), format!("{images}\"annotations\": []}}")).unwrap();
    let text = std::fs::read_to_string(folder.path().join("val.json")).unwrap();
    let (images, _) = text.split_once("\"annotations\"").unwrap();
    std::fs::write(folder.path().join("val.json"), format!("{images}\"annotations\": []}}")).unwrap();
    let (summary, out) = run(folder.path(), "run", r#"["boxes"]"#, &["train.epochs=3"]);
    best_is_best(&out);
    for (stage, model) in &summary.models {
        assert_eq!(model.metrics["boxes"].get("ap"), None, "{stage}");
        assert_eq!(model.metrics["boxes"].main().unwrap().0.name, "ap");
    }
    assert_eq!(summary.delta_m, None);
    assert!(summary.without_delta_m["distilled"].contains("ap is undefined on the test split"), "{summary:?}");
    assert!(summary.to_json().unwrap().contains("\"ap\": null"));
    let table = limbeck::report::table::text(&summary);
    assert!(!table.contains("0.00") && table.contains("–"), "{table}");
}
