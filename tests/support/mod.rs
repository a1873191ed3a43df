//! What the tests of whole runs share: a device, a small configuration, small networks and batches.
#![allow(dead_code)] // each test file uses its own part

use limbeck::config::Config;
use limbeck::data::compose::{Pairing, Samples};
use limbeck::data::digits;
use limbeck::experiment;
use limbeck::experiment::Summary;
use limbeck::gpu::{Gpu, Options};
use limbeck::kernels::augment;
use limbeck::loss::{CrossEntropy, LossLog, LossRecorder};
use limbeck::nn::{HeadSpec, Init, Mode, Network, NetworkSpec, Outputs, TrunkSpec, arch};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::Tensor;
use limbeck::train::Event;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub fn gpu() -> Gpu {
    Gpu::new(Options::from_env()).unwrap()
}

/// Relative distance of two vectors.
pub fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |v: f64| v * v;
    let difference: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let norm: f64 = b.iter().map(|b| square(f64::from(*b))).sum();
    (difference / norm.max(1e-30)).sqrt()
}

// ---------------------------------------------------------------- networks and batches

/// A CIFAR network with the two heads of the digits.
pub fn spec(name: &str, width: f32, hidden: &[usize]) -> NetworkSpec {
    let head = |task: &str| HeadSpec::mlp(task, 10, hidden);
    NetworkSpec {
        trunk: TrunkSpec { width, ..TrunkSpec::new(arch::parse(name).unwrap()) },
        channels: 1,
        heads: vec![head("first"), head("second")],
        init: Init::HeNormal,
    }
}

pub struct Sample {
    pub x: Tensor,
    pub labels: Vec<Tensor>,
    pub truth: Vec<Vec<u32>>,
}

/// The first `n` overlapped digits as a network sees them.
pub fn batch(gpu: &Gpu, n: usize) -> Sample {
    let pairing = Pairing { canvas: [12, 12], samples: Samples { train: n, val: 10, test: 10 }, seed: 1 };
    let data = digits::load(&pairing, 0).unwrap();
    let (mean, std) = data.channel_stats();
    let pixels = Tensor::from_bytes(gpu, &data.train.images.pixels).unwrap();
    let truth: Vec<Vec<u32>> = data.train.labels.iter().map(|l| l.classes().to_vec()).collect();
    Sample {
        x: augment::normalise(gpu, &pixels, [n, 12, 12, 1], &mean, &std).unwrap(),
        labels: truth.iter().map(|l| Tensor::from_u32(gpu, l, &[n]).unwrap()).collect(),
        truth,
    }
}

/// Forward, cross entropy of each head with its weight, backward; the gradients lie in the arena afterwards.
pub fn gradients(gpu: &Gpu, network: &Network, sample: &Sample, weights: [f32; 2], ledger: &mut LossLog) {
    let mut tape = Tape::new();
    let outputs = network.forward(gpu, &mut tape, Mode::Train, &Var::constant(sample.x.clone())).unwrap();
    let mut losses = LossRecorder { gpu, tape: &mut tape, ledger };
    for (task, weight) in weights.into_iter().enumerate() {
        CrossEntropy::default().apply(&mut losses, task, weight, &outputs.logits[task], &sample.labels[task]).unwrap();
    }
    drop(outputs);
    let grads = tape.backward(gpu).unwrap();
    network.params().zero_untouched(gpu, &grads).unwrap();
    gpu.flush().unwrap();
    ledger.advance();
}

pub fn ledger(gpu: &Gpu) -> LossLog {
    LossLog::new(gpu, vec!["first/ce".into(), "second/ce".into()], 4).unwrap()
}

pub fn forward(gpu: &Gpu, network: &Network, mode: Mode, x: &Tensor) -> Outputs<Var> {
    network.forward(gpu, &mut Tape::off(), mode, &Var::constant(x.clone())).unwrap()
}

pub fn values(gpu: &Gpu, network: &Network) -> Vec<f32> {
    network.params().export(gpu).unwrap().into_iter().flat_map(|n| n.data).collect()
}

// ---------------------------------------------------------------- runs

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
