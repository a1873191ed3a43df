//! Data sets in the folders in which they are distributed.

use limbeck::config::Config;
use limbeck::data::Dataset;
use limbeck::experiment;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

use crate::as_found::{content, edit};
use crate::{coco, yolo};

/// Splits of their own, as the tools of YOLO lay them out: nothing is cut.
#[test]
fn a_data_set_that_is_split_stays_so() {
    let split = |root: &Path, place: fn(&str, &str) -> String| {
        for i in 0..12 {
            let part = match i {
                0..7 => "train",
                7..9 => "valid",
                _ => "test",
            };
            for (kind, end) in [("images", "png"), ("labels", "txt")] {
                let (from, to) =
                    (root.join(format!("{kind}/{i}.{end}")), root.join(place(kind, part)).join(format!("{i}.{end}")));
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                if from.exists() {
                    fs::rename(from, to).unwrap();
                }
            }
        }
    };
    // images/train and labels/train.
    let folder = tempdir().unwrap();
    let file = folder.path().join("run.toml");
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(&file, yolo::set(&data)).unwrap();
    split(&data, |kind, part| format!("{kind}/{part}"));
    let loaded = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        experiment::load_data(&Config::load(&file, &sets).unwrap())
    };
    let counts = |data: &Dataset| data.splits().map(|(_, split)| split.images.count);
    let found = loaded(&[]).unwrap();
    assert_eq!(counts(&found), [7, 2, 3]);

    // A YAML file alone, in ultralytics' form.
    edit(&file, |t| t.replace("images = \"images\"\nlabels = \"labels\"\n", ""));
    edit(&data.join("names.yaml"), |t| {
        format!("path: .\ntrain: images/train\nval: images/valid\ntest: images/test\n{t}")
    });
    let again = loaded(&[]).unwrap();
    assert_eq!(content(&again), content(&found));

    // One image in two splits.
    edit(&data.join("names.yaml"), |t| t.replace("images/test", "images/train"));
    let error = loaded(&[]).unwrap_err().to_string();
    assert!(error.contains("is in two splits; what is tested must not be learnt"), "{error}");

    // In Roboflow's form: train/images beside train/labels, and no test.
    let other = tempdir().unwrap();
    fs::write(&file, yolo::set(other.path())).unwrap();
    split(other.path(), |kind, part| format!("{part}/{kind}"));
    edit(&file, |t| t.replace("images = \"images\"\nlabels = \"labels\"\n", ""));
    edit(&other.path().join("names.yaml"), |t| format!("train: ../train/images\nval: ../valid/images\n{t}"));
    let cut = loaded(&[]).unwrap();
    assert_eq!((counts(&cut)[0] + counts(&cut)[2], counts(&cut)[1]), (7, 2));
}

/// COCO's and Roboflow's layout: the images of a split beside its annotations, under names that repeat.
#[test]
fn images_lie_beside_their_annotations() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("run.toml");
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(&file, coco::set(&data)).unwrap();
    let load = || experiment::load_data(&Config::load(&file, &[]).unwrap()).unwrap();
    let before = load();
    for (part, prefix, from) in
        [("train", "", "instances.json"), ("valid", "held-", "held.json"), ("test", "held-", "held.json")]
    {
        fs::create_dir(data.join(part)).unwrap();
        for name in ["wide.png", "tall.png", "empty.png"] {
            fs::copy(data.join(format!("{prefix}{name}")), data.join(part).join(name)).unwrap();
        }
        let text = fs::read_to_string(data.join(from)).unwrap().replace("held-", "");
        fs::write(data.join(part).join("_annotations.coco.json"), text).unwrap();
    }
    for name in ["wide.png", "tall.png", "empty.png"] {
        fs::remove_file(data.join(name)).unwrap();
        fs::remove_file(data.join(format!("held-{name}"))).unwrap();
    }
    edit(&file, |t| {
        t.replace("\"instances.json\"", "\"train/_annotations.coco.json\"")
            .replace("val = \"held.json\"", "val = \"valid/_annotations.coco.json\"")
            .replace("test = \"held.json\"", "test = \"test/_annotations.coco.json\"")
    });
    assert_eq!(content(&load()), content(&before));
}
