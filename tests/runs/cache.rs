//! Answers of teachers that are kept: the same bits, bounded, held against the teachers.

use crate::support::*;
use limbeck::Error;
use limbeck::config::Config;
use limbeck::experiment;
use limbeck::experiment::StageKind;
use limbeck::train::Event;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::tempdir;

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
    let distil =
        |config: &Config, out: &Path| some_until(config, out, &gpu, &[StageKind::Distilled], |_| false).unwrap();
    let student = |dir: &Path| fs::read(dir.join("seed-3/distilled.last.safetensors")).unwrap();
    distil(&config("none"), &path("live"));
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
    distil(&still("none"), &path("still"));
    for storage in ["f32", "f16", "topk"] {
        let (whole, torn) = (path(&format!("{storage} whole")), path(&format!("{storage} torn")));
        let notes = told(&still(storage), &whole, &gpu);
        assert!(notes[2].contains("240 pictures were found, 80 were shown"), "{notes:?}");
        if storage == "f32" {
            assert!(student(&path("still")) == student(&whole));
        }
        let mut epochs = 0;
        let error = some_until(&still(storage), &torn, &gpu, &[StageKind::Distilled], |e| {
            epochs += usize::from(matches!(e, Event::Epoch(r) if r.stage == "distilled"));
            epochs == 2
        })
        .unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        distil(&still(storage), &torn);
        assert!(student(&whole) == student(&torn), "{storage}");
        assert!(
            experiment::verify_cache(&whole, 1.0, &gpu).unwrap().iter().all(|v| v.wrong == 0 && v.checked == 80),
            "{storage}"
        );
    }

    // Two answers that have changed places are found out, whether or not the file says so itself, and a damaged file is named.
    let caches: Vec<PathBuf> =
        fs::read_dir(path("f32 whole").join("cache")).unwrap().map(|e| e.unwrap().path()).collect();
    let whole = fs::read(&caches[0]).unwrap();
    let start = 12 + u32::from_le_bytes(whole[8..12].try_into().unwrap()) as usize;
    let record = (whole.len() - start) / 80;
    let mut changed = whole.clone();
    changed[start..start + 16].copy_from_slice(&whole[start + record..start + record + 16]);
    changed[start + record..start + record + 16].copy_from_slice(&whole[start..start + 16]);
    fs::write(&caches[0], &changed).unwrap();
    let error = experiment::verify_cache(&path("f32 whole"), 1.0, &gpu).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    for record in changed[start..].chunks_exact_mut(record) {
        let sum = checksum(&[&record[..16], &record[20..]].concat());
        record[16..20].copy_from_slice(&sum.to_le_bytes());
    }
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

/// As the file's: FNV-1a, folded.
fn checksum(bytes: &[u8]) -> u32 {
    let hash =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash ^ (hash >> 32)) as u32
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
