//! What goes wrong ends in an error that says what, where and what to do, and leaves earlier results as they were.

use crate::support::*;
use image::{Rgb, RgbImage};
use limbeck::Error;
use limbeck::checkpoint;
use limbeck::config::Config;
use limbeck::experiment;
use limbeck::predict;
use limbeck::train::Event;
use limbeck::train::event::read_records;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use tempfile::tempdir;

// ---------------------------------------------------------------- data

#[test]
fn where_a_damaged_file_was_refused_a_mended_one_is_learnt_from() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = idx_folder(folder.path());
    let out = folder.path().join("run");
    for name in IDX_FILES {
        let path = folder.path().join(name);
        let sound = fs::read(&path).unwrap();
        fs::write(&path, &sound[..sound.len() - 1]).unwrap();
        let error = finish(&config, &out, &gpu).unwrap_err();
        assert!(matches!(error, Error::Data { .. }), "{error:?}");
        says(&error, &[name, "truncated"]);
        fs::write(&path, &sound).unwrap();
    }
    finish(&config, &out, &gpu).unwrap();
}

/// `pictures/train/red` and `pictures/train/blue`, twelve each.
fn pictures(root: &Path) -> Config {
    for (name, colour) in [("red", [250, 10, 10]), ("blue", [10, 10, 250])] {
        let folder = root.join("pictures/train").join(name);
        fs::create_dir_all(&folder).unwrap();
        for i in 0..12 {
            RgbImage::from_pixel(9, 8 + i, Rgb(colour)).save(folder.join(format!("{i:02}.jpg"))).unwrap();
        }
    }
    let text = format!(
        "seeds = [0]\n[data]\nsource = \"folder\"\nroot = {:?}\nfolder = \"pictures\"\nsize = [8, 8]\nchannels = 3\n\
         val_fraction = 0.2\ntest_fraction = 0.2\n\
         [train]\nepochs = 1\nbatch = 4\nwarmup_epochs = 0\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.25\n[student]\narch = \"resnet8\"\nwidth = 0.25\n",
        root.display().to_string()
    );
    Config::parse(&text, Path::new("pictures.toml"), &[]).unwrap()
}

#[test]
fn a_corrupt_picture_is_skipped_and_named() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = pictures(folder.path());
    let broken = folder.path().join("pictures/train/red/05.jpg");
    let bytes = fs::read(&broken).unwrap();
    fs::write(&broken, &bytes[..bytes.len() / 3]).unwrap();
    let mut told = Vec::new();
    let out = folder.path().join("run");
    let summary = experiment::run(&config, &out, &gpu, &AtomicBool::new(false), &mut |event| {
        if let Event::Run { notes, .. } = event {
            told.extend(notes.iter().cloned());
        }
    })
    .unwrap();
    assert!(told[0].starts_with("  data ") && told[1].starts_with("  images "), "{told:?}");
    let place = told.iter().position(|line| line == "  left out: 1").unwrap();
    assert_eq!(told.len(), place + 3, "{told:?}");
    assert!(told[place + 2].contains(&broken.display().to_string()), "{told:?}");
    let list = fs::read_to_string(out.join("skipped.txt")).unwrap();
    assert!(list.starts_with(&broken.display().to_string()) && list.lines().count() == 1, "{list}");
    let data: serde_json::Value = serde_json::from_slice(&fs::read(out.join("data.json")).unwrap()).unwrap();
    let images: u64 = ["train", "val", "test"].iter().map(|s| data["images"][s].as_u64().unwrap()).sum();
    assert_eq!((images, data["skipped"][0]["count"].as_u64()), (23, Some(1)));
    assert_eq!(summary.models.len(), 4);
    // Of a limit, others take the place of those that cannot be read.
    for name in ["red/10", "red/11", "blue/10", "blue/11"] {
        fs::write(folder.path().join(format!("pictures/train/{name}.jpg")), b"no picture").unwrap();
    }
    let text = config.to_toml();
    let limited = Config::parse(&text, Path::new("pictures.toml"), &["data.limit.train=8".into()]).unwrap();
    let data = experiment::load_data(&limited).unwrap();
    assert_eq!(data.train.len(), 8);
    let seen = data.skipped.iter().collect::<Vec<_>>();
    assert!((1..seen.len()).all(|i| !seen[..i].contains(&seen[i])), "{seen:?}");
}

// ---------------------------------------------------------------- losses

#[test]
fn a_loss_that_is_no_number_names_its_step_and_keeps_earlier_stages() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config(
        "[train]\nepochs = 2\nbatch = 8\nschedule = \"constant\"\nwarmup_epochs = 0\n[student.train]\nlr = 1e30\n",
    );
    let out = folder.path().join("run");
    for _ in 0..2 {
        let error = finish(&config, &out, &gpu).unwrap_err();
        assert!(matches!(error, Error::NonFinite { .. }), "{error:?}");
        says(&error, &["the loss first/ce", "seed 3 · single/first, epoch 1, step ", "learning rate", "clip_norm"]);
        // Teachers come first; they are there, and usable.
        for task in ["first", "second"] {
            let path = out.join(format!("seed-3/teacher-{task}.safetensors"));
            let (_, card) = checkpoint::load(&gpu, &path).unwrap();
            assert_eq!(card.stage, format!("teacher/{task}"));
        }
        assert_eq!(read_records(&out.join("metrics.jsonl")).unwrap().len(), 4);
        assert!(!out.join("seed-3/single-first.safetensors").exists());
        assert!(predict::evaluate(&out, "teacher/first", "test", &gpu).is_ok());
    }
}

// ---------------------------------------------------------------- disk

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path, size: &str) -> Option<SmallDisk> {
        fs::create_dir_all(path).unwrap();
        let option = format!("size={size}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &option, "none"]).arg(path).output();
        done.is_ok_and(|o| o.status.success()).then(|| SmallDisk(path.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_the_run_and_spares_what_is_there() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), "2m") else {
        eprintln!("skipped: this system does not let the test mount a small file system");
        return;
    };
    let config = digits_config("[train]\nepochs = 2\nbatch = 16\n");
    let out = disk.0.join("run");
    let ballast = disk.0.join("ballast");
    let error = experiment::run(&config, &out, &gpu, &AtomicBool::new(false), &mut |event| {
        if matches!(event, Event::StageDone { label, .. } if label.ends_with("teacher/second")) {
            let mut file = fs::File::create(&ballast).unwrap();
            while file.write_all(&[1; 4096]).is_ok() {}
        }
    })
    .unwrap_err();
    assert!(
        matches!(&error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
        "{error:?}"
    );
    says(&error, &["/run/", "Free some disk space", "same command", "earlier results are intact"]);
    let left = files(&out);
    assert!(left.iter().all(|f| !f.display().to_string().ends_with(".tmp")), "{left:?}");
    let teacher = out.join("seed-3/teacher-first.safetensors");
    let before = fs::read(&teacher).unwrap();
    checkpoint::load(&gpu, &teacher).unwrap();
    // Half a line may have found room.
    let lines = |n: usize| (n - 2..=n).contains(&read_records(&out.join("metrics.jsonl")).unwrap().len());
    assert!(lines(6));
    // With room again, the same command finishes, on the same weights.
    fs::remove_file(&ballast).unwrap();
    let mut cached = 0;
    run_until(&config, &out, &gpu, |e| {
        cached += usize::from(matches!(e, Event::Cached { .. }));
        false
    })
    .unwrap();
    assert_eq!(cached, 2);
    assert_eq!(fs::read(&teacher).unwrap(), before);
    assert_eq!(read_records(&out.join("metrics.jsonl")).unwrap().len(), 12);
    let whole = folder.path().join("whole");
    finish(&config, &whole, &gpu).unwrap();
    for file in files(&whole).iter().filter(|f| f.extension().is_some_and(|e| e == "safetensors")) {
        assert!(fs::read(whole.join(file)).unwrap() == fs::read(out.join(file)).unwrap(), "{}", file.display());
    }
}

#[test]
fn half_a_line_in_the_journal_does_not_spoil_it() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 1\nbatch = 16\nwarmup_epochs = 0\n");
    let out = folder.path().join("run");
    run_until(&config, &out, &gpu, |e| matches!(e, Event::Epoch(r) if r.stage == "single/first")).unwrap_err();
    let journal = out.join("metrics.jsonl");
    fs::OpenOptions::new().append(true).open(&journal).unwrap().write_all("{\"stage\":\"single/é".as_bytes()).unwrap();
    finish(&config, &out, &gpu).unwrap();
    let stages: Vec<String> = read_records(&journal).unwrap().into_iter().map(|r| r.stage).collect();
    assert_eq!(stages, ["teacher/first", "teacher/second", "single/first", "single/second", "joint", "distilled"]);
}

#[test]
fn a_file_in_the_place_of_the_folder_is_named() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("");
    let file = folder.path().join("taken");
    fs::write(&file, b"mine").unwrap();
    let error = finish(&config, &file.join("run"), &gpu).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    says(&error, &["create the folder", "taken"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_damaged_state_is_refused_and_named() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 2\nbatch = 16\n");
    let out = folder.path().join("run");
    run_until(&config, &out, &gpu, |e| matches!(e, Event::Epoch(r) if r.stage == "single/first")).unwrap_err();
    let path = out.join("seed-3/single-first.state.safetensors");
    let sound = fs::read(&path).unwrap();
    let mut flipped = sound.clone();
    flipped[20] ^= 0xff;
    for damaged in [sound[..sound.len() / 2].to_vec(), vec![], b"nonsense, and more of it".to_vec(), flipped] {
        fs::write(&path, &damaged).unwrap();
        let error = finish(&config, &out, &gpu).unwrap_err();
        assert!(matches!(error, Error::Checkpoint { .. }), "{error:?}");
        says(&error, &["single-first.state.safetensors", "delete it to start over"]);
        assert_eq!(fs::read(&path).unwrap(), damaged, "it is left for the user to judge");
        checkpoint::load(&gpu, &out.join("seed-3/teacher-second.safetensors")).unwrap();
    }
    // The advice works: without the state the stage begins anew, the finished ones stay.
    fs::remove_file(&path).unwrap();
    finish(&config, &out, &gpu).unwrap();
}
