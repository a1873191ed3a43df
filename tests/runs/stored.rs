//! A run that an earlier version stored is still one: `eval` and `predict` give what they gave then.

use crate::support::*;
use limbeck::config::Config;
use limbeck::experiment;
use limbeck::predict::{self, Predictor, TaskOutput};
use limbeck::train::Event;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::tempdir;

/// A run of seconds on the embedded digits, and what the program of 7deaba2, which made it, printed of it: `limbeck eval --json` and
/// `limbeck predict --json`.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run-7deaba2")
}

fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture().join(name)).unwrap()).unwrap()
}

#[test]
fn a_run_of_7deaba2_is_measured_as_it_was() {
    let gpu = gpu();
    let told = json("eval.json");
    let measured = predict::evaluate(&fixture(), "distilled", "test", &gpu).unwrap();
    assert_eq!(measured.len(), 1);
    let mut compared = 0;
    for (task, result) in &measured[0].tasks {
        for metric in ["accuracy", "precision", "recall", "f1"] {
            let then = told[0]["tasks"][task][metric].as_f64().unwrap();
            let now = *result.scores.get(metric).unwrap();
            // One of the 200 test images may fall on the other side on another adapter.
            assert!((then - now).abs() < 0.006, "{task} {metric}: {then}, now {now}");
            compared += 1;
        }
    }
    assert_eq!(compared, 8);
}

#[test]
fn a_network_of_7deaba2_says_what_it_said() {
    let gpu = gpu();
    let network = Predictor::of_run(&gpu, &fixture(), "distilled").unwrap();
    let answers = network.classify_file(&gpu, &fixture().join("digit.png")).unwrap();
    let told = json("predict.json");
    for answer in &answers {
        let TaskOutput::Class { label, probabilities, .. } = &answer.answer else { panic!("{answer:?}") };
        let told = &told[0]["tasks"][&answer.task];
        assert_eq!(label, told["label"].as_str().unwrap(), "{}", answer.task);
        assert_eq!(probabilities.len(), told["probabilities"].as_object().unwrap().len());
        for (class, p) in probabilities {
            let then = told["probabilities"][class].as_f64().unwrap();
            assert!((f64::from(*p) - then).abs() < 1e-4, "{} {class}: {then}, now {p}", answer.task);
        }
    }
    assert_eq!(answers.len(), 2);
}

/// The same command finds every stage finished.
#[test]
fn a_run_of_7deaba2_is_not_trained_again() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    copy_folder(&fixture(), folder.path());
    let config = Config::load(&folder.path().join("config.toml"), &[]).unwrap();
    let mut found = 0;
    run_until(&config, folder.path(), &gpu, |event| {
        found += usize::from(matches!(event, Event::Cached { .. }));
        assert!(!matches!(event, Event::Step { .. }), "{event:?}");
        false
    })
    .unwrap();
    assert_eq!(found, 6);
    assert!(experiment::Summary::load(&folder.path().join("summary.json")).is_ok());
}
