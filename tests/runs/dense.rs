//! Runs with tasks that are asked of every pixel, and with every kind of task on one trunk.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::support::some_until;
use limbeck::checkpoint;
use limbeck::config::Config;
use limbeck::experiment;
use limbeck::experiment::{StageKind, Summary};
use limbeck::gpu::{Gpu, Options};
use limbeck::predict;
use limbeck::predict::Predictor;
use limbeck::predict::TaskOutput;
use limbeck::train;
use tempfile::tempdir;

fn gpu() -> Gpu {
    Gpu::new(Options { poison: true, ..Options::from_env() }).unwrap()
}

fn scenes(tasks: &str, more: &str) -> Config {
    let text = format!(
        "name = \"scenes\"\nseeds = [1]\n\
         [data]\nsource = \"scenes\"\nsize = [20, 24]\nobjects = 2\ntasks = {tasks}\n\
         samples = {{ train = 32, val = 8, test = 8 }}\n\
         [augment]\nshift = 2\nflip = true\n\
         [train]\nepochs = 2\nbatch = 8\nlr = 0.05\nwarmup_epochs = 0\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.5\ndecoder = 8\n\
         [student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n{more}"
    );
    Config::parse(&text, Path::new("scenes.toml"), &[]).unwrap()
}

fn run(config: &Config, out: &Path) -> Summary {
    experiment::run(config, out, &gpu(), &AtomicBool::new(false), &mut |_| {}).unwrap()
}

#[test]
fn masks_and_boxes_are_learnt_from_images_that_are_cut_turned_and_put_together() {
    let folder = tempdir().unwrap();
    let mut config = scenes("[\"mask\", \"boxes\"]", "");
    config.augment.crop = Some([0.5, 1.0]);
    config.augment.scale = Some([0.8, 1.25]);
    (config.augment.rotate, config.augment.mosaic) = (10.0, 0.5);
    config.joint.train.epochs = 12;
    let out = folder.path().join("run");
    let summary = run(&config, &out);
    assert!(summary.models.contains_key("distilled"));
    let journal = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let losses: Vec<f64> = journal
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["stage"] == "joint")
        .filter_map(|line| line["train_loss"].as_f64())
        .collect();
    assert_eq!(losses.len(), 12);
    assert!(losses[11] < 0.8 * losses[0], "{losses:?}");
    // The resolved file says how images vary, and reads back equal.
    assert_eq!(Config::load(&out.join("config.toml"), &[]).unwrap(), config);
}

const ALL: &str = "[\"class\", \"colours\", \"mask\", \"count\", \"depth\", \"boxes\"]";

#[test]
fn every_kind_of_task_is_taught_by_its_own_teacher() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let config = scenes(ALL, "[tasks]\ncolours = 0.5\ncount = { weight = 2, loss = \"huber\", delta = 0.5 }\n");
    let summary = run(&config, &out);
    let names =
        |task: &str| -> Vec<&str> { summary.models["distilled"].metrics[task].iter().map(|(m, _)| m.name).collect() };
    assert_eq!(names("class"), ["accuracy", "f1", "precision", "recall", "ece"]);
    assert_eq!(names("colours"), ["map", "f1", "micro_f1", "accuracy"]);
    assert_eq!(names("mask"), ["miou", "pixel_accuracy"]);
    assert_eq!(names("count"), ["rmse", "mae", "r2"]);
    assert_eq!(names("depth"), ["rmse", "mae", "r2"]);
    assert_eq!(names("boxes"), ["ap", "ap50", "ap75", "ar100"]);
    assert_eq!(summary.models.len(), 14);
    // A journal line for each term of the distilled student.
    let records = train::event::read_records(&out.join("metrics.jsonl")).unwrap();
    let distilled = records.iter().find(|r| r.stage == "distilled").unwrap();
    let terms: Vec<&str> = distilled.losses.keys().map(String::as_str).collect();
    assert_eq!(
        terms,
        [
            "boxes/centre",
            "boxes/focal",
            "boxes/giou",
            "boxes/kd",
            "class/ce",
            "class/kd",
            "colours/bce",
            "colours/kd",
            "count/huber",
            "count/kd",
            "depth/kd",
            "depth/l2",
            "mask/ce",
            "mask/kd"
        ]
    );
    // What was stored gives the same metrics, and answers.
    let gpu = gpu();
    let again = predict::evaluate(&out, "distilled", "test", &gpu).unwrap().remove(0);
    for (task, result) in &again.tasks {
        for (metric, value) in result.scores.iter() {
            let told = summary.models["distilled"].metrics[task].get(metric.name).map(|told| told.mean);
            let same = told.zip(value).is_some_and(|(told, value)| (told - value).abs() < 1e-9);
            assert!(same || told.is_none() && value.is_none(), "{task} {}", metric.name);
        }
    }
    let student = Predictor::of_run(&gpu, &out, "distilled").unwrap();
    let answers = student.classify(&gpu, &vec![90; 20 * 24 * 3]).unwrap();
    assert_eq!(answers.len(), 6);
    for answer in answers {
        match (answer.task.as_str(), answer.answer) {
            ("class", TaskOutput::Class { probabilities, .. }) => {
                assert!((probabilities.iter().map(|(_, p)| p).sum::<f32>() - 1.0).abs() < 1e-5);
            }
            ("colours", TaskOutput::Attributes { attributes }) => assert_eq!(attributes[0].0, "red"),
            // Counts lie between one and two, and so does what has been learnt of them, roughly.
            ("count", TaskOutput::Number { value }) => assert!((-2.0..6.0).contains(&value), "{value}"),
            ("mask", TaskOutput::Mask { size, names, classes }) => {
                assert_eq!((size, names.len(), classes.len()), ([20, 24], 5, 480));
                assert!(classes.iter().all(|c| *c < 5));
            }
            ("depth", TaskOutput::Depth { values, .. }) => assert_eq!(values.len(), 480),
            ("boxes", TaskOutput::Boxes { objects }) => assert!(objects.windows(2).all(|o| o[0].score >= o[1].score)),
            (task, answer) => panic!("{task}: {answer:?}"),
        }
    }
}

/// The same bits again, whether the run is interrupted or not; balanced at the trunk's output, with maps among it.
#[test]
fn balanced_over_pixels_and_images_it_resumes_to_the_same_bits() {
    let folder = tempdir().unwrap();
    let config = scenes("[\"boxes\", \"mask\"]", "[balance]\nmethod = \"cagrad\"\nover = \"terms\"\n");
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    run(&config, &whole);
    let mut stops = 0;
    loop {
        let stop = AtomicBool::new(false);
        let mut steps = 0;
        let mut count = |event: train::Event| {
            if let train::Event::Epoch(_) = event {
                steps += 1;
                stop.store(steps == 1, std::sync::atomic::Ordering::Relaxed);
            }
        };
        match experiment::run(&config, &parts, &gpu(), &stop, &mut count) {
            Ok(_) => break,
            Err(limbeck::Error::Interrupted { .. }) => stops += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(stops < 100);
    }
    assert!(stops > 3, "{stops}");
    for model in ["joint", "distilled", "single-mask", "teacher-boxes"] {
        let file = |dir: &Path| std::fs::read(dir.join("seed-1").join(format!("{model}.last.safetensors"))).unwrap();
        assert!(file(&whole) == file(&parts), "{model}");
    }
}

/// The student's maps are then finer than the teacher's: pixels are answered in the image's size, features meet at the coarser one's.
#[test]
fn a_dilated_student_learns_from_a_plain_teacher() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let more = "dilate = 1\n[distill]\nmethods = [\"kd\", \"fitnet\"]\n[distill.kd]\ntasks = [\"mask\"]\n\
                [distill.fitnet]\nweight = 1\n";
    run(&scenes("[\"mask\", \"boxes\"]", more), &out);
    let (network, card) = checkpoint::load(&gpu(), &out.join("seed-1/distilled.last.safetensors")).unwrap();
    assert_eq!((card.dilate, network.spec().trunk.strides()), (1, vec![1, 2, 2]));
    let (_, teacher) = checkpoint::load(&gpu(), &out.join("seed-1/teacher-mask.safetensors")).unwrap();
    assert_eq!(teacher.dilate, 0);
    let found = predict::evaluate(&out, "distilled.last", "test", &gpu()).unwrap().remove(0);
    assert!(
        found.tasks.iter().all(|(_, task)| task.scores.iter().all(|(_, value)| value.is_none_or(|v| v.is_finite())))
    );
}

/// Teachers' answers about every pixel, from the cache, teach what the teachers themselves would.
#[test]
fn cached_answers_about_pixels_are_the_teachers_own() {
    let folder = tempdir().unwrap();
    let tasks = "[\"mask\", \"count\"]";
    let file = |more: &str, name: &str| {
        let out = folder.path().join(name);
        run(&scenes(tasks, more), &out);
        std::fs::read(out.join("seed-1").join("distilled.last.safetensors")).unwrap()
    };
    let live = file("", "live");
    assert!(file("[cache]\nstorage = \"f32\"\n", "cached") == live);
}

/// By Dice alone, and by the sum, whose parts are terms of their own.
#[test]
fn masks_are_learnt_by_their_overlap() {
    for (loss, terms) in [("dice", vec!["mask/dice"]), ("cross_entropy+dice", vec!["mask/ce", "mask/dice"])] {
        let folder = tempdir().unwrap();
        let out = folder.path().join("run");
        let text = format!(
            "name = \"overlap\"\nseeds = [0]\n\
            [data]\nsource = \"scenes\"\nsize = [24, 24]\nobjects = 2\ntasks = [\"mask\"]\n\
            samples = {{ train = 8, val = 8, test = 8 }}\n\
            [tasks]\nmask = {{ loss = \"{loss}\", class_weights = [0.5, 1, 1, 1, 1] }}\n\
            [augment]\nshift = 0\n\
            [train]\nepochs = 120\nbatch = 8\noptimizer = \"adam\"\nlr = 0.01\nweight_decay = 0\n\
            [teacher]\narch = \"resnet8\"\nwidth = 0.5\ndecoder = 16\ntrain = {{ epochs = 1 }}\n\
            [student]\narch = \"resnet8\"\nwidth = 0.5\ndecoder = 16\n[distill.train]\nepochs = 1\n"
        );
        let config = Config::parse(&text, Path::new("overlap.toml"), &[]).unwrap();
        some_until(&config, &out, &gpu(), &[StageKind::Single], |_| false).unwrap();
        let records = train::event::read_records(&out.join("metrics.jsonl")).unwrap();
        let single: Vec<_> = records.iter().filter(|r| r.stage == "single/mask").collect();
        assert_eq!(single[0].losses.keys().map(String::as_str).collect::<Vec<_>>(), terms, "{loss}");
        let dice = |r: &train::event::EpochRecord| r.losses["mask/dice"];
        let (first, last) = (dice(single[0]), dice(single[single.len() - 1]));
        assert!((0.0..=1.0).contains(&first) && last < 0.4 * first, "{loss}: {first} to {last}");
        let found = predict::evaluate(&out, "single/mask.last", "train", &gpu()).unwrap().remove(0);
        // Not mIoU, as below.
        let accuracy = *found.tasks[0].1.scores.get("pixel_accuracy").unwrap();
        assert!(accuracy > 0.97, "{loss}: {:?}", found.tasks[0].1.scores);
    }
}

#[test]
fn eight_scenes_are_learnt_by_heart() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let text = "name = \"heart\"\nseeds = [0]\n\
        [data]\nsource = \"scenes\"\nsize = [24, 24]\nobjects = 2\ntasks = [\"mask\", \"count\", \"boxes\"]\n\
        samples = { train = 8, val = 8, test = 8 }\n\
        [augment]\nshift = 0\n\
        [train]\nepochs = 180\nbatch = 8\noptimizer = \"adam\"\nlr = 0.01\nweight_decay = 0\n\
        [teacher]\narch = \"resnet8\"\nwidth = 0.5\ndecoder = 16\ntrain = { epochs = 1 }\n\
        [student]\narch = \"resnet8\"\nwidth = 0.5\ndecoder = 16\n[distill.train]\nepochs = 1\n";
    let config = Config::parse(text, Path::new("heart.toml"), &[]).unwrap();
    some_until(&config, &out, &gpu(), &[StageKind::Joint], |_| false).unwrap();
    let found = predict::evaluate(&out, "joint.last", "train", &gpu()).unwrap().remove(0);
    let value = |i: usize, name: &str| *found.tasks[i].1.scores.get(name).unwrap();
    // Not mIoU, which a single pixel of a class that is not there pulls far down.
    assert!(value(0, "pixel_accuracy") > 0.98, "{:?}", found.tasks[0].1.scores);
    assert!(value(1, "rmse") < 0.1, "{:?}", found.tasks[1].1.scores);
    assert!(value(2, "ap50") > 0.9, "{:?}", found.tasks[2].1.scores);
}
