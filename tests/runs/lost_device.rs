//! The device is lost, or has no memory left, wherever that is: the run ends with an error that says what to do, what is stored stays as it
//! is, and the run begun again ends with the same bytes.
//!
//! `gpu::Options::fault`, or `LIMBECK_GPU_FAULT` for the program, says where (`src/gpu/provoke.rs`); `./x torture` tries many more.

use crate::support::*;
use limbeck::Error;
use limbeck::config::Config;
use limbeck::gpu::{DeviceFault, Gpu, Options};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::{TempDir, tempdir};

/// A small run, undisturbed.
struct Small {
    root: TempDir,
    config: Config,
    whole: PathBuf,
    /// How often it submitted, waited at least, and allocated.
    submissions: u64,
    buffers: u64,
}

fn small() -> Small {
    let (gpu, root) = (gpu(), tempdir().unwrap());
    let config = idx_folder(root.path());
    let whole = root.path().join("whole");
    finish(&config, &whole, &gpu).unwrap();
    let stats = gpu.stats();
    assert!(stats.submits > 50 && stats.pool.created > 50, "{stats:?}");
    Small { root, config, whole, submissions: stats.submits, buffers: stats.pool.created }
}

fn failing(fault: DeviceFault) -> Gpu {
    Gpu::new(Options { fault: Some(fault), ..Options::from_env() }).unwrap()
}

impl Small {
    /// A fault somewhere in the first `part` of the run.
    fn draw(&self, rng: &mut impl Rng, part: u64) -> DeviceFault {
        let submission = rng.random_range(1..=self.submissions / part);
        let buffer = rng.random_range(1..=self.buffers / part);
        let all = [
            DeviceFault::Lost(submission),
            // There are at least two waits an epoch, one for the losses and one for the scores.
            DeviceFault::LostInWait(rng.random_range(1..=4)),
            DeviceFault::NoMemory(buffer),
            DeviceFault::NoMemoryOnce(buffer),
        ];
        *all.choose(rng).unwrap()
    }

    /// Runs in `out` on a device with a fault, and judges how that ends; whether it came to its end.
    fn attempt(&self, out: &Path, fault: DeviceFault) -> bool {
        let before = networks(out);
        let outcome = finish(&self.config, out, &failing(fault));
        match (&outcome, fault) {
            (Ok(_), _) => return true,
            (Err(error @ Error::DeviceLost { .. }), DeviceFault::Lost(_) | DeviceFault::LostInWait(_)) => {
                says(error, &["the GPU device was lost", "What was saved is intact", "same command again to resume"]);
            }
            (Err(error @ Error::OutOfMemory { .. }), DeviceFault::NoMemory(_)) => {
                says(error, &["out of GPU memory", "What was saved is intact", "or lower train.batch"]);
            }
            (Err(error), _) => panic!("{fault:?}: {error:?}"),
        }
        // Of networks that were there none is gone, and the finished ones are as they were.
        for (path, bytes) in before {
            let finished = path.with_file_name(stage_of(&path)).with_extension("json").exists();
            assert!(path.exists() && (!finished || fs::read(&path).unwrap() == bytes), "{fault:?}: {}", path.display());
        }
        false
    }

    fn end(&self, out: &Path, what: &str) {
        finish(&self.config, out, &gpu()).unwrap();
        assert_same_run(what, &self.whole, out);
        fs::remove_dir_all(out).unwrap();
    }
}

/// The networks below a folder, and their bytes.
fn networks(out: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let all = files(out).into_iter().map(|file| out.join(file));
    let networks =
        all.filter(|f| f.to_string_lossy().ends_with(".safetensors") && !f.to_string_lossy().contains(".state."));
    networks.map(|f| (f.clone(), fs::read(f).unwrap())).collect()
}

/// `joint` of `joint.last.safetensors`.
fn stage_of(path: &Path) -> String {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    name.split('.').next().unwrap().to_string()
}

#[test]
fn a_device_that_is_lost_or_full_again_and_again_leaves_the_same_bytes() {
    let (small, mut rng) = (small(), ChaCha8Rng::seed_from_u64(setting("LIMBECK_TORTURE_SEED", 0)));
    let out = small.root.path().join("run");
    // One of each, and then whatever comes.
    let first = [
        DeviceFault::Lost(1),
        DeviceFault::NoMemory(20),
        DeviceFault::LostInWait(1),
        DeviceFault::Lost(small.submissions / 4),
        DeviceFault::NoMemory(small.buffers / 3),
        DeviceFault::LostInWait(3),
    ];
    for fault in first {
        assert!(!small.attempt(&out, fault), "{fault:?} was not met");
    }
    let drawn: Vec<_> = (0..4).map(|_| small.draw(&mut rng, 3)).collect();
    for fault in &drawn {
        small.attempt(&out, *fault);
    }
    small.end(&out, &format!("after {first:?}, {drawn:?}"));
}

/// Buffers that only wait in the pool are given back, and the run goes on as if nothing had been.
#[test]
fn memory_that_is_short_for_a_moment_changes_nothing() {
    let small = small();
    let out = small.root.path().join("run");
    for part in [5, 2] {
        let fault = DeviceFault::NoMemoryOnce(small.buffers / part);
        assert!(small.attempt(&out, fault), "{fault:?}");
        assert_same_run(&format!("{fault:?}"), &small.whole, &out);
        fs::remove_dir_all(&out).unwrap();
    }
}

/// Runs the program on a configuration in `root`; it must tell of what it meets in one line, without a word of wgpu's panic.
#[cfg(feature = "cli")]
#[track_caller]
fn tells(root: &Path, sets: &[&str], variables: &[(&str, &str)], words: &str) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_limbeck"));
    command.current_dir(root).args(["run", "small.toml", "--quiet", "--out", "run"]);
    command.args(sets.iter().flat_map(|set| ["--set", set]));
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{variables:?}: {told}");
    assert!(told.starts_with(words) && told.lines().count() == 1, "{variables:?}: {told}");
}

#[cfg(feature = "cli")]
#[test]
fn the_program_tells_of_a_lost_device_in_one_line() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("small.toml"), idx_folder(folder.path()).to_toml()).unwrap();
    for (fault, words) in [
        ("lost:9", "error: the GPU device was lost ("),
        ("lost-in-wait:2", "error: the GPU device was lost (Error in Device::poll"),
        ("memory:30", "error: out of GPU memory while allocating a buffer ("),
    ] {
        tells(folder.path(), &[], &[("LIMBECK_GPU_FAULT", fault)], words);
    }
}

/// The same from below: what wgpu makes of a driver's own answers, which a layer of Vulkan gives in its place.
#[cfg(all(feature = "cli", target_os = "linux"))]
#[test]
fn the_program_tells_of_what_a_driver_answers_and_goes_on_afterwards() {
    let small = small();
    let root = small.root.path();
    fs::write(root.join("small.toml"), small.config.to_toml()).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/fault_layer.c");
    // The compiler that links Rust's programs.
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(root.join("libfault.so")).arg(source);
    assert!(compiler.status().unwrap().success());
    let manifest = r#"{"file_format_version": "1.2.0", "layer": {"name": "VK_LAYER_LIMBECK_fault", "type": "GLOBAL",
        "library_path": "./libfault.so", "api_version": "1.3.0", "implementation_version": "1", "description": "faults"}}"#;
    fs::write(root.join("fault.json"), manifest).unwrap();
    let layer = root.to_str().unwrap();
    let meets = |fault: &str, sets: &[&str], words: &str| {
        let layers = [("VK_LAYER_PATH", layer), ("VK_INSTANCE_LAYERS", "VK_LAYER_LIMBECK_fault")];
        tells(root, sets, &[layers[0], layers[1], ("LIMBECK_VULKAN_FAULT", fault)], words);
    };
    for fault in ["submit:1", "submit:40", "wait:2", "wait:9"] {
        meets(fault, &[], "error: the GPU device was lost (");
    }
    small.end(&root.join("run"), "after a driver that failed");
    // The first block of memory is there when the device is opened, and enough for a small network.
    let large = ["teacher.width=8", "train.batch=24"];
    meets("memory:2", &large, "error: out of GPU memory while ");
}

#[test]
#[ignore = "as long as one likes: ./x torture"]
fn a_run_ends_with_the_same_bytes_wherever_the_device_was_lost_or_full() {
    let (begin, seconds) = (Instant::now(), setting("LIMBECK_TORTURE_SECONDS", 60));
    let (small, mut rng) = (small(), ChaCha8Rng::seed_from_u64(setting("LIMBECK_TORTURE_SEED", 0)));
    let out = small.root.path().join("run");
    let (mut runs, mut met) = (0, 0);
    while begin.elapsed().as_secs() < seconds {
        let faults: Vec<_> = (0..rng.random_range(1..6)).map(|_| small.draw(&mut rng, 1)).collect();
        met += faults.iter().filter(|fault| !small.attempt(&out, **fault)).count();
        small.end(&out, &format!("after {faults:?}"));
        runs += 1;
    }
    println!("{runs} runs, which met {met} lost devices and times without memory");
    assert!(met > 0);
}
