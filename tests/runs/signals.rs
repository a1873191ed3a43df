//! The program interrupted, politely or not, ends with the same bytes as one that is not.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const CONFIG: &str = r#"
name = "small"
seeds = [7]
[data]
source = "digits"
canvas = [9, 9]
samples = { train = 480, val = 60, test = 60 }
[augment]
shift = 1
noise = 0.05
[train]
epochs = 3
batch = 16
[teacher]
arch = "resnet8"
width = 0.5
[student]
arch = "resnet8"
width = 0.25
[distill]
methods = ["kd", "normalised"]
"#;

pub fn start(config: &Path, out: &Path) -> Child {
    let mut command = crate::program::limbeck();
    command.arg("run").arg(config).arg("--out").arg(out);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until `done` says so; the run must not end before.
fn wait_for(child: &mut Child, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be interrupted");
        assert!(start.elapsed() < Duration::from_secs(300), "nothing happened for five minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every network of the run, by path.
pub fn networks(out: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = out.join("seed-7");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "safetensors"));
    files.sort();
    files.into_iter().map(|f| (f.strip_prefix(out).unwrap().to_path_buf(), std::fs::read(&f).unwrap())).collect()
}

#[test]
fn killed_and_interrupted_runs_resume_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("small.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let whole = folder.path().join("whole");
    assert!(start(&config, &whole).wait().unwrap().success());

    let broken = folder.path().join("broken");
    let state = |stage: &str| broken.join("seed-7").join(format!("{stage}.state.safetensors"));
    // kill -9 in the first stage, after its first epoch.
    let mut child = start(&config, &broken);
    wait_for(&mut child, || state("teacher-first").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!broken.join("summary.json").exists());
    // Ctrl-C in the last one.
    let mut child = start(&config, &broken);
    wait_for(&mut child, || state("distilled").exists());
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("run the same command again to resume"), "{stderr}");
    // And once more, to the end.
    assert!(start(&config, &broken).wait().unwrap().success());

    let (want, got) = (networks(&whole), networks(&broken));
    let names = |n: &[(PathBuf, Vec<u8>)]| n.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>();
    assert_eq!(names(&want), names(&got));
    assert_eq!(want.len(), 12, "best and last of two teachers, two baselines, joint and distilled");
    for ((path, a), (_, b)) in want.iter().zip(&got) {
        assert!(a == b, "{} differs after the interruptions", path.display());
    }
}

/// Twice, wherever it is: while a driver compiles, too, it ends as one that was interrupted, and not by a crash.
#[test]
fn a_second_interrupt_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("small.toml");
    std::fs::write(&config, CONFIG).unwrap();
    for (i, wait) in [0, 60, 250, 700].into_iter().enumerate() {
        let out = folder.path().join(i.to_string());
        let mut child = start(&config, &out);
        // What follows is the first stage, which begins by compiling.
        wait_for(&mut child, || out.join("data.json").exists());
        std::thread::sleep(Duration::from_millis(wait));
        let interrupt = || Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        interrupt();
        std::thread::sleep(Duration::from_millis(20));
        // It may have stopped after the first already.
        interrupt();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(130),
            "try {i}: {:?} {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
