//! The examples, run as a reader would run them: each must end well and say what it promises.
//!
//! `cargo test` builds them beside the tests; `cargo test --test runs` does not: `cargo build --examples` first, as `./x test` does.

use crate::program::command;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Instant;

/// `target/release/examples/NAME`, seen from `target/release/deps/runs-0123`.
fn program(name: &str) -> PathBuf {
    let test = PathBuf::from(std::env::args_os().next().unwrap());
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(format!("{name}.rs"));
    let built = path.metadata().and_then(|m| m.modified()).ok();
    let current = built.is_some_and(|built| built >= source.metadata().unwrap().modified().unwrap());
    assert!(
        current,
        "{} is not built, or is older than its source; run `cargo build --release --examples`",
        path.display()
    );
    path
}

/// What the example prints; fails unless it succeeds.
fn run(name: &str, arguments: &[&Path]) -> String {
    let start = Instant::now();
    let Output { status, stdout, stderr } = command(program(name)).args(arguments).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{name}: {status}\n{text}\n{errors}");
    eprintln!("{name}: {:.1} s\n{text}", start.elapsed().as_secs_f64());
    text.into_owned()
}

/// Every number before a `%`.
fn percentages(line: &str) -> Vec<f64> {
    line.split(" %").filter_map(|part| part.rsplit(' ').next()?.parse().ok()).collect()
}

#[test]
fn distill_tells_the_whole_story() {
    let text = run("distill", &[]);
    let of = |name: &str| percentages(text.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{text}")));
    // The settings are small, but nobody comes near these figures by guessing (10 %).
    let [teachers, joint, distilled] =
        [[of("teacher, digit 1"), of("teacher, digit 2")].concat(), of("student, joint"), of("student, distilled")];
    assert!(teachers.len() == 2 && teachers.iter().all(|a| *a > 85.0), "{text}");
    assert!(joint.len() == 2 && joint.iter().all(|a| *a > 50.0), "{text}");
    assert!(distilled.len() == 2 && distilled.iter().all(|a| *a > 60.0), "{text}");
}

#[test]
fn custom_kernel_agrees_with_its_differences() {
    let text = run("custom_kernel", &[]);
    assert!(text.starts_with("1000 gradients"), "{text}");
}

#[cfg(feature = "train")]
#[test]
fn infer_uses_what_train_teacher_stored() {
    let dir = tempfile::tempdir().unwrap();
    let stored = dir.path().join("teacher.safetensors");
    let text = run("train_teacher", &[&stored]);
    assert!(text.contains("epoch 8: loss") && text.contains("stored epoch"), "{text}");
    let text = run("infer", &[&stored]);
    let last = text.lines().last().unwrap();
    let (right, asked) = last.strip_suffix(" test digits right").and_then(|l| l.split_once(" of ")).unwrap();
    let (right, asked): (f64, f64) = (right.parse().unwrap(), asked.parse().unwrap());
    assert!(asked > 400.0 && right > 0.9 * asked, "{text}");
    // An image file goes the same way: a grey square is some digit or other.
    let picture = dir.path().join("square.png");
    image::GrayImage::from_pixel(20, 20, image::Luma([128])).save(&picture).unwrap();
    let text = run("infer", &[&stored, &picture]);
    assert!(text.contains("square.png: digit "), "{text}");
}

#[cfg(feature = "train")]
#[test]
fn infer_without_a_file_says_how_to_make_one() {
    assert!(run("infer", &[]).contains("train_teacher"));
}
