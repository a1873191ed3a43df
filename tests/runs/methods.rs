//! Every way to distil, in whole runs: they run, they report, they resume, and what they train beside the student is not stored.

use crate::support::*;
use limbeck::Error;
use limbeck::config::Config;
use limbeck::data::TaskKind;
use limbeck::distill::{METHODS, Method};
use limbeck::experiment::StageKind;
use limbeck::train::{EpochRecord, Event};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

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

/// Balanced runs end with the same bits, wherever they are interrupted: the methods' states are stored.
#[test]
fn a_balanced_run_resumes_with_the_same_bits() {
    let (gpu, students) = (gpu(), [StageKind::Joint, StageKind::Distilled]);
    for balance in
        ["method = \"famo\"", "method = \"gradvac\"\nlevel = \"parameters\"", "method = \"stch\"\nover = \"terms\""]
    {
        let folder = tempdir().unwrap();
        let config = digits_config(&format!(
            "[train]\nepochs = 3\nbatch = 8\nlr = 0.01\nwarmup_epochs = 0\n[balance]\n{balance}\n[distill]\nmethods = [\"kd\", \"vid\", \"crd\", \"reviewkd\"]\n\
             adaptor_lr_factor = 2\n[distill.vid]\nnormalise = true\n[distill.crd]\nbank = 20\ndimension = 12\n[distill.kd]\ntemperature_end = 1\n"
        ));
        let (whole, torn) = (folder.path().join("whole"), folder.path().join("torn"));
        some_until(&config, &whole, &gpu, &students, |_| false).unwrap();
        for stage in ["joint", "distilled"] {
            let mut at = 0;
            let error = some_until(&config, &torn, &gpu, &students, |e| {
                at += usize::from(matches!(e, Event::Step { .. }) && at > 0);
                at += usize::from(matches!(e, Event::Epoch(r) if r.stage == stage && r.epoch == 0));
                at == 1
            })
            .unwrap_err();
            assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        }
        some_until(&config, &torn, &gpu, &students, |_| false).unwrap();
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
