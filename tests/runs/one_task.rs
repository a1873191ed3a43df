//! Of one task the joint student is the single-task network: trained once, found under both names.

use crate::support::*;
use limbeck::config::Config;
use limbeck::experiment::ablation::Ablation;
use limbeck::experiment::ablation::ablate;
use limbeck::experiment::{self, StageKind, Summary};
use limbeck::gpu::Gpu;
use limbeck::predict;
use limbeck::report::table;
use limbeck::train::Event;
use limbeck::train::event::read_records;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::tempdir;

/// The run's file of one task, with values of its own.
fn config(root: &Path, sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
    Config::parse(&idx_folder(root).to_toml(), Path::new("idx.toml"), &sets).unwrap()
}

/// What a run tells: the number of its stages, those it trains and those it finds finished.
#[derive(Debug, Default)]
struct Told {
    stages: usize,
    trained: Vec<String>,
    found: Vec<String>,
    notes: Vec<String>,
}

impl Told {
    fn hear(&mut self, event: &Event) {
        let name = |label: &str| label.split(" · ").last().unwrap_or_default().to_string();
        match event {
            Event::Run { stages, notes, .. } => (self.stages, self.notes) = (*stages, notes.to_vec()),
            Event::Stage { label, .. } => self.trained.push(name(label)),
            Event::Cached { label } => self.found.push(name(label)),
            Event::Note { text } => self.notes.push(text.to_string()),
            _ => {}
        }
    }
}

fn run(config: &Config, out: &Path, gpu: &Gpu) -> (Summary, Told) {
    let mut told = Told::default();
    let summary = experiment::run(config, out, gpu, &AtomicBool::new(false), &mut |event| told.hear(&event)).unwrap();
    (summary, told)
}

#[test]
fn the_joint_student_is_trained_once_and_has_two_names() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let out = folder.path().join("run");
    // Neither a weight nor balancing means anything among one task.
    let config = config(folder.path(), &["tasks.kind.weight=3", "balance.method=uncertainty"]);
    let (summary, told) = run(&config, &out, &gpu);
    let all = ["teacher/kind", "single/kind", "distilled"];
    assert_eq!((told.stages, told.trained.as_slice()), (3, all.map(String::from).as_slice()));
    assert!(told.found.is_empty() && told.notes[0].starts_with("  data "), "{told:?}");
    let mut journal: Vec<String> =
        read_records(&out.join("metrics.jsonl")).unwrap().into_iter().map(|r| r.stage).collect();
    journal.dedup();
    assert_eq!(journal, all);

    assert_eq!(summary.models["joint"], summary.models["single/kind"]);
    assert_eq!(summary.delta_m.as_ref().unwrap()["joint"].mean, 0.0);
    let text = table::text(&summary);
    let rows: Vec<&str> = text.lines().skip(2).map(|line| line.split("  ").next().unwrap_or_default()).collect();
    assert_eq!(rows[..3], ["teacher/kind", "single/kind (= joint)", "distilled"], "{text}");
    assert!(text.lines().nth(3).unwrap().ends_with("+0.00"), "{text}");
    for ending in ["", ".last"] {
        let of =
            |model: &str| predict::evaluate(&out, &format!("{model}{ending}"), "test", &gpu).unwrap().remove(0).tasks;
        assert_eq!(of("joint"), of("single/kind"));
    }

    let (again, told) = run(&config, &out, &gpu);
    assert_eq!((again, told.trained.len(), told.found), (summary, 0, all.map(String::from).to_vec()));
}

#[test]
fn a_folder_in_which_both_were_trained_goes_on() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let out = folder.path().join("run");
    let config = config(folder.path(), &[]);
    run(&config, &out, &gpu);
    // An earlier version trained the joint student too, and was interrupted after it.
    let joint = out.join("seed-0/joint.json");
    let mut old: serde_json::Value = serde_json::from_slice(&std::fs::read(&joint).unwrap()).unwrap();
    old["val"] = serde_json::json!(0.125);
    // It knew nothing of these.
    ["hash", "key", "networks"].iter().for_each(|field| drop(old.as_object_mut().unwrap().remove(*field)));
    let old = old.to_string();
    std::fs::write(&joint, &old).unwrap();
    std::fs::remove_file(out.join("seed-0/distilled.json")).unwrap();
    let (_, told) = run(&config, &out, &gpu);
    assert_eq!((told.stages, told.trained.as_slice()), (3, &["distilled".to_string()][..]));
    assert_eq!(std::fs::read_to_string(&joint).unwrap(), old, "a finished stage stays");
    // Or in the midst of it.
    std::fs::remove_file(&joint).unwrap();
    let state = out.join("seed-0/joint.state.safetensors");
    std::fs::write(&state, b"half").unwrap();
    let (summary, told) = run(&config, &out, &gpu);
    assert!(told.trained.is_empty() && joint.exists() && !state.exists(), "{told:?}");
    assert_eq!(summary.models["joint"], summary.models["single/kind"]);
}

#[test]
fn a_student_of_one_task_may_teach_itself() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = config(folder.path(), &["teacher.kind=self"]);
    let (summary, told) = run(&config, &folder.path().join("run"), &gpu);
    assert_eq!((told.stages, told.trained), (2, ["single/kind", "distilled"].map(String::from).to_vec()));
    assert_eq!(summary.models.len(), 3);
}

#[test]
fn a_comparison_does_not_train_it_twice_either() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let out = folder.path().join("compared");
    std::fs::write(folder.path().join("run.toml"), idx_folder(folder.path()).to_toml()).unwrap();
    let text = "base = \"run.toml\"\n[[row]]\nname = \"plain\"\nstage = \"joint\"\n\
                [[row]]\nname = \"slow\"\nstage = \"joint\"\nset = [\"joint.train.lr=0.01\"]\n";
    let file = folder.path().join("compared.toml");
    std::fs::write(&file, text).unwrap();
    let mut told = Told::default();
    let plan = Ablation::load(&file, &[]).unwrap();
    let outcome = ablate(&plan, &out, &gpu, &AtomicBool::new(false), &mut |event| told.hear(&event)).unwrap();
    assert_eq!(told.trained, ["single/kind", "joint"], "only the row that is trained otherwise");
    assert_eq!((told.stages, outcome.rows[0].delta_m.unwrap().mean), (2, 0.0));
    assert!(told.notes[0].starts_with("data ") && told.notes[1].starts_with("images "), "{told:?}");
    assert!(out.join("data.json").exists() && !out.join("data-2.json").exists());
}

/// Kinds of stages apart end in the same networks as all at once; what one needs is trained with it, and the summary comes with the rest.
#[test]
fn stages_may_be_trained_apart() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 1\nbatch = 8\n");
    let (whole, apart) = (folder.path().join("whole"), folder.path().join("apart"));
    let (summary, _) = run(&config, &whole, &gpu);
    let only = |kinds: &[StageKind], config: &Config| {
        let mut told = Told::default();
        let stop = AtomicBool::new(false);
        let some = experiment::run_only(config, &apart, kinds, &gpu, &stop, &mut |event| told.hear(&event)).unwrap();
        (some, told)
    };
    let (some, told) = only(&[StageKind::Distilled], &config);
    assert_eq!(
        (told.stages, told.trained.as_slice()),
        (3, ["teacher/first", "teacher/second", "distilled"].map(String::from).as_slice())
    );
    assert_eq!(some.models["distilled"].metrics, summary.models["distilled"].metrics);
    assert!(some.delta_m.is_none() && some.without_delta_m.contains_key("distilled"));
    assert!(!apart.join("summary.json").exists());
    let (_, told) = only(&[StageKind::Joint, StageKind::Teachers], &config);
    assert_eq!((told.trained, told.found.len()), (vec!["joint".to_string()], 2));
    let (again, told) = run(&config, &apart, &gpu);
    assert_eq!((told.trained.len(), told.found.len()), (2, 4));
    assert_eq!(again.models, summary.models);
    for name in ["teacher-first", "single-second", "joint", "distilled"] {
        let file = format!("seed-3/{name}.safetensors");
        assert!(std::fs::read(whole.join(&file)).unwrap() == std::fs::read(apart.join(&file)).unwrap(), "{name}");
    }
    // A student that teaches itself is trained first; of one task it is the single-task network.
    let (own, other) = (self::config(folder.path(), &["teacher.kind=self"]), folder.path().join("own"));
    let mut told = Told::default();
    let kinds = [StageKind::Distilled];
    experiment::run_only(&own, &other, &kinds, &gpu, &AtomicBool::new(false), &mut |event| told.hear(&event)).unwrap();
    assert_eq!((told.stages, told.trained), (2, vec!["single/kind".to_string(), "distilled".into()]));
}
