//! Runs that are killed at random moments, again and again, for as long as one likes: `./x torture`.
//!
//! `LIMBECK_TORTURE_SECONDS` says how long (60), `LIMBECK_TORTURE_SEED` which moments.

use crate::signals::{CONFIG, networks, start};
use crate::support::setting;
use limbeck::train::event::read_records;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How a process is ended.
#[derive(Debug, Clone, Copy)]
enum End {
    /// At once, without a word.
    Kill,
    /// By Ctrl-C.
    Interrupt,
    /// By a second one soon after.
    Twice,
}

fn end(child: &mut Child, how: End, rng: &mut ChaCha8Rng) {
    let interrupt = |child: &Child| drop(Command::new("kill").args(["-INT", &child.id().to_string()]).status());
    match how {
        End::Kill => drop(child.kill()),
        End::Interrupt => interrupt(child),
        End::Twice => {
            interrupt(child);
            std::thread::sleep(Duration::from_millis(rng.random_range(0..200)));
            interrupt(child);
        }
    }
}

/// Names of what lies below a folder.
fn names(folder: &Path) -> BTreeSet<PathBuf> {
    let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.flat_map(|path| if path.is_dir() { names(&path) } else { BTreeSet::from([path]) }).collect()
}

#[test]
#[ignore = "as long as one likes: ./x torture"]
fn killed_at_random_moments_runs_end_with_the_same_bytes() {
    let (begin, seconds) = (Instant::now(), setting("LIMBECK_TORTURE_SECONDS", 60));
    let mut rng = ChaCha8Rng::seed_from_u64(setting("LIMBECK_TORTURE_SEED", 0));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("small.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let whole = folder.path().join("whole");
    let clock = Instant::now();
    assert!(start(&config, &whole).wait().unwrap().success());
    let usual = clock.elapsed().as_millis() as u64;
    let expected = networks(&whole);
    let (mut runs, mut ends) = (0, [0; 3]);
    while begin.elapsed().as_secs() < seconds {
        let out = folder.path().join(format!("run-{runs}"));
        loop {
            let mut child = start(&config, &out);
            // Half of the moments lie in the first second, where folders are made and kernels compiled.
            let most = if rng.random_bool(0.5) { 1000 } else { usual };
            std::thread::sleep(Duration::from_millis(rng.random_range(0..most)));
            let how = [End::Kill, End::Interrupt, End::Twice][rng.random_range(0..3)];
            // A process that has come to its end, or been ended ten times as often as would be fair, is left alone.
            if ends.iter().sum::<usize>() < 40 * (runs + 1) && child.try_wait().unwrap().is_none() {
                end(&mut child, how, &mut rng);
                ends[how as usize] += 1;
            }
            let output = child.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            match (output.status.code(), how) {
                (Some(0), _) => break,
                // By the signal; or told of it, where it came before the program listened.
                (None, End::Kill) | (Some(130), _) => {}
                (None, _) if std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(2) => {}
                (code, how) => panic!("{how:?} ended with {code:?} ({}): {told}", output.status),
            }
        }
        for ((path, a), (other, b)) in expected.iter().zip(networks(&out)) {
            assert!(*path == other && *a == b, "{} differs after {ends:?}", path.display());
        }
        let hidden = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with('.');
        let left: Vec<PathBuf> = names(&out).into_iter().filter(hidden).collect();
        assert!(left.is_empty(), "{left:?}");
        let lines = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap().lines().count();
        assert_eq!(lines, read_records(&out.join("metrics.jsonl")).unwrap().len(), "an epoch is told twice");
        std::fs::remove_dir_all(&out).unwrap();
        runs += 1;
    }
    let [killed, interrupted, twice] = ends;
    println!("{runs} runs, ended {killed} times by kill -9, {interrupted} by Ctrl-C, {twice} by two of them");
    assert!(runs > 0);
}
