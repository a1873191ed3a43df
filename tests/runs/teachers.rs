//! Teachers in every number and of every origin: several, common, ready-made, built otherwise, the student itself, none.

use crate::support::*;
use limbeck::Error;
use limbeck::checkpoint;
use limbeck::config::Config;
use limbeck::experiment;
use limbeck::predict;
use limbeck::train::Event;
use limbeck::train::event::read_records;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::tempdir;

fn stages(out: &Path) -> Vec<String> {
    let mut all: Vec<String> = read_records(&out.join("metrics.jsonl")).unwrap().into_iter().map(|r| r.stage).collect();
    all.dedup();
    all
}

#[test]
fn tasks_may_have_several_teachers_a_common_one_none_or_the_student() {
    let gpu = gpu();
    let short = "[train]\nepochs = 1\nbatch = 16\nwarmup_epochs = 0\n";
    let run = |more: &str, out: &Path| {
        let text = digits_config(short).to_toml();
        let sets: Vec<String> = more.lines().map(String::from).collect();
        let config = Config::parse(&text, Path::new("small.toml"), &sets).unwrap();
        finish(&config, out, &gpu).unwrap()
    };
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);

    run("teacher.count=2", &path("two"));
    let names = ["teacher/first", "teacher/first-2", "teacher/second", "teacher/second-2"];
    assert_eq!(stages(&path("two"))[..4], names);
    let terms: Vec<String> = records(&path("two"), "distilled")[0].losses.keys().cloned().collect();
    assert_eq!(terms, ["first/ce", "first/kd#1", "first/kd#2", "second/ce", "second/kd#1", "second/kd#2"]);

    run("teacher.kind=joint", &path("joint"));
    assert_eq!(stages(&path("joint")), ["teacher/all", "single/first", "single/second", "joint", "distilled"]);
    run("teacher.kind=self", &path("self"));
    assert_eq!(stages(&path("self")), ["single/first", "single/second", "joint", "distilled"]);

    // One file for both tasks, and a task without a teacher.
    let all = path("joint").join("seed-3/teacher-all.safetensors");
    let one = path("two").join("seed-3/teacher-first.safetensors");
    let before = fs::read(&all).unwrap();
    let given = format!(
        "teacher.paths={{ first = [{one:?}, {all:?}], second = {all:?} }}\nteacher.weights={{ first = [3, 1] }}"
    );
    run(&given, &path("given"));
    assert_eq!(stages(&path("given")), ["single/first", "single/second", "joint", "distilled"]);
    assert_eq!(records(&path("given"), "distilled")[0].losses.len(), 5);
    assert_eq!(fs::read(&all).unwrap(), before);
    run(&format!("teacher.paths={{ first = [], second = {all:?} }}"), &path("none"));
    let terms: Vec<String> = records(&path("none"), "distilled")[0].losses.keys().cloned().collect();
    assert_eq!(terms, ["first/ce", "second/ce", "second/kd"]);
    checkpoint::load(&gpu, &path("none").join("seed-3/distilled.safetensors")).unwrap();
}

/// Ready-made teachers of numbers that were standardised by other labels: they are taken, as what they say is converted; those of
/// another kind of task are not.
#[test]
fn ready_made_teachers_speak_in_terms_of_the_run() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let text = "seeds = [3]\n[data]\nsource = \"scenes\"\nsize = [16, 16]\nobjects = 3\n\
                tasks = [\"count\", \"depth\", \"class\", \"colours\"]\nsamples = { train = 40, val = 10, test = 10 }\n\
                [augment]\nshift = 0\n[train]\nepochs = 1\nbatch = 8\nwarmup_epochs = 0\n\
                [teacher]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n[student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n";
    let config = |sets: &[String]| Config::parse(text, Path::new("numbers.toml"), sets).unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    finish(&config(&[]), &first, &gpu).unwrap();
    let of = |task: &str| first.join(format!("seed-3/teacher-{task}.safetensors"));
    let sets = [
        format!("teacher.paths={{ count = {:?}, depth = {:?} }}", of("count"), of("depth")),
        "data.labelled={ count = 0.25, depth = 0.25 }".into(),
        "cache={ storage = \"f32\" }".into(),
    ];
    finish(&config(&sets), &second, &gpu).unwrap();
    // The same data otherwise: other labels are known, so their mean is another.
    let moments = |path: PathBuf| checkpoint::load(&gpu, &path).unwrap().1.tasks.remove(0).moments.unwrap();
    assert_ne!(moments(of("count")), moments(second.join("seed-3/single-count.safetensors")));
    let found = experiment::verify_cache(&second, 1.0, &gpu).unwrap();
    assert!(found.len() == 4 && found.iter().all(|v| v.wrong == 0 && v.checked == 40), "{found:?}");
    // The first seed is that of the configuration, not the folder with the smallest number.
    fs::create_dir(first.join("seed-1")).unwrap();
    predict::Predictor::of_run(&gpu, &first, "joint").unwrap();
    let out = folder.path().join("refused");
    for (task, teacher, words) in
        [("depth", "count", "\"count\" of kind number"), ("colours", "class", "of kind attributes with 4 classes")]
    {
        let error = finish(&config(&[format!("teacher.paths.{task}={:?}", of(teacher))]), &out, &gpu).unwrap_err();
        assert!(error.to_string().contains(words) && !out.exists(), "{error}");
    }
}

/// Trunks of another family, width and resolution: layers are brought together by pooling, or must be named.
#[test]
fn teachers_may_be_built_otherwise() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let text = |methods: &str, more: &str| {
        let text = digits_config("[train]\nepochs = 1\nbatch = 16\nwarmup_epochs = 0\n").to_toml();
        let sets =
            ["teacher.arch=resnet18".to_string(), "teacher.width=0.125".into(), format!("distill.methods=[{methods}]")];
        let more = more.lines().map(String::from);
        Config::parse(&text, Path::new("small.toml"), &sets.into_iter().chain(more).collect::<Vec<_>>()).unwrap()
    };
    let out = folder.path().join("a");
    finish(&text("\"normalised\", \"fitnet\", \"sp\", \"rkd_angle\", \"cka\"", ""), &out, &gpu).unwrap();
    assert!(records(&out, "distilled")[0].losses.values().all(|v| v.is_finite()));
    let out = folder.path().join("b");
    let named = "distill.at={ layers = [\"layer2\", \"layer3\"], teacher_layers = [\"layer2\", \"layer4\"] }";
    finish(&text("\"at\"", named), &out, &gpu).unwrap();
    let terms: Vec<String> = records(&out, "distilled")[0].losses.keys().cloned().collect();
    assert_eq!(terms[..3], ["first/at@layer2", "first/at@layer3", "first/ce"]);
}

#[test]
fn teachers_fill_in_for_labels_that_are_missing() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let text = digits_config("[train]\nepochs = 1\nbatch = 8\nwarmup_epochs = 0\n").to_toml();
    let sets = [
        "data.labelled={ first = 0.25, second = 0.5 }".to_string(),
        "data.disjoint=true".into(),
        "distill.methods=[\"kd\", \"dkd\"]".into(),
    ];
    let config = Config::parse(&text, Path::new("small.toml"), &sets).unwrap();
    finish(&config, folder.path(), &gpu).unwrap();
    let record = &records(folder.path(), "distilled")[0];
    assert!(record.losses.values().all(|v| v.is_finite() && *v > 0.0), "{:?}", record.losses);
    let evaluation = predict::evaluate(folder.path(), "distilled", "test", &gpu).unwrap().remove(0);
    assert_eq!(evaluation.images, 40);
}

#[test]
fn networks_that_teach_each_other_resume_with_the_same_bits() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let text = digits_config("[train]\nepochs = 3\nbatch = 8\nlr = 0.01\nwarmup_epochs = 0\n").to_toml();
    let sets = [
        "teacher.kind=mutual",
        "teacher.count=2",
        "distill.methods=[\"kd\", \"normalised\", \"crd\"]",
        "distill.kd={ temperature = 1, temperature_end = 3, warmup_epochs = 2 }",
        "distill.crd={ bank = 20, dimension = 8 }",
    ];
    let config = Config::parse(&text, Path::new("small.toml"), &sets.map(String::from)).unwrap();
    let (whole, torn) = (folder.path().join("whole"), folder.path().join("torn"));
    finish(&config, &whole, &gpu).unwrap();
    assert_eq!(stages(&whole), ["single/first", "single/second", "joint", "distilled"]);
    let terms: Vec<String> = records(&whole, "distilled")[0].losses.keys().cloned().collect();
    assert_eq!(terms[..4], ["first/ce", "first/crd#1", "first/crd#2", "first/kd#1"]);
    let mut at = 0;
    let error = run_until(&config, &torn, &gpu, |e| {
        at += usize::from(matches!(e, Event::Step { .. }) && at > 0);
        at += usize::from(matches!(e, Event::Epoch(r) if r.stage == "distilled" && r.epoch == 0));
        at == 2
    })
    .unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    finish(&config, &torn, &gpu).unwrap();
    let read = |dir: &Path| fs::read(dir.join("seed-3/distilled.last.safetensors")).unwrap();
    assert!(read(&whole) == read(&torn));
}
