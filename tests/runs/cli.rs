//! The program as a user meets it: exit codes, and what is said where. None of this needs a GPU.

use std::path::Path;
use std::process::Output;

fn limbeck(folder: &Path, args: &[&str]) -> Output {
    crate::program::limbeck().current_dir(folder).args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_is_zero_and_has_an_example() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        &["--help"][..],
        &["run", "--help"],
        &["eval", "--help"],
        &["predict", "--help"],
        &["keys", "--help"],
        &["devices", "--help"],
        &["bench", "--help"],
    ] {
        let output = limbeck(folder.path(), command);
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example"), "{command:?}");
    }
}

/// What the documentation says of the keys is what this program says.
#[test]
fn the_reference_of_keys_is_not_stale() {
    let folder = tempfile::tempdir().unwrap();
    let output = limbeck(folder.path(), &["keys", "--format", "markdown"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keys.md");
    let stored = std::fs::read_to_string(stored).unwrap().replace("\r\n", "\n");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told == stored, "docs/keys.md is stale: limbeck keys --format markdown > docs/keys.md");
    let one = limbeck(folder.path(), &["keys", "distill.kd"]);
    let one = String::from_utf8_lossy(&one.stdout).into_owned();
    assert!(one.starts_with("[distill.kd]") && one.contains("temperature = 4.0") && !one.contains("[train]"), "{one}");
    let wrong = limbeck(folder.path(), &["keys", "trian"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("no table [trian]") && stderr(&wrong).contains("train"), "{}", stderr(&wrong));
}

/// What is wrong with the images or with where answers go is told before a device is opened or a run is looked for.
#[test]
fn predict_refuses_what_cannot_be_meant() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::write(folder.path().join("none.txt"), "# no image\n\n").unwrap();
    std::fs::write(folder.path().join("some.txt"), "a.png\nempty\n").unwrap();
    std::fs::write(folder.path().join("a.png"), "").unwrap();
    for (args, code, words) in [
        (&["empty"][..], 1, "holds no .png, .jpg or .jpeg image"),
        (&["*.jpg"], 1, "no .png, .jpg or .jpeg image has a path like this"),
        (&["@none.txt"], 1, "names no image"),
        (&["@missing.txt"], 1, "missing.txt"),
        (&["--list", "some.txt"], 1, "some.txt, line 2"),
        (&["a.png", "b.png", "--draw", "out.png"], 1, "there are 2 images; give a folder"),
        (&["a.png", "--draw", "none.txt"], 1, "is a file"),
        (&["a.png", "--masks", "none.txt"], 1, "is a file"),
        (&["a.png", "--threshold", "1.5"], 2, "a number from 0 to 1"),
        (&["a.png", "--nms=-0.5"], 2, "a number from 0 to 1"),
        (&[], 2, "IMAGE"),
    ] {
        let output = limbeck(folder.path(), &[&["predict", "run"][..], args].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_mistake_in_the_file_is_one_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("run.toml"), "[train]\nepochs = 1\nlearning_rate = 0.1\n").unwrap();
    let output = limbeck(folder.path(), &["run", "run.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: run.toml:3: train.learning_rate: unknown key; did you mean `lr`?\n");
    assert!(output.stdout.is_empty());
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn the_examples_of_configurations_are_sound() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut read = 0;
    for path in std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".toml") {
            continue;
        }
        read += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        if name.starts_with("ablation") {
            // Each row is read, and only the data may not be there.
            if let Err(error) = limbeck::experiment::ablation::Ablation::load(&path, &[]) {
                assert!(error.to_string().contains("there is no file"), "{error}");
            }
        } else {
            let config = limbeck::config::Config::parse(&text, &path, &[]).unwrap();
            assert_eq!(limbeck::config::Config::parse(&config.to_toml(), &path, &[]).unwrap(), config, "{name}");
        }
    }
    assert!(read >= 9, "{read}");
}
