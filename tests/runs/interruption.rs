//! Interrupted runs end with the same bits, and are not resumed as something else.

use crate::support::*;
use limbeck::Error;
use limbeck::checkpoint;
use limbeck::config::Config;
use limbeck::experiment;
use limbeck::gpu::Gpu;
use limbeck::nn::Network;
use limbeck::predict;
use limbeck::train::EpochRecord;
use limbeck::train::Event;
use limbeck::train::StageResult;
use limbeck::train::event::read_records;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::tempdir;

/// Twenty steps an epoch, so that news comes in mid-epoch; feature distillation, so that adaptors are trained too.
fn long_config() -> Config {
    digits_config(
        "[train]\nepochs = 4\nbatch = 4\nlr = 0.02\nwarmup_epochs = 0.5\n\
         [distill]\nmethods = [\"kd\", \"normalised\"]\n\
         [distill.train]\noptimizer = \"adamw\"\nlr = 0.002\n",
    )
}

/// Runs again and again until a run comes to its end; counts the interruptions.
fn persist(mut attempt: impl FnMut() -> limbeck::Result<experiment::Summary>) -> usize {
    for count in 0..500 {
        match attempt() {
            Ok(_) => return count,
            Err(Error::Interrupted { at }) => assert!(at.contains("seed 3 · ") && at.contains(", step "), "{at}"),
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the run does not come to an end")
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let (gpu, config, folder) = (gpu(), long_config(), tempdir().unwrap());
    let whole = folder.path().join("whole");
    let killed = folder.path().join("killed");
    // Beside running through, this run is "killed" at one moment: what lies on disk then is copied away.
    experiment::run(&config, &whole, &gpu, &AtomicBool::new(false), &mut |event| {
        if let Event::Epoch(EpochRecord { stage, epoch: 2, .. }) = &event
            && stage == "distilled"
        {
            copy_folder(&whole, &killed);
            // Half a line, as a process leaves it that dies while writing.
            let journal = killed.join("metrics.jsonl");
            let mut text = std::fs::read(&journal).unwrap();
            text.extend(b"{\"stage\":\"distil");
            std::fs::write(&journal, text).unwrap();
        }
    })
    .unwrap();
    let stages = ["distilled", "joint", "single-first", "single-second", "teacher-first", "teacher-second"];
    let names: Vec<_> = stages
        .iter()
        .flat_map(|s| ["json", "last.safetensors", "safetensors"].map(|e| format!("seed-3/{s}.{e}")))
        .collect();
    let found: Vec<String> = files(&whole).iter().map(|f| f.display().to_string()).collect();
    assert!(names.iter().all(|n| found.contains(n)), "{found:?}");
    assert_eq!(found.len(), names.len() + 4, "nothing but the results is left: {found:?}");

    finish(&config, &killed, &gpu).unwrap();
    assert_same_run("killed", &whole, &killed);

    // Two epochs, an interruption, two epochs; every stage.
    let halves = folder.path().join("halves");
    let mut stopped = Vec::new();
    let count = persist(|| {
        run_until(&config, &halves, &gpu, |event| {
            let Event::Epoch(record) = event else { return false };
            let here = record.epoch == 1 && !stopped.contains(&record.stage);
            if here {
                stopped.push(record.stage.clone());
            }
            here
        })
    });
    assert_eq!(count, 6, "{stopped:?}");
    assert_same_run("halves", &whole, &halves);

    // In mid-epoch, at the first news of each stage's second epoch.
    let mid = folder.path().join("mid");
    let (mut stage, mut done, mut resumed_at) = (String::new(), Vec::new(), Vec::new());
    let count = persist(|| {
        run_until(&config, &mid, &gpu, |event| match event {
            Event::Stage { label, resumed, .. } => {
                stage = label.to_string();
                resumed_at.extend(*resumed);
                false
            }
            Event::Step { epoch: 1, step, .. } if *step < 20 && !done.contains(&stage) => {
                done.push(stage.clone());
                true
            }
            _ => false,
        })
    });
    assert_eq!(count, 6, "{done:?}");
    assert!(resumed_at.iter().all(|(epoch, step)| *epoch == 1 && (1..20).contains(step)), "{resumed_at:?}");
    assert_same_run("mid", &whole, &mid);

    // A run that is finished only tells so.
    let mut cached = 0;
    run_until(&config, &mid, &gpu, |event| {
        cached += usize::from(matches!(event, Event::Cached { .. }));
        assert!(!matches!(event, Event::Stage { .. } | Event::Step { .. }));
        false
    })
    .unwrap();
    assert_eq!(cached, 6);
    assert_same_run("again", &whole, &mid);

    selection(&whole, &gpu);
}

/// Of the run in `dir`: the stored networks are those of the best and of the last epoch, and the results are theirs.
fn selection(dir: &Path, gpu: &Gpu) {
    let records = read_records(&dir.join("metrics.jsonl")).unwrap();
    for stage in ["teacher/first", "teacher/second", "single/first", "single/second", "joint", "distilled"] {
        let own: Vec<&EpochRecord> = records.iter().filter(|r| r.stage == stage).collect();
        let score =
            |r: &EpochRecord| r.val.values().map(|m| m.selection(1.0).unwrap()).sum::<f64>() / r.val.len() as f64;
        // The highest; of equals the one of the lowest loss.
        let key = |r: &EpochRecord| (score(r), -r.val_loss.unwrap());
        let best = own.iter().fold(own[0], |b, r| if key(r) >= key(b) { r } else { b });
        assert_eq!(own.iter().rfind(|r| r.best).unwrap().epoch, best.epoch, "{stage}");
        let file = |ending: &str| dir.join("seed-3").join(format!("{}{ending}", stage.replace('/', "-")));
        let (_, chosen) = checkpoint::load(gpu, &file(".safetensors")).unwrap();
        let (_, last) = checkpoint::load(gpu, &file(".last.safetensors")).unwrap();
        assert_eq!((chosen.epoch, last.epoch), (best.epoch + 1, 4), "{stage}");
        let near = |found: Option<f64>, want: f64| (found.unwrap() - want).abs() < 1e-12;
        assert!(near(chosen.val_score, score(best)) && near(last.val_score, score(own[3])));
        let result: StageResult = serde_json::from_slice(&std::fs::read(file(".json")).unwrap()).unwrap();
        for (model, want) in [(stage.to_string(), &result.best), (format!("{stage}.last"), &result.last)] {
            let found = predict::evaluate(dir, &model, "test", gpu).unwrap().remove(0);
            assert_eq!((found.seed, found.images), (3, 40));
            assert_eq!(found.tasks.len(), want.len());
            found.tasks.iter().for_each(|(task, result)| assert_eq!(*result, want[task], "{model}"));
            // The same network on the validation split gives what selected it.
            let val = predict::evaluate(dir, &model, "val", gpu).unwrap().remove(0);
            let record = if model == stage { best } else { own[3] };
            val.tasks.iter().for_each(|(task, result)| assert_eq!(result.scores, record.val[task], "{model}"));
        }
    }
}

#[test]
fn interrupted_at_any_moment_it_ends_with_the_same_bits() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config(
        "[train]\nepochs = 2\nbatch = 8\nlr = 0.02\nclip_norm = 2.0\n[distill]\nmethods = [\"kd\", \"fitnet\"]\n",
    );
    let (whole, torn) = (folder.path().join("whole"), folder.path().join("torn"));
    finish(&config, &whole, &gpu).unwrap();
    // The clock decides where; each attempt is given a little longer, so that the last one arrives.
    let mut patience = Duration::from_millis(40);
    let count = persist(|| {
        let stop = AtomicBool::new(false);
        patience = patience * 5 / 4;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(patience);
                stop.store(true, Ordering::Relaxed);
            });
            experiment::run(&config, &torn, &gpu, &stop, &mut |_| {})
        })
    });
    assert!(count > 0, "it was never interrupted");
    assert_same_run("torn", &whole, &torn);
}

fn stop_in(config: &Config, out: &Path, gpu: &Gpu, stage: &str) {
    let error = run_until(config, out, gpu, |e| matches!(e, Event::Epoch(r) if r.stage == stage)).unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
}

#[test]
fn a_distillation_is_not_resumed_under_another_teacher() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 2\nbatch = 16\n");
    let out = folder.path().join("run");
    stop_in(&config, &out, &gpu, "distilled");
    let path = out.join("seed-3/teacher-first.safetensors");
    let original = std::fs::read(&path).unwrap();
    let (network, card) = checkpoint::load(&gpu, &path).unwrap();
    let other = Network::new(&gpu, network.spec().clone(), 99).unwrap();
    checkpoint::save(&gpu, &path, &other, &card).unwrap();
    let error = finish(&config, &out, &gpu).unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("teacher-first.safetensors") && message.contains("is not the file that its stage stored"),
        "{message}"
    );
    // With the teacher back in its place it goes on.
    std::fs::write(&path, original).unwrap();
    finish(&config, &out, &gpu).unwrap();
}

#[test]
fn a_run_is_not_resumed_on_other_data() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = idx_folder(folder.path());
    let (unfinished, finished) = (folder.path().join("unfinished"), folder.path().join("finished"));
    stop_in(&config, &unfinished, &gpu, "teacher/kind");
    finish(&config, &finished, &gpu).unwrap();
    let path = folder.path().join("train-images");
    let original = std::fs::read(&path).unwrap();
    let mut changed = original.clone();
    changed[100] ^= 1;
    std::fs::write(&path, changed).unwrap();
    for out in [&unfinished, &finished] {
        let error = finish(&config, out, &gpu).unwrap_err();
        assert!(matches!(error, Error::Checkpoint { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("other data") && message.contains("--out"), "{message}");
    }
    std::fs::write(&path, original).unwrap();
    finish(&config, &unfinished, &gpu).unwrap();
    assert_same_run("data", &finished, &unfinished);
}

#[test]
fn a_folder_belongs_to_one_configuration() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = idx_folder(folder.path());
    let out = folder.path().join("run");
    stop_in(&config, &out, &gpu, "teacher/kind");
    let before = std::fs::read(out.join("config.toml")).unwrap();
    let text = config.to_toml();
    for (set, key) in
        [("train.lr=0.031", "train.lr: 0.031, was 0.05"), ("student.width=0.5", "student.width: 0.5, was 0.25")]
    {
        let other = Config::parse(&text, Path::new("idx.toml"), &[set.to_string()]).unwrap();
        let error = finish(&other, &out, &gpu).unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(key) && message.contains("--out") && message.contains("config.toml"), "{message}");
    }
    assert_eq!(std::fs::read(out.join("config.toml")).unwrap(), before);
}
