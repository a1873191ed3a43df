//! `limbeck eval --save`: what it writes is what is measured, and is a list of members again.

use crate::evaluation::{drawn, folder, settings};
use crate::support::*;
use limbeck::config::Config;
use limbeck::data::{Dataset, Split};
use limbeck::experiment::{self, StageKind};
use limbeck::geometry::Rect;
use limbeck::metrics::{Detection, DetectionTally, Truth};
use limbeck::predict::{self, AnsweredImage, Predictor, TaskLabel, TaskOutput};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;
use tempfile::{TempDir, tempdir};

/// A folder of images with a teacher of boxes in `run`.
fn taught(sets: &[&str]) -> (TempDir, Config) {
    let folder = folder();
    let file = folder.path().join("bars.toml");
    fs::write(&file, settings(folder.path(), r#"["boxes"]"#)).unwrap();
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    let config = Config::load(&file, &sets).unwrap();
    let (out, stop) = (folder.path().join("run"), AtomicBool::new(false));
    experiment::run_only(&config, &out, &[StageKind::Teachers], &gpu(), &stop, &mut |_| {}).unwrap();
    (folder, config)
}

fn eval(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limbeck"));
    command.current_dir(folder).args(["eval", "run", "--model", "teacher/boxes"]).args(args).output().unwrap()
}

/// What `--json` prints.
fn measured(folder: &Path, args: &[&str]) -> Value {
    let output = eval(folder, &[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn read(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn names(split: &Split) -> Vec<&Path> {
    (0..split.len()).map(|i| split.file(i).unwrap()).collect()
}

/// Average precision of the results in a file, by the truth in the other.
fn average_precision(results: &Value, truth: &Value) -> Option<f64> {
    let rect = |bbox: &Value| {
        let [x, y, w, h] = [0, 1, 2, 3].map(|i| bbox[i].as_f64().unwrap());
        Rect { x0: x as f32, y0: y as f32, x1: (x + w) as f32, y1: (y + h) as f32 }
    };
    let of = |all: &Value, image: &Value| -> Vec<Value> {
        all.as_array().unwrap().iter().filter(|one| one["image_id"] == image["id"]).cloned().collect()
    };
    let class = |one: &Value| one["category_id"].as_u64().unwrap() as usize - 1;
    let mut tally = DetectionTally::new(truth["categories"].as_array().unwrap().len());
    for image in truth["images"].as_array().unwrap() {
        let object = |one: &Value| Truth {
            area: one["area"].as_f64().unwrap(),
            ignored: one["iscrowd"] == 1,
            ..Truth::new(rect(&one["bbox"]), class(one))
        };
        let found = |one: &Value| Detection {
            rect: rect(&one["bbox"]),
            class: class(one),
            score: one["score"].as_f64().unwrap() as f32,
        };
        let objects = of(&truth["annotations"], image).iter().map(object).collect();
        tally.add(objects, of(results, image).iter().map(found).collect()).unwrap();
    }
    tally.coco().ap
}

#[test]
fn boxes_for_pycocotools_have_the_precision_that_is_told() {
    let (folder, _) = taught(&[]);
    let told = measured(folder.path(), &["--save", "out/a.coco.json"]);
    let [results, truth] = ["a.coco.json", "a.coco.gt.json"].map(|name| read(folder.path().join("out").join(name)));
    let ap = told[0]["tasks"]["boxes"]["ap"].as_f64().unwrap();
    assert!(ap > 0.05, "{ap}: it has learnt something, or nothing is compared");
    assert_eq!(average_precision(&results, &truth), Some(ap));
    // The truth is that of the images' own pixels, by the names that the data's own file has.
    let images = truth["images"].as_array().unwrap();
    for (i, (image, ([h, w], bbox))) in images.iter().zip(drawn(2)).enumerate() {
        assert_eq!(image, &json!({"id": i + 1, "file_name": format!("test{i}.png"), "width": w, "height": h}));
        let own = truth["annotations"].as_array().unwrap().iter().find(|one| one["image_id"] == i + 1);
        assert_eq!(own.map(|one| one["bbox"].clone()), (i < 7).then(|| json!(bbox.map(f64::from))));
    }
    assert_eq!((images.len(), fs::read_dir(folder.path().join("out")).unwrap().count()), (8, 2));
}

#[test]
fn what_is_written_of_each_split_is_a_list_of_members_again() {
    let (folder, config) = taught(&["train.epochs=2", "data.limit={ train = 6, val = 5, test = 4 }"]);
    let before = experiment::load_data(&config).unwrap();
    for (form, ending) in [("table", "csv"), ("everything", "json"), ("truth", "coco.gt.json")] {
        for split in ["train", "val", "test"] {
            let saved = format!("lists/{split}.{}", ending.replace(".gt", ""));
            let told = measured(folder.path(), &["--split", split, "--save", &saved]);
            assert_eq!(told[0]["split"], split);
        }
        let lists = ["train", "val", "test"].map(|split| format!("{split} = \"lists/{split}.{ending}\""));
        let sets = [format!("data.members={{ {} }}", lists.join(", "))];
        let again = Config::load(&folder.path().join("bars.toml"), &sets).unwrap();
        let data: Dataset = experiment::load_data(&again).unwrap();
        for ((name, own), (_, other)) in before.splits().iter().zip(data.splits()) {
            // What limits drew comes in the order of the data.
            let (mut own, other) = (names(own), names(other));
            own.sort();
            assert_eq!(own, other, "{form}, {name}");
        }
        let left = data.skipped.iter().filter(|one| one.reason == "not named by the lists of data.members").count();
        assert_eq!(left, 24 - 6 - 5 - 4, "{form}");
    }
    // Nothing is written over a file of the data.
    let annotations = fs::read(folder.path().join("train.json")).unwrap();
    let refused = eval(folder.path(), &["--save", "train.json"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && error.contains("train.json is a file that the run reads"), "{error}");
    assert_eq!(fs::read(folder.path().join("train.json")).unwrap(), annotations);
    // The rows of one split are no list of another.
    let config = folder.path().join("run/config.toml");
    let text = fs::read_to_string(&config).unwrap() + "\n[data.members]\ntest = \"lists/val.csv\"\n";
    fs::write(&config, text).unwrap();
    let refused = eval(folder.path(), &[]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("no image whose split is \"test\""), "{error}");
}

#[test]
fn each_image_is_told_with_labels_and_answers() {
    let (folder, _) = taught(&["train.epochs=12"]);
    let (gpu, out) = (gpu(), folder.path().join("run"));
    let network = Predictor::of_run(&gpu, &out, "teacher/boxes").unwrap();
    let (mut number, mut found) = (0, 0);
    let mut each = |image: &AnsweredImage| {
        assert_eq!((image.number, image.path.clone()), (number, Some(format!("test{number}.png"))));
        let (size, [x, y, w, h]) = drawn(2)[number];
        assert_eq!(image.size, size.map(|side| side as usize));
        let Some(TaskLabel::Boxes(truth)) = &image.tasks[0].label else { panic!("{image:?}") };
        let rect = Rect::from_size(x as f32, y as f32, w as f32, h as f32);
        assert_eq!(truth.iter().map(|one| one.rect).collect::<Vec<_>>(), if number == 7 { vec![] } else { vec![rect] });
        // What is told of it alone.
        let alone = network.classify_file(&gpu, &folder.path().join(format!("test{number}.png")))?.remove(0).answer;
        let (TaskOutput::Boxes { objects }, TaskOutput::Boxes { objects: own }) = (&alone, &image.tasks[0].answer)
        else {
            panic!()
        };
        // A batch is added up in another order than an image.
        let near = |a: f32, b: f32| (a - b).abs() < 1e-3;
        assert_eq!(own.len(), objects.len());
        for (a, b) in own.iter().zip(objects) {
            let sides =
                [(a.rect.x0, b.rect.x0), (a.rect.y0, b.rect.y0), (a.rect.x1, b.rect.x1), (a.rect.y1, b.rect.y1)];
            assert!(near(a.score, b.score) && sides.into_iter().all(|(a, b)| near(a, b)), "{a:?} {b:?}");
        }
        (number, found) = (number + 1, found + objects.len());
        Ok(())
    };
    predict::evaluate_images(&out, "teacher/boxes", "test", Some(0), &gpu, Some(&mut each)).unwrap();
    assert!(number == 8 && found > 0, "{number} images, {found} objects");
    // What goes wrong there ends it.
    let mut fail = |_: &AnsweredImage| Err(limbeck::Error::Invalid("the disk is full".into()));
    let told = predict::evaluate_images(&out, "teacher/boxes", "test", None, &gpu, Some(&mut fail)).unwrap_err();
    assert_eq!(told.to_string(), "the disk is full");
}

#[test]
fn wrong_files_and_seeds_are_told_before_anything_is_measured() {
    let folder = tempdir().unwrap();
    for seed in [0, 4] {
        fs::create_dir_all(folder.path().join(format!("run/seed-{seed}"))).unwrap();
    }
    for (args, words) in [
        (&["--save", "a.txt"][..], "ends in .csv (a row for each image), .json (everything) or .coco.json"),
        (&["--save", "a.coco.json"], "the seeds 0, 4; choose one with --seed"),
    ] {
        let output = eval(folder.path(), args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains(words), "{told}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
