//! What the tests of whole runs and of their data share: a device, small configurations, and what a run leaves behind.

use limbeck::Error;
use limbeck::config::Config;
use limbeck::experiment;
use limbeck::experiment::{StageKind, Summary};
use limbeck::gpu::{Gpu, Options};
use limbeck::train::event::read_records;
use limbeck::train::{EpochRecord, Event};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub fn gpu() -> Gpu {
    Gpu::new(Options::from_env()).unwrap()
}

/// A run of seconds on the embedded digits; `more` is appended to the file.
pub fn digits_config(more: &str) -> Config {
    let text = format!(
        "name = \"small\"\nseeds = [3]\n\
         [data]\nsource = \"digits\"\nsamples = {{ train = 80, val = 40, test = 40 }}\n\
         [augment]\nshift = 1\nnoise = 0.05\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.5\n[student]\narch = \"resnet8\"\nwidth = 0.25\n{more}"
    );
    Config::parse(&text, Path::new("small.toml"), &[]).unwrap()
}

/// Runs to the end, telling nobody.
pub fn finish(config: &Config, out: &Path, gpu: &Gpu) -> limbeck::Result<Summary> {
    experiment::run(config, out, gpu, &AtomicBool::new(false), &mut |_| {})
}

/// Runs until `when` says so.
pub fn run_until(
    config: &Config,
    out: &Path,
    gpu: &Gpu,
    mut when: impl FnMut(&Event) -> bool,
) -> limbeck::Result<Summary> {
    let stop = AtomicBool::new(false);
    experiment::run(config, out, gpu, &stop, &mut |event| {
        if when(&event) {
            stop.store(true, Ordering::Relaxed);
        }
    })
}

/// The same of some kinds of stages, and what they need: for checks that the others would only slow down.
pub fn some_until(
    config: &Config,
    out: &Path,
    gpu: &Gpu,
    kinds: &[StageKind],
    mut when: impl FnMut(&Event) -> bool,
) -> limbeck::Result<Summary> {
    let stop = AtomicBool::new(false);
    experiment::run_only(config, out, kinds, gpu, &stop, &mut |event| {
        if when(&event) {
            stop.store(true, Ordering::Relaxed);
        }
    })
}

/// The journal's lines of one stage.
pub fn records(out: &Path, stage: &str) -> Vec<EpochRecord> {
    read_records(&out.join("metrics.jsonl")).unwrap().into_iter().filter(|r| r.stage == stage).collect()
}

/// Trains the distilled student, and what it needs, and gives the notes it told.
pub fn told(config: &Config, out: &Path, gpu: &Gpu) -> Vec<String> {
    let mut notes = Vec::new();
    let note = |event: &Event| {
        if let Event::Note { text } = event {
            notes.push(text.to_string());
        }
        false
    };
    some_until(config, out, gpu, &[StageKind::Distilled], note).unwrap();
    notes
}

/// A number from the environment.
pub fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, no number")))
}

/// Finds that the message of an error has these words in it.
#[track_caller]
pub fn says(error: &Error, words: &[&str]) {
    let message = error.to_string();
    words.iter().for_each(|w| assert!(message.contains(w), "{w:?} is not in: {message}"));
}

/// Names of the files below `root`, sorted.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(root) else { return found };
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|p| Path::new(&entry.file_name()).join(p)));
        } else {
            found.push(entry.file_name().into());
        }
    }
    found.sort();
    found
}

/// An epoch without what differs from one machine, or one try, to the next.
pub fn timeless(record: EpochRecord) -> EpochRecord {
    EpochRecord { seconds: 0.0, images_per_second: 0.0, ..record }
}

/// Byte-identical networks, the same journal, the same results.
#[track_caller]
pub fn assert_same_run(what: &str, a: &Path, b: &Path) {
    assert_eq!(files(a), files(b), "{what}");
    for file in files(a).iter().filter(|f| f.extension().is_some_and(|e| e == "safetensors")) {
        let (a, b) = (std::fs::read(a.join(file)).unwrap(), std::fs::read(b.join(file)).unwrap());
        assert!(a == b, "{what}: {} differs", file.display());
    }
    let journal = |dir: &Path| -> Vec<EpochRecord> {
        read_records(&dir.join("metrics.jsonl")).unwrap().into_iter().map(timeless).collect()
    };
    assert_eq!(journal(a), journal(b), "{what}");
    let models = |dir: &Path| Summary::load(&dir.join("summary.json")).unwrap().models;
    assert_eq!(models(a), models(b), "{what}");
}

pub fn copy_folder(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(&file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(from.join(file), target).unwrap();
    }
}

// ---------------------------------------------------------------- files of data

pub fn idx(magic: [u8; 4], dims: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend(values);
    bytes
}

pub const IDX_FILES: [&str; 4] = ["train-images", "train-labels", "test-images", "test-labels"];

/// 30 training and 9 test images of 8x8 in three classes, and the run's file for them.
pub fn idx_folder(root: &Path) -> Config {
    for (part, n) in [("train", 30_u32), ("test", 9)] {
        let labels: Vec<u8> = (0..n).map(|i| (i % 3) as u8).collect();
        let pixel = |i: u32, p: u32| ((i * 37 + p * 11) % 64 + i % 3 * 90) as u8;
        let pixels: Vec<u8> = (0..n).flat_map(|i| (0..64).map(move |p| pixel(i, p))).collect();
        std::fs::write(root.join(format!("{part}-images")), idx([0, 0, 8, 3], &[n, 8, 8], &pixels)).unwrap();
        std::fs::write(root.join(format!("{part}-labels")), idx([0, 0, 8, 1], &[n], &labels)).unwrap();
    }
    let text = format!(
        "seeds = [0]\n[data]\nsource = \"idx\"\nroot = {:?}\nval_fraction = 0.2\n\
         files = {{ train_images = \"train-images\", train_labels = \"train-labels\", \
         test_images = \"test-images\", test_labels = \"test-labels\", task = \"kind\" }}\n\
         [train]\nepochs = 2\nbatch = 8\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.25\n[student]\narch = \"resnet8\"\nwidth = 0.25\n",
        root.display().to_string()
    );
    Config::parse(&text, Path::new("idx.toml"), &[]).unwrap()
}
