//! A folder has one run at a time, results belong to what made them, and what has changed since it was stored is refused.

use crate::support::*;
use limbeck::Error;
use limbeck::checkpoint;
use limbeck::config::Config;
use limbeck::experiment;
use limbeck::predict;
use limbeck::train::Event;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

// ---------------------------------------------------------------- one folder, one run

#[test]
fn a_second_process_in_the_folder_is_refused_and_the_first_goes_on() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 1\nbatch = 16\n");
    let out = folder.path().join("run");
    let mut refused = Vec::new();
    run_until(&config, &out, &gpu, |event| {
        if matches!(event, Event::Epoch(r) if r.stage == "joint") {
            refused.push(finish(&config, &out, &gpu).unwrap_err());
            refused.push(experiment::verify_cache(&out, 1.0, &gpu).unwrap_err());
        }
        false
    })
    .unwrap();
    assert_eq!(refused.len(), 2);
    for error in refused {
        assert!(matches!(error, Error::Busy { .. }), "{error:?}");
        says(&error, &["run is in use by process", " on ", "--out"]);
    }
    finish(&config, &out, &gpu).unwrap();
    assert!(!files(&out).iter().any(|f| f.to_string_lossy().contains("lock")), "{:?}", files(&out));
}

#[cfg(unix)] // elsewhere a folder with an open file in it stays
#[test]
fn a_folder_that_vanishes_is_noticed_when_something_is_saved() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 3\nbatch = 16\n");
    let out = folder.path().join("run");
    let error = run_until(&config, &out, &gpu, |event| {
        if matches!(event, Event::Epoch(r) if r.stage == "teacher/first" && r.epoch == 0) {
            fs::rename(&out, folder.path().join("moved")).unwrap();
        }
        false
    })
    .unwrap_err();
    assert!(matches!(error, Error::Vanished { .. }), "{error:?}");
    assert!(!out.exists(), "nothing lies alone in a folder of the old name");
}

// ---------------------------------------------------------------- results and what made them

#[test]
fn stages_belong_to_their_settings_though_the_configuration_is_gone() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 2\nbatch = 16\n");
    let (finished, half) = (folder.path().join("finished"), folder.path().join("half"));
    finish(&config, &finished, &gpu).unwrap();
    run_until(&config, &half, &gpu, |e| matches!(e, Event::Epoch(r) if r.stage == "joint")).unwrap_err();
    for (out, file, set) in [
        (&finished, "teacher-first.json", "teacher.train.lr=0.031"),
        (&finished, "single-first.json", "student.width=0.5"),
        (&finished, "distilled.json", "distill.task_weight=0.5"),
        (&half, "joint.state.safetensors", "joint.train.lr=0.031"),
    ] {
        let kept = fs::read(out.join("config.toml")).unwrap();
        fs::remove_file(out.join("config.toml")).unwrap();
        let other = Config::parse(&config.to_toml(), Path::new("other.toml"), &[set.into()]).unwrap();
        let error = finish(&other, out, &gpu).unwrap_err();
        assert!(matches!(error, Error::Checkpoint { .. }), "{set}: {error:?}");
        says(&error, &[file, "was made with other settings", "--out"]);
        fs::write(out.join("config.toml"), kept).unwrap();
    }
    // Under its own settings the one is finished, and the other goes on.
    finish(&config, &finished, &gpu).unwrap();
    finish(&config, &half, &gpu).unwrap();
}

#[test]
fn stored_bytes_that_have_changed_are_refused_and_named() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 2\nbatch = 16\n");
    let out = folder.path().join("run");
    run_until(&config, &out, &gpu, |e| matches!(e, Event::Epoch(r) if r.stage == "distilled")).unwrap_err();
    let seed = out.join("seed-3");
    let flipped = |name: &str, words: &[&str]| {
        let path = seed.join(name);
        let sound = fs::read(&path).unwrap();
        for at in [sound.len() - 1, sound.len() - 40, sound.len() / 2] {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            let error = finish(&config, &out, &gpu).unwrap_err();
            assert!(matches!(error, Error::Checkpoint { .. }), "{name}: {error:?}");
            says(&error, &[name]);
            says(&error, words);
        }
        fs::write(&path, &sound).unwrap();
    };
    flipped("distilled.state.safetensors", &["is damaged", "delete it to start over"]);
    flipped("teacher-first.safetensors", &["is not the file that its stage stored"]);
    flipped("single-second.json", &["damaged"]);
    // Two networks that have changed places are sound files both.
    let [a, b] = ["teacher-first.safetensors", "teacher-second.safetensors"].map(|name| seed.join(name));
    let (first, second) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
    fs::write(&a, &second).unwrap();
    fs::write(&b, &first).unwrap();
    says(&finish(&config, &out, &gpu).unwrap_err(), &["teacher-first.safetensors", "is not the file"]);
    fs::write(&a, &first).unwrap();
    fs::write(&b, &second).unwrap();
    // A network alone, for whoever only wants to use it.
    let mut bytes = first.clone();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    let copy = folder.path().join("copy.safetensors");
    fs::write(&copy, &bytes).unwrap();
    says(&checkpoint::load(&gpu, &copy).unwrap_err(), &["copy.safetensors", "is damaged"]);
    finish(&config, &out, &gpu).unwrap();
    says(&flipped_eval(&out, &gpu), &["distilled.safetensors", "is not the file that its stage stored"]);
}

/// What `eval` says of a network in which a bit has changed.
fn flipped_eval(out: &Path, gpu: &limbeck::gpu::Gpu) -> Error {
    let path = out.join("seed-3/distilled.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    predict::evaluate(out, "distilled", "test", gpu).unwrap_err()
}

/// A file as earlier versions wrote it, without a hash: its card and one tensor.
fn bare(path: &Path, card: &str, values: &[f32]) {
    use safetensors::tensor::{Dtype, TensorView};
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![values.len()], &bytes).unwrap();
    let metadata = std::collections::HashMap::from([("limbeck".to_string(), card.to_string())]);
    fs::write(path, safetensors::serialize([("conv1.weight", view)], Some(metadata)).unwrap()).unwrap();
}

#[test]
fn a_card_that_claims_more_than_the_file_holds_is_refused_before_anything_is_made_of_it() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let path = folder.path().join("net.safetensors");
    let card = |arch: &str, width: f32, head: &str| {
        format!(
            r#"{{"schema":2,"arch":"{arch}","width":{width},"imagenet_stem":false,"head":{head},"decoder":0,
            "tasks":[{{"name":"a","kind":"class","classes":["x","y"]}}],"image":[8,8,1],"mean":[0.5],"std":[0.5],
            "stage":"joint","seed":0,"epoch":1,"val_score":null}}"#
        )
    };
    for (text, words) in [
        (card("resnet152", 16.0, "[]"), "its card describes a network of more than"),
        (card("resnet8", 0.25, "[65536, 65536]"), "its card describes a network of more than"),
        (card("resnet8", 1e30, "[]"), "its card is damaged: a width of 1e30"),
    ] {
        bare(&path, &text, &[0.5; 64]);
        let error = checkpoint::load(&gpu, &path).unwrap_err();
        says(&error, &["net.safetensors", words]);
    }
}

#[test]
fn a_journal_that_cannot_be_read_is_told_of_before_anything_is_trained_and_one_that_is_gone_is_no_matter() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 1\nbatch = 16\n");
    let out = folder.path().join("run");
    run_until(&config, &out, &gpu, |e| matches!(e, Event::Epoch(r) if r.stage == "teacher/second")).unwrap_err();
    let journal = out.join("metrics.jsonl");
    let sound = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, format!("garbage\n{sound}")).unwrap();
    let mut trained = false;
    let error = run_until(&config, &out, &gpu, |e| {
        trained |= matches!(e, Event::Stage { .. });
        false
    })
    .unwrap_err();
    says(&error, &["metrics.jsonl, line 1", "remove the line"]);
    assert!(!trained);
    fs::write(&journal, sound).unwrap();
    finish(&config, &out, &gpu).unwrap();
    fs::remove_file(&journal).unwrap();
    finish(&config, &out, &gpu).unwrap();
}
