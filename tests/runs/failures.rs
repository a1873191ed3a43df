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

#[track_caller]
fn says(error: &Error, words: &[&str]) {
    let message = error.to_string();
    words.iter().for_each(|w| assert!(message.contains(w), "{w:?} is not in: {message}"));
}

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

// ---------------------------------------------------------------- one folder, one run

#[test]
fn a_second_process_in_the_folder_is_refused_and_the_first_goes_on() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 1\nbatch = 16\n");
    let out = folder.path().join("run");
    let mut refused = Vec::new();
    run_until(&config, &out, &gpu, |event| {
        if matches!(event, Event::Epoch(r) if r.stage == "joint") {
            refused.push(finish(&config, &out, &gpu).unwrap_err());
            refused.push(experiment::verify_cache(&out, 1.0, &gpu).unwrap_err());
        }
        false
    })
    .unwrap();
    assert_eq!(refused.len(), 2);
    for error in refused {
        assert!(matches!(error, Error::Busy { .. }), "{error:?}");
        says(&error, &["run is in use by process", " on ", "--out"]);
    }
    finish(&config, &out, &gpu).unwrap();
    assert!(!files(&out).iter().any(|f| f.to_string_lossy().contains("lock")), "{:?}", files(&out));
}

#[test]
fn a_folder_that_vanishes_is_noticed_when_something_is_saved() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 3\nbatch = 16\n");
    let out = folder.path().join("run");
    let error = run_until(&config, &out, &gpu, |event| {
        if matches!(event, Event::Epoch(r) if r.stage == "teacher/first" && r.epoch == 0) {
            fs::rename(&out, folder.path().join("moved")).unwrap();
        }
        false
    })
    .unwrap_err();
    assert!(matches!(error, Error::Vanished { .. }), "{error:?}");
    assert!(!out.exists(), "nothing lies alone in a folder of the old name");
}

// ---------------------------------------------------------------- results and what made them

#[test]
fn stages_belong_to_their_settings_though_the_configuration_is_gone() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 2\nbatch = 16\n");
    let (finished, half) = (folder.path().join("finished"), folder.path().join("half"));
    finish(&config, &finished, &gpu).unwrap();
    run_until(&config, &half, &gpu, |e| matches!(e, Event::Epoch(r) if r.stage == "joint")).unwrap_err();
    for (out, file, set) in [
        (&finished, "teacher-first.json", "train.lr=0.031"),
        (&finished, "single-first.json", "student.width=0.5"),
        (&finished, "distilled.json", "distill.task_weight=0.5"),
        (&half, "joint.state.safetensors", "joint.train.lr=0.031"),
    ] {
        let kept = fs::read(out.join("config.toml")).unwrap();
        fs::remove_file(out.join("config.toml")).unwrap();
        let other = Config::parse(&config.to_toml(), Path::new("other.toml"), &[set.into()]).unwrap();
        let error = finish(&other, out, &gpu).unwrap_err();
        assert!(matches!(error, Error::Checkpoint { .. }), "{set}: {error:?}");
        says(&error, &[file, "was made with other settings", "--out"]);
        fs::write(out.join("config.toml"), kept).unwrap();
    }
    // Under its own settings the one is finished, and the other goes on.
    finish(&config, &finished, &gpu).unwrap();
    finish(&config, &half, &gpu).unwrap();
}

#[test]
fn stored_bytes_that_have_changed_are_refused_and_named() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 1\nbatch = 16\n");
    let out = folder.path().join("run");
    run_until(&config, &out, &gpu, |e| matches!(e, Event::Epoch(r) if r.stage == "distilled")).unwrap_err();
    let seed = out.join("seed-3");
    let flipped = |name: &str, words: &[&str]| {
        let path = seed.join(name);
        let sound = fs::read(&path).unwrap();
        for at in [sound.len() - 1, sound.len() - 40, sound.len() / 2] {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            let error = finish(&config, &out, &gpu).unwrap_err();
            assert!(matches!(error, Error::Checkpoint { .. }), "{name}: {error:?}");
            says(&error, &[name]);
            says(&error, words);
        }
        fs::write(&path, &sound).unwrap();
    };
    flipped("distilled.state.safetensors", &["is damaged", "delete it to start over"]);
    flipped("teacher-first.safetensors", &["is not the file that its stage stored"]);
    flipped("single-second.json", &["damaged"]);
    // Two networks that have changed places are sound files both.
    let [a, b] = ["teacher-first.safetensors", "teacher-second.safetensors"].map(|name| seed.join(name));
    let (first, second) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
    fs::write(&a, &second).unwrap();
    fs::write(&b, &first).unwrap();
    says(&finish(&config, &out, &gpu).unwrap_err(), &["teacher-first.safetensors", "is not the file"]);
    fs::write(&a, &first).unwrap();
    fs::write(&b, &second).unwrap();
    // A network alone, for whoever only wants to use it.
    let mut bytes = first.clone();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    let copy = folder.path().join("copy.safetensors");
    fs::write(&copy, &bytes).unwrap();
    says(&checkpoint::load(&gpu, &copy).unwrap_err(), &["copy.safetensors", "is damaged"]);
    finish(&config, &out, &gpu).unwrap();
    says(&flipped_eval(&out, &gpu), &["distilled.safetensors", "is not the file that its stage stored"]);
}

/// What `eval` says of a network in which a bit has changed.
fn flipped_eval(out: &Path, gpu: &limbeck::gpu::Gpu) -> Error {
    let path = out.join("seed-3/distilled.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    predict::evaluate(out, "distilled", "test", gpu).unwrap_err()
}

/// A file as earlier versions wrote it, without a hash: its card and one tensor.
fn bare(path: &Path, card: &str, values: &[f32]) {
    use safetensors::tensor::{Dtype, TensorView};
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![values.len()], &bytes).unwrap();
    let metadata = std::collections::HashMap::from([("limbeck".to_string(), card.to_string())]);
    fs::write(path, safetensors::serialize([("conv1.weight", view)], Some(metadata)).unwrap()).unwrap();
}

#[test]
fn a_card_that_claims_more_than_the_file_holds_is_refused_before_anything_is_made_of_it() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let path = folder.path().join("net.safetensors");
    let card = |arch: &str, width: f32, head: &str| {
        format!(
            r#"{{"schema":2,"arch":"{arch}","width":{width},"imagenet_stem":false,"head":{head},"decoder":0,
            "tasks":[{{"name":"a","kind":"class","classes":["x","y"]}}],"image":[8,8,1],"mean":[0.5],"std":[0.5],
            "stage":"joint","seed":0,"epoch":1,"val_score":null}}"#
        )
    };
    for (text, words) in [
        (card("resnet152", 16.0, "[]"), "its card describes a network of more than"),
        (card("resnet8", 0.25, "[65536, 65536]"), "its card describes a network of more than"),
        (card("resnet8", 1e30, "[]"), "its card is damaged: a width of 1e30"),
    ] {
        bare(&path, &text, &[0.5; 64]);
        let error = checkpoint::load(&gpu, &path).unwrap_err();
        says(&error, &["net.safetensors", words]);
    }
}

#[test]
fn a_journal_that_cannot_be_read_is_told_of_before_anything_is_trained_and_one_that_is_gone_is_no_matter() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 1\nbatch = 16\n");
    let out = folder.path().join("run");
    run_until(&config, &out, &gpu, |e| matches!(e, Event::Epoch(r) if r.stage == "teacher/second")).unwrap_err();
    let journal = out.join("metrics.jsonl");
    let sound = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, format!("garbage\n{sound}")).unwrap();
    let mut trained = false;
    let error = run_until(&config, &out, &gpu, |e| {
        trained |= matches!(e, Event::Stage { .. });
        false
    })
    .unwrap_err();
    says(&error, &["metrics.jsonl, line 1", "remove the line"]);
    assert!(!trained);
    fs::write(&journal, sound).unwrap();
    finish(&config, &out, &gpu).unwrap();
    fs::remove_file(&journal).unwrap();
    finish(&config, &out, &gpu).unwrap();
}
