//! The moving average of the weights: measured, stored, and the same bits after an interruption.

use crate::support::*;
use limbeck::Error;
use limbeck::experiment::Summary;
use limbeck::predict;
use limbeck::train::Event;
use std::fs;
use tempfile::tempdir;

#[test]
fn the_average_is_stored_and_survives_an_interruption() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 3\nbatch = 4\nlr = 0.02\nema_decay = 0.9\n");
    let (whole, halves) = (folder.path().join("whole"), folder.path().join("halves"));
    let summary = finish(&config, &whole, &gpu).unwrap();
    let mut interrupted = false;
    let stopped = run_until(&config, &halves, &gpu, |event| {
        let here = matches!(event, Event::Step { epoch: 1, step, .. } if *step < 20) && !interrupted;
        interrupted |= here;
        here
    });
    assert!(matches!(stopped, Err(Error::Interrupted { .. })), "{:?}", stopped.err());
    finish(&config, &halves, &gpu).unwrap();
    let read = |run: &std::path::Path, file: &str| fs::read(run.join("seed-3").join(file)).unwrap();
    for stage in ["teacher-first", "single-second", "joint", "distilled"] {
        for kind in ["ema.safetensors", "last.safetensors", "safetensors"] {
            let file = format!("{stage}.{kind}");
            assert!(read(&whole, &file) == read(&halves, &file), "{file} differs");
        }
        assert_ne!(
            read(&whole, &format!("{stage}.ema.safetensors")),
            read(&whole, &format!("{stage}.last.safetensors"))
        );
    }

    // Each epoch measures it, the summary tells it, and eval and predict take it as a model of its own.
    for record in records(&whole, "distilled") {
        assert_eq!(record.ema_val.keys().collect::<Vec<_>>(), ["first", "second"]);
        assert!(record.ema_val.values().all(|scores| scores.get("accuracy").is_some()));
    }
    let told = &summary.models["distilled"].ema;
    let measured = predict::evaluate(&whole, "distilled.ema", "test", &gpu).unwrap();
    for (task, result) in &measured[0].tasks {
        assert_eq!(told[task].get("accuracy").unwrap().mean, *result.scores.get("accuracy").unwrap(), "{task}");
    }
    let again = Summary::load(&whole.join("summary.json")).unwrap();
    assert_eq!(&again.models["distilled"].ema, told);
    assert!(predict::Predictor::of_run(&gpu, &whole, "distilled.ema").is_ok());
}
