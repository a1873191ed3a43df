//! `limbeck predict` over many images: where they come from, what is printed, and which files there are afterwards.

use crate::support::*;
use limbeck::config::Config;
use limbeck::data::formats::outline::ObjectMask;
use limbeck::data::formats::{depth_map, index_mask};
use limbeck::experiment::{self, StageKind};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::AtomicBool;
use tempfile::{TempDir, tempdir};

/// Height and width of the images, of none of which the network takes any.
const SIZES: [(&str, [u32; 2]); 3] = [("1.jpg", [30, 18]), ("a/0.png", [24, 40]), ("b/0.png", [10, 10])];

/// A run of one short stage in `run`, and a folder `in` of three images and a file that is none.
fn set() -> TempDir {
    let folder = tempdir().unwrap();
    let text = "name = \"scenes\"\nseeds = [1]\n\
        [data]\nsource = \"scenes\"\nsize = [20, 24]\nobjects = 2\ntasks = [\"boxes\", \"mask\", \"count\", \"depth\"]\n\
        samples = { train = 16, val = 8, test = 8 }\n\
        [train]\nepochs = 2\nbatch = 8\nlr = 0.05\nwarmup_epochs = 0\n\
        [teacher]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n[student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n";
    let config = Config::parse(text, Path::new("scenes.toml"), &[]).unwrap();
    let (out, stop) = (folder.path().join("run"), AtomicBool::new(false));
    experiment::run_only(&config, &out, &[StageKind::Joint], &gpu(), &stop, &mut |_| {}).unwrap();
    for (name, [h, w]) in SIZES {
        let path = folder.path().join("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::from_fn(w, h, |x, y| image::Rgb([(5 * x) as u8, (7 * y) as u8, 90])).save(path).unwrap();
    }
    fs::write(folder.path().join("in/broken.png"), b"no image").unwrap();
    folder
}

fn predict(folder: &TempDir, args: &[&str]) -> Output {
    let mut command = crate::program::limbeck();
    command.current_dir(folder.path()).args(["predict", "run", "--model", "joint"]).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `--json` prints of images that can all be read.
fn answers(folder: &TempDir, args: &[&str]) -> Vec<Value> {
    let output = predict(folder, &[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The numbers in an array.
fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

#[test]
fn many_images_are_answered_and_one_that_is_broken_is_told() {
    let folder = set();
    let output = predict(&folder, &["in", "--json", "--masks", "out", "--draw", "in/drawn"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("broken.png") && told.contains("1 of 4 could not be read"), "{told}");
    // An array with a line for each image, however many pixels it has.
    assert_eq!(text(&output.stdout).lines().count(), 5, "{}", text(&output.stdout));
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found.len(), 3);
    for ((answer, (image, size)), name) in found.iter().zip(SIZES).zip(["1", "a-0", "b-0"]) {
        let size = size.map(|side| side as usize);
        assert!(Path::new(answer["image"].as_str().unwrap()).ends_with(image), "{answer}");
        let tasks = &answer["tasks"];
        let path = |task: &str| folder.path().join(tasks[task]["file"].as_str().unwrap());
        assert!(path("mask").ends_with(format!("out/mask/{name}.png")), "{answer}");
        assert!(path("depth").ends_with(format!("out/depth/{name}.npy")), "{answer}");
        assert_eq!((numbers(&tasks["mask"]["size"]), numbers(&tasks["depth"]["size"])), (size.to_vec(), size.to_vec()));
        // They read as labels do.
        let (classes, own) = index_mask::read(&path("mask")).unwrap();
        assert_eq!(own, size);
        assert!(classes.iter().all(|class| usize::from(*class) < tasks["mask"]["names"].as_array().unwrap().len()));
        assert_eq!(depth_map::read(&path("depth"), None, size).unwrap().len(), size[0] * size[1]);
        assert!(tasks["count"]["value"].as_f64().unwrap() >= 0.0);
        assert!(image::open(folder.path().join(format!("in/drawn/{name}.png"))).unwrap().width() > size[1] as u32);
    }

    // What was drawn into a folder of images is none of them; the run lengths are those of the files.
    fs::remove_file(folder.path().join("in/broken.png")).unwrap();
    let again = answers(&folder, &["in", "--draw", "in/drawn"]);
    assert_eq!(again.len(), 3);
    for (answer, before) in again.iter().zip(&found) {
        let mask = &answer["tasks"]["mask"];
        let (classes, size) =
            index_mask::read(&folder.path().join(before["tasks"]["mask"]["file"].as_str().unwrap())).unwrap();
        let mut decoded = vec![u8::MAX; classes.len()];
        for run in mask["runs"].as_array().unwrap() {
            assert_eq!(numbers(&run["size"]), size);
            assert_eq!(run["label"], mask["names"][run["class"].as_u64().unwrap() as usize]);
            let outline = ObjectMask::runs(size, numbers(&run["counts"])).unwrap();
            outline.pixels(size, |y, x| decoded[y * size[1] + x] = run["class"].as_u64().unwrap() as u8);
        }
        assert_eq!(decoded, classes);
        let depth = &answer["tasks"]["depth"];
        assert!(depth["lowest"].as_f64().unwrap() <= depth["highest"].as_f64().unwrap());
        assert!(depth.get("file").is_none() && depth.get("values").is_none());
    }

    // Nothing is written over an image.
    let before = fs::read(folder.path().join("in/a/0.png")).unwrap();
    let output = predict(&folder, &["in/a/0.png", "--draw", "in/a"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("would be written over"), "{}", text(&output.stderr));
    assert_eq!(fs::read(folder.path().join("in/a/0.png")).unwrap(), before);
    // One picture of one image, under the name that is asked for.
    let output = predict(&folder, &["in/a/0.png", "--draw", "one.png"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("in/a/0.png: ") && folder.path().join("one.png").is_file());
    // A picture that cannot be written is told, and so is the answer.
    fs::create_dir(folder.path().join("blocked")).unwrap();
    fs::create_dir_all(folder.path().join("blocked/0.png/inner")).unwrap();
    let output = predict(&folder, &["in/a/0.png", "in/1.jpg", "--draw", "blocked"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("1 of 2 have files that could not be written"), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 2);
    assert!(folder.path().join("blocked/1.png").is_file());
}

#[test]
fn lists_patterns_and_what_is_told_of_objects() {
    let folder = set();
    fs::create_dir(folder.path().join("lists")).unwrap();
    fs::write(folder.path().join("lists/some.txt"), "# two\n../in/b/0.png\n\n../in/1.jpg\n").unwrap();
    let images = |args: &[&str]| -> Vec<String> {
        let all = answers(&folder, args);
        all.iter().map(|a| a["image"].as_str().unwrap().replace('\\', "/")).collect()
    };
    let listed = ["lists/../in/b/0.png", "lists/../in/1.jpg"];
    assert_eq!(images(&["@lists/some.txt"]), listed);
    assert_eq!(images(&["--list", "lists/some.txt"]), listed);
    assert_eq!(images(&["in/*/0.png", "in/1.jpg"]), ["in/a/0.png", "in/b/0.png", "in/1.jpg"]);

    let scores = |args: &[&str]| -> Vec<f64> {
        let all = answers(&folder, &[&["in/a", "in/b"][..], args].concat());
        let objects = |answer: &Value| answer["tasks"]["boxes"]["objects"].as_array().unwrap().clone();
        all.iter().flat_map(objects).map(|object| object["score"].as_f64().unwrap()).collect()
    };
    let plain = scores(&[]);
    assert!(plain.iter().all(|score| *score >= 0.05));
    assert_eq!(scores(&["--threshold", "0.05", "--nms", "0.6"]), plain);
    assert_eq!(scores(&["--threshold", "1"]), [0.0; 0]);
    let all = scores(&["--threshold", "0", "--nms", "1"]);
    assert!(all.len() >= plain.len() && all.len() > scores(&["--threshold", "0", "--nms", "0"]).len(), "{}", all.len());
}
