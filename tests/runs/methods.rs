//! Every way to distil and every way to balance, in whole runs: they run, they report, they resume, and nothing frozen moves.

use crate::support::*;
use limbeck::Error;
use limbeck::balance;
use limbeck::checkpoint;
use limbeck::config::Config;
use limbeck::data::TaskKind;
use limbeck::distill::{METHODS, Method};
use limbeck::experiment;
use limbeck::experiment::ablation::Ablation;
use limbeck::experiment::ablation::Outcome;
use limbeck::experiment::ablation::ablate;
use limbeck::gpu::Gpu;
use limbeck::predict;
use limbeck::train::EpochRecord;
use limbeck::train::Event;
use limbeck::train::event::read_records;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::tempdir;

fn records(out: &Path, stage: &str) -> Vec<EpochRecord> {
    read_records(&out.join("metrics.jsonl")).unwrap().into_iter().filter(|r| r.stage == stage).collect()
}

/// Finishes a run and gives the notes it told.
fn told(config: &Config, out: &Path, gpu: &Gpu) -> Vec<String> {
    let mut notes = Vec::new();
    let note = |event: &Event| {
        if let Event::Note { text } = event {
            notes.push(text.to_string());
        }
        false
    };
    run_until(config, out, gpu, note).unwrap();
    notes
}

/// Every method for classes at once, scaled to the labels' strength: each reports its value and its pull, and what it trains is not stored.
#[test]
fn every_distillation_method_takes_part_in_a_run() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let methods: Vec<&Method> = METHODS.iter().filter(|m| m.serves(TaskKind::Class)).collect();
    let names: Vec<String> = methods.iter().map(|m| format!("{:?}", m.name)).collect();
    let tables: String =
        methods.iter().map(|m| format!("[distill.{}]\nnormalise = true\nweight = 0.25\n", m.name)).collect();
    let config = digits_config(&format!(
        "[train]\nepochs = 2\nbatch = 16\nlr = 0.005\nwarmup_epochs = 0\n[distill]\nmethods = [{}]\n{tables}",
        names.join(", ")
    ));
    finish(&config, folder.path(), &gpu).unwrap();
    let records = records(folder.path(), "distilled");
    assert_eq!(records.len(), 2);
    let pulls = records[0].gradient_norms.as_ref().unwrap();
    for method in methods {
        let own = |name: &&String| name.split(['/', '@']).nth(1) == Some(method.name);
        for record in &records {
            let values: Vec<f64> = record.losses.iter().filter(|(n, _)| own(n)).map(|(_, v)| *v).collect();
            assert!(values.len() >= 2 && values.iter().all(|v| v.is_finite()), "{}: {values:?}", method.name);
        }
        // A weight of 0.25 beside labels of 1.
        for (name, norm) in pulls.norms.iter().filter(|(n, _)| own(n)) {
            let labels = pulls.norms[&format!("{}/ce", name.split('/').next().unwrap())];
            assert!((norm / labels - 0.25).abs() < 0.001, "{name}: {norm} beside {labels}");
        }
    }
    assert!((pulls.cosines[0][0] - 1.0).abs() < 1e-6 && pulls.cosines[0][1].abs() <= 1.0);
    let bytes = fs::read(folder.path().join("seed-3/distilled.safetensors")).unwrap();
    let names = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert!(names.names().iter().all(|n| !n.contains("adaptor")), "{:?}", names.names());
}

fn comparison(folder: &Path, rows: &str) -> Ablation {
    let base = "[data]\nsource = \"digits\"\nsamples = { train = 64, val = 20, test = 20 }\n\
                [teacher]\narch = \"resnet8\"\nwidth = 0.5\n[student]\narch = \"resnet8\"\nwidth = 0.25\n\
                [train]\nepochs = 1\nbatch = 16\nlr = 0.01\nwarmup_epochs = 0\n";
    fs::write(folder.join("base.toml"), base).unwrap();
    let path = folder.join("compare.toml");
    fs::write(&path, format!("base = \"base.toml\"\nset = [\"seeds=[3, 4]\"]\ntransfer = true\n{rows}")).unwrap();
    Ablation::load(&path, &[]).unwrap()
}

fn compare(ablation: &Ablation, out: &Path, mut when: impl FnMut(&Event) -> bool) -> limbeck::Result<Outcome> {
    let stop = AtomicBool::new(false);
    ablate(ablation, out, &gpu(), &stop, &mut |event| {
        if when(&event) {
            stop.store(true, Ordering::Relaxed);
        }
    })
}

/// A grid over all methods: teachers and baselines are trained once, and a finished comparison trains nothing.
#[test]
fn every_balancing_method_takes_part_in_a_comparison() {
    let folder = tempdir().unwrap();
    let names: Vec<String> = balance::METHODS.iter().map(|m| format!("{:?}", m.name)).collect();
    let rows = format!(
        "[[row]]\nname = \"joint\"\nstage = \"joint\"\n\
         [[row]]\nname = \"tasks\"\nstage = \"joint\"\ngrid = {{ balance.method = [{}] }}\n\
         [[row]]\nname = \"as published\"\nstage = \"joint\"\nset = [\"balance.method=mgda\", \"balance.rescale=false\"]\n\
         [[row]]\nname = \"parameters\"\nstage = \"joint\"\nset = [\"balance.level=parameters\"]\n\
         grid = {{ balance.method = [\"cagrad\", \"upgrad\"] }}\n\
         [[row]]\nname = \"terms\"\nstage = \"distilled\"\nset = [\"balance.over=terms\"]\n\
         grid = {{ balance.method = [\"famo\", \"aligned_mtl\"] }}\n",
        names.join(", ")
    );
    let ablation = comparison(folder.path(), &rows);
    let out = folder.path().join("out");
    let mut trained = Vec::new();
    let outcome = compare(&ablation, &out, |e| {
        if let Event::Stage { label, .. } = e {
            trained.push(label.to_string());
        }
        false
    })
    .unwrap();
    assert_eq!(outcome.rows.len(), 1 + names.len() + 1 + 2 + 2);
    for row in &outcome.rows {
        // After an epoch of four steps a baseline may be too near zero for anything to be relative to it, which is said then.
        let told = row.delta_m.map_or(row.without_delta_m.is_some(), |delta| delta.mean.is_finite());
        assert!(told && row.step_ms.mean > 0.0 && row.params == outcome.rows[0].params, "{row:?}");
    }
    let count = |part: &str| trained.iter().filter(|l| l.contains(part)).count();
    assert_eq!((count("single/"), count("teacher/")), (4, 4), "{trained:?}");
    assert_eq!((count("· joint"), count("· distilled")), (2 * (1 + names.len() + 1 + 2), 4), "{trained:?}");
    assert_eq!(outcome.references.len(), 2);
    assert_eq!((count("pair/first+second"), outcome.transfer.len()), (2, 2));
    let (one, other) = (&outcome.transfer[0], &outcome.transfer[1]);
    assert_eq!((one.task.as_str(), one.with.as_str(), other.task.as_str()), ("first", "second", "second"));
    assert!(
        one.gain.is_none_or(|gain| gain.mean.is_finite())
            && one.agreement == other.agreement
            && one.agreement.unwrap().mean.abs() < 1.0
    );
    assert_eq!(outcome.rows[0].agreement.len(), 2);
    // Weights that are not constant are told.
    let journals: Vec<EpochRecord> = journals(&out.join("stages"), "joint");
    assert_eq!(journals.iter().filter(|r| r.weights.is_empty()).count(), 2);
    let mut sizes = Vec::new();
    for weights in journals.iter().map(|r| &r.weights).filter(|w| !w.is_empty()) {
        // MGDA as published gives weights that add up to 1; all others are scaled to a mean of 1. Weights of both signs may
        // cancel over the steps of an epoch.
        let size: f64 = weights.values().map(|w| w.abs()).sum();
        assert!(weights.len() == 2 && size < 2.0 + 1e-3 && size > 0.0, "{weights:?}");
        sizes.push(size);
    }
    let near = |value: f64| sizes.iter().filter(|s| (**s - value).abs() < 1e-3).count();
    assert!(near(1.0) == 2 && near(2.0) > 30, "{sizes:?}");

    let again = compare(&ablation, &out, |e| {
        assert!(!matches!(e, Event::Stage { .. }), "{e:?}");
        false
    });
    assert_eq!(again.unwrap(), outcome);
    assert_eq!(Outcome::load(&out.join("ablation.json")).unwrap(), outcome);
}

/// Every stage's own journal below `dir`.
fn journals(dir: &Path, stage: &str) -> Vec<EpochRecord> {
    let folders = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let files = folders.flat_map(|f| fs::read_dir(f).unwrap().map(|e| e.unwrap().path()));
    let journals: Vec<PathBuf> = files.filter(|f| f.extension().is_some_and(|e| e == "jsonl")).collect();
    journals.iter().flat_map(|f| read_records(f).unwrap()).filter(|r| r.stage == stage).collect()
}

#[test]
fn an_interrupted_comparison_goes_on_and_a_search_finds_the_best_trial() {
    let folder = tempdir().unwrap();
    let rows = "[[row]]\nname = \"kd\"\nstage = \"distilled\"\n\
                [[search]]\nname = \"best\"\nstage = \"joint\"\nstrategy = \"halving\"\ntrials = 4\nfactor = 2\n\
                set = [\"student.train.epochs=4\"]\n\
                space = { \"student.train.lr\" = { from = 0.001, to = 0.1, log = true } }\n";
    let ablation = comparison(folder.path(), rows);
    let (whole, torn) = (folder.path().join("whole"), folder.path().join("torn"));
    let outcome = compare(&ablation, &whole, |_| false).unwrap();
    let mut stages = 0;
    while let Err(error) = compare(&ablation, &torn, |e| {
        stages += usize::from(matches!(e, Event::StageDone { .. }));
        matches!(e, Event::StageDone { .. })
    }) {
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    }
    assert!(stages > 8);
    let numbers =
        |o: &Outcome| o.rows.iter().map(|r| (r.name.clone(), r.metrics.clone(), r.delta_m, r.val)).collect::<Vec<_>>();
    assert_eq!(numbers(&outcome), numbers(&Outcome::load(&torn.join("ablation.json")).unwrap()));
    let trials = &outcome.searches["best"];
    let last = trials.iter().map(|t| t.epochs).max().unwrap();
    assert_eq!((trials[0].epochs, last), (1, 4));
    let best =
        trials.iter().filter(|t| t.epochs == last).max_by(|a, b| a.val.unwrap().total_cmp(&b.val.unwrap())).unwrap();
    assert!(outcome.rows[1].sets.ends_with(&best.sets), "{:?} {best:?}", outcome.rows[1].sets);
}

/// Balanced runs end with the same bits, wherever they are interrupted: the methods' states are stored.
#[test]
fn a_balanced_run_resumes_with_the_same_bits() {
    let gpu = gpu();
    for balance in
        ["method = \"famo\"", "method = \"gradvac\"\nlevel = \"parameters\"", "method = \"stch\"\nover = \"terms\""]
    {
        let folder = tempdir().unwrap();
        let config = digits_config(&format!(
            "[train]\nepochs = 3\nbatch = 8\nlr = 0.01\nwarmup_epochs = 0\n[balance]\n{balance}\n[distill]\nmethods = [\"kd\", \"vid\", \"crd\", \"reviewkd\"]\n\
             adaptor_lr_factor = 2\n[distill.vid]\nnormalise = true\n[distill.crd]\nbank = 20\ndimension = 12\n[distill.kd]\ntemperature_end = 1\n"
        ));
        let (whole, torn) = (folder.path().join("whole"), folder.path().join("torn"));
        finish(&config, &whole, &gpu).unwrap();
        for stage in ["joint", "distilled"] {
            let mut at = 0;
            let error = run_until(&config, &torn, &gpu, |e| {
                at += usize::from(matches!(e, Event::Step { .. }) && at > 0);
                at += usize::from(matches!(e, Event::Epoch(r) if r.stage == stage && r.epoch == 0));
                at == 1
            })
            .unwrap_err();
            assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        }
        finish(&config, &torn, &gpu).unwrap();
        for stage in ["joint", "distilled"] {
            let read = |dir: &Path| fs::read(dir.join(format!("seed-3/{stage}.last.safetensors"))).unwrap();
            assert!(read(&whole) == read(&torn), "{balance}: {stage}");
            let told = |dir: &Path| {
                let timeless = |r: EpochRecord| EpochRecord { seconds: 0.0, images_per_second: 0.0, ..r };
                records(dir, stage).into_iter().map(timeless).collect::<Vec<_>>()
            };
            assert_eq!(told(&whole), told(&torn), "{balance}: {stage}");
        }
    }
}

/// Methods that are scaled to the labels' strength while few images are labelled: measured as soon as a batch has labels, and with the
/// same bits after an interruption in the first epoch, while the warm-up lasts.
#[test]
fn what_is_scaled_waits_for_labels_and_resumes_with_the_same_bits() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let text = digits_config("[train]\nepochs = 2\nbatch = 4\nlr = 0.01\nwarmup_epochs = 0\n").to_toml();
    let sets = [
        "data.labelled={ second = 0.15 }",
        "distill.methods=[\"kd\", \"normalised\"]",
        "distill.normalised={ normalize = true, weight = 0.7, warmup_epochs = 2 }",
    ];
    let config = Config::parse(&text, Path::new("small.toml"), &sets.map(String::from)).unwrap();
    let (whole, torn) = (folder.path().join("whole"), folder.path().join("torn"));
    let notes = told(&config, &whole, &gpu);
    assert!(!notes.iter().any(|n| n.contains("could not be scaled")), "{notes:?}");
    let mut distilled = 0;
    let error = run_until(&config, &torn, &gpu, |e| {
        distilled += usize::from(matches!(e, Event::Stage { label, .. } if label.ends_with("distilled")));
        distilled += usize::from(distilled > 0 && matches!(e, Event::Step { .. }));
        distilled == 2
    })
    .unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    finish(&config, &torn, &gpu).unwrap();
    let read = |dir: &Path| fs::read(dir.join("seed-3/distilled.last.safetensors")).unwrap();
    assert!(read(&whole) == read(&torn));
    // Without any label there is nothing to be as strong as, and that is said.
    let none = Config::parse(&config.to_toml(), Path::new("small.toml"), &["tasks.second=0".into()]).unwrap();
    let notes = told(&none, &folder.path().join("none"), &gpu);
    assert!(notes.iter().any(|n| n.contains("second/normalised could not be scaled")), "{notes:?}");
}

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
    let error = finish(&text("\"at\"", ""), &out, &gpu).unwrap_err().to_string();
    assert!(error.contains("distill.at.layers") && error.contains("3 stages") && !out.exists(), "{error}");
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

#[test]
fn what_cannot_work_together_is_refused() {
    let says = |sets: &[&str], words: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
        let error = Config::parse("", Path::new("x.toml"), &sets).unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{error}");
    };
    says(&["teacher.kind=mutual", "balance.method=mgda"], &["balance.method", "cannot be balanced"]);
    says(&["teacher.kind=mutual", "distill.kd.normalise=true"], &["normalize", "first step"]);
    says(&["teacher.kind=mutual", "teacher.paths.first=a.safetensors"], &["teacher.paths", "ready-made"]);
    says(
        &["teacher.kind=mutual", "distill.fitnet={ layers = [\"layer3\"], teacher_layers = [\"layer2\"] }"],
        &["distill.fitnet.teacher_layers", "same layers"],
    );
    says(&["distill.task_weight=0", "distill.sp.normalize=true"], &["distill.sp.normalize", "task_weight"]);
    says(&["data.labelled={first=0.6, second=0.6}", "data.disjoint=true"], &["data.disjoint", "two labels"]);
}

/// At full precision a cached teacher is the live one, bit for bit; at less, a run that is interrupted ends as one that is not.
#[test]
fn cached_teachers_say_what_live_ones_say() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = |storage: &str| {
        let text = digits_config("[train]\nepochs = 4\nbatch = 8\nlr = 0.01\nwarmup_epochs = 0\n").to_toml();
        let sets = [
            "augment.noise=0".to_string(),
            "distill.methods=[\"kd\", \"normalised\", \"rkd_distance\"]".into(),
            format!("cache={{ storage = \"{storage}\", k = 3 }}"),
        ];
        Config::parse(&text, Path::new("small.toml"), &sets).unwrap()
    };
    let path = |name: &str| folder.path().join(name);
    let student = |dir: &Path| fs::read(dir.join("seed-3/distilled.last.safetensors")).unwrap();
    finish(&config("none"), &path("live"), &gpu).unwrap();
    let notes = told(&config("f32"), &path("f32"), &gpu);
    assert!(student(&path("live")) == student(&path("f32")));
    // 80 pictures, one of nine variants each, four times: some come again, but whole batches of them hardly ever.
    assert!(
        notes.len() == 3 && notes[0].contains("up to 320 of 320 pictures") && notes[2].contains("were shown"),
        "{notes:?}"
    );
    let teacher = |dir: &Path| fs::read(dir.join("seed-3/teacher-first.safetensors")).unwrap();
    assert!(teacher(&path("live")) == teacher(&path("f32")));

    let found = experiment::verify_cache(&path("f32"), 0.25, &gpu).unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|v| v.wrong == 0 && v.checked >= 20 && v.answers > 80), "{found:?}");

    // Without augmentation every batch of the second epoch on is known.
    let still = |storage: &str| {
        let sets = ["augment={ shift = 0, noise = 0 }".to_string()];
        Config::parse(&config(storage).to_toml(), Path::new("small.toml"), &sets).unwrap()
    };
    finish(&still("none"), &path("still"), &gpu).unwrap();
    for storage in ["f32", "f16", "topk"] {
        let (whole, torn) = (path(&format!("{storage} whole")), path(&format!("{storage} torn")));
        let notes = told(&still(storage), &whole, &gpu);
        assert!(notes[2].contains("240 pictures were found, 80 were shown"), "{notes:?}");
        if storage == "f32" {
            assert!(student(&path("still")) == student(&whole));
        }
        let mut epochs = 0;
        let error = run_until(&still(storage), &torn, &gpu, |e| {
            epochs += usize::from(matches!(e, Event::Epoch(r) if r.stage == "distilled"));
            epochs == 2
        })
        .unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        finish(&still(storage), &torn, &gpu).unwrap();
        assert!(student(&whole) == student(&torn), "{storage}");
        assert!(
            experiment::verify_cache(&whole, 1.0, &gpu).unwrap().iter().all(|v| v.wrong == 0 && v.checked == 80),
            "{storage}"
        );
    }

    // Two answers that have changed places are found out, and a damaged file is named.
    let caches: Vec<PathBuf> =
        fs::read_dir(path("f32 whole").join("cache")).unwrap().map(|e| e.unwrap().path()).collect();
    let whole = fs::read(&caches[0]).unwrap();
    let start = 12 + u32::from_le_bytes(whole[8..12].try_into().unwrap()) as usize;
    let record = (whole.len() - start) / 80;
    let mut changed = whole.clone();
    changed[start..start + 16].copy_from_slice(&whole[start + record..start + record + 16]);
    changed[start + record..start + record + 16].copy_from_slice(&whole[start..start + 16]);
    fs::write(&caches[0], &changed).unwrap();
    let found = experiment::verify_cache(&path("f32 whole"), 1.0, &gpu).unwrap();
    assert_eq!(found.iter().map(|v| v.wrong).sum::<usize>(), 2, "{found:?}");
    let mut damaged = whole;
    let last = damaged.len() - 2;
    damaged[last] ^= 0x40;
    fs::write(&caches[0], &damaged).unwrap();
    let error = experiment::verify_cache(&path("f32 whole"), 1.0, &gpu).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains("remove the file"), "{error}");
}

#[test]
fn a_cache_without_room_leaves_the_rest_to_the_teachers() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    // A stage's map of 24 floats on 3x3 pixels: 80 pictures are more than 40 kB.
    let text = digits_config("[train]\nepochs = 2\nbatch = 8\nlr = 0.01\nwarmup_epochs = 0\n").to_toml();
    let config = |more: &[&str]| {
        let sets: Vec<String> =
            ["augment={ shift = 0, noise = 0 }"].iter().chain(more).map(|s| s.to_string()).collect();
        Config::parse(&text, Path::new("small.toml"), &sets).unwrap()
    };
    let methods = "distill.methods=[\"kd\", \"at\"]";
    finish(&config(&[methods]), &folder.path().join("live"), &gpu).unwrap();
    let out = folder.path().join("cached");
    finish(&config(&[methods, "cache={ storage = \"f32\", max_mb = 1 }"]), &out, &gpu).unwrap();
    let student = |dir: &Path| fs::read(dir.join("seed-3/distilled.last.safetensors")).unwrap();
    assert!(student(&folder.path().join("live")) == student(&out));
    let sizes = fs::read_dir(out.join("cache")).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
    assert!(sizes.sum::<u64>() <= 1_000_000);
    let found = experiment::verify_cache(&out, 0.01, &gpu).unwrap();
    assert!(found.iter().all(|v| v.answers < 80 && v.answers > 0 && v.wrong == 0), "{found:?}");
}
