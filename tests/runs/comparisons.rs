//! Every way to balance, in a comparison; comparisons that are interrupted go on.

use crate::support::*;
use limbeck::Error;
use limbeck::balance;
use limbeck::experiment::ablation::{Ablation, Outcome, ablate};
use limbeck::train::event::read_records;
use limbeck::train::{EpochRecord, Event};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::tempdir;

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
