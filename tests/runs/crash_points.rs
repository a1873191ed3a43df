//! The program dies at one of its file operations, or the operation fails, wherever that is: nothing is lost, and what is begun again ends
//! with the same bytes.
//!
//! `LIMBECK_FILE_FAULT` says at which (`src/files/fault.rs`); `./x torture` tries every one.

use crate::support::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;
use tempfile::{TempDir, tempdir};

/// What an operation is to meet.
const FAULTS: [&str; 3] = ["die", "broken", "full"];

/// A small run, undisturbed.
struct Small {
    root: TempDir,
    whole: PathBuf,
    /// What it did to files, and which.
    operations: Vec<String>,
}

fn small() -> Small {
    let root = tempdir().unwrap();
    let config = idx_folder(root.path()).to_toml();
    let config = config.replace("storage = \"none\"", "storage = \"f16\"");
    assert!(config.contains("storage = \"f16\""), "{config}");
    fs::write(root.path().join("small.toml"), config).unwrap();
    let (whole, log) = (root.path().join("whole"), root.path().join("log"));
    let output = start(root.path(), &whole, &[("LIMBECK_FILE_LOG", log.to_str().unwrap())]);
    assert!(output.status.success(), "{}", told(&output));
    let log = fs::read_to_string(log).unwrap();
    // The kernels that are kept at the end are not of the run.
    let inside = |line: &&str| line.contains("whole");
    let last = log.lines().count() - log.lines().rev().position(|line| inside(&line)).unwrap();
    let operations: Vec<String> = log.lines().take(last).map(String::from).collect();
    assert!(operations.len() > 100 && operations.iter().filter(|o| o.contains(".cache")).count() > 20);
    Small { root, whole, operations }
}

fn start(root: &Path, out: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limbeck"));
    command.arg("run").arg(root.join("small.toml")).arg("--out").arg(out).arg("--quiet");
    command.envs(variables.iter().copied()).env("LIMBECK_CACHE_DIR", root.join("kernels"));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether a run goes on where this fails: who holds the lock is for a message only, a state that its result has replaced does no harm, nor
/// does a lock that is let go of; whether a name is durable already cannot be asked of every file system.
fn is_passed_over(operation: &str) -> bool {
    let (what, path) = operation.split_once(' ').unwrap();
    what == "FlushFolder"
        || path.ends_with(".limbeck.holder")
        || what == "Remove" && (path.ends_with(".state.safetensors") || path.ends_with(".limbeck.lock"))
}

impl Small {
    /// Runs in `out` with a fault at the `at`th operation, and judges how that ends; whether it came to its end.
    fn attempt(&self, out: &Path, fault: &str, at: usize) -> bool {
        let log = self.root.path().join("log of one");
        let _ = fs::remove_file(&log);
        let variables =
            [("LIMBECK_FILE_FAULT", format!("{fault}:{at}")), ("LIMBECK_FILE_LOG", log.display().to_string())];
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let output = start(self.root.path(), out, &variables);
        let done = fs::read_to_string(&log).unwrap_or_default();
        let (text, met) = (told(&output), done.lines().nth(at - 1));
        let what = format!("{fault} at {at} ({met:?}): {} {text}", output.status);
        match (met, fault) {
            // It came to its end before.
            (None, _) => assert!(output.status.success(), "{what}"),
            (Some(_), "die") => assert!(output.status.code() != Some(0) && text.is_empty(), "{what}"),
            (Some(met), _) if output.status.success() => assert!(fault == "full" || is_passed_over(met), "{what}"),
            (Some(_), _) => {
                let words =
                    if fault == "full" { "Free some disk space and run the same" } else { "the device has failed" };
                assert!(output.status.code() == Some(1) && text.starts_with("error: cannot "), "{what}");
                assert!(text.contains(out.to_str().unwrap()) && text.contains(words), "{what}");
                // What was half written is taken away, and the lock is let go of.
                let kept = |f: &PathBuf| f.extension().is_none_or(|e| e != "tmp");
                assert!(files(out).iter().all(kept), "{what}: {:?}", files(out));
            }
        }
        output.status.success()
    }

    /// Runs on in `out` without a fault, and holds what is there then against the run that met none.
    fn end(&self, out: &Path, what: &str) {
        let output = start(self.root.path(), out, &[]);
        assert!(output.status.success(), "{what}: {}", told(&output));
        assert_same_run(what, &self.whole, out);
        fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn a_run_whose_file_operations_fail_again_and_again_ends_with_the_same_bytes() {
    let (small, mut rng) = (small(), ChaCha8Rng::seed_from_u64(setting("LIMBECK_TORTURE_SEED", 0)));
    for round in 0..2 {
        let (out, mut met) = (small.root.path().join(format!("run-{round}")), 0);
        for fault in FAULTS.iter().cycle() {
            // Soon enough that there are many of them, late enough that the run gets on.
            let at = rng.random_range(1..=small.operations.len() / 4);
            if small.attempt(&out, fault, at) {
                break;
            }
            met += 1;
            assert!(met < 100, "it does not come to its end");
        }
        println!("{met} faults");
        assert!(met >= 3);
        small.end(&out, &format!("after {met} faults"));
    }
}

#[test]
#[ignore = "every one: ./x torture"]
fn a_run_ends_with_the_same_bytes_whichever_file_operation_was_the_last_or_failed() {
    let (begin, seconds) = (Instant::now(), setting("LIMBECK_TORTURE_SECONDS", 60));
    let (small, mut rng) = (small(), ChaCha8Rng::seed_from_u64(setting("LIMBECK_TORTURE_SEED", 0)));
    let mut all: Vec<(&str, usize)> =
        FAULTS.iter().flat_map(|fault| (1..=small.operations.len()).map(move |at| (*fault, at))).collect();
    // Deaths first, so that time that is short is theirs.
    all.shuffle(&mut rng);
    all.sort_by_key(|(fault, _)| *fault != "die");
    let (out, mut tried) = (small.root.path().join("run"), [0; 3]);
    for (fault, at) in &all {
        if begin.elapsed().as_secs() >= seconds {
            break;
        }
        small.attempt(&out, fault, *at);
        small.end(&out, &format!("{fault} at {at}, {}", small.operations[at - 1]));
        tried[FAULTS.iter().position(|f| f == fault).unwrap()] += 1;
    }
    let [deaths, broken, full] = tried;
    println!(
        "of {} file operations {deaths} were the last, {broken} failed, {full} met a full disk",
        small.operations.len()
    );
    assert!(deaths > 0);
}
