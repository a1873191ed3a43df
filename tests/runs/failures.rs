//! What goes wrong ends in an error that says what, where and what to do, and leaves earlier results as they were.

use crate::support::*;
use image::{Rgb, RgbImage};
use limbeck::checkpoint;
use limbeck::config::Config;
use limbeck::experiment;
use limbeck::gpu::{AdapterClass, Gpu, Options, Source, View, devices};
use limbeck::predict;
use limbeck::tensor::Tensor;
use limbeck::train::Event;
use limbeck::train::event::read_records;
use limbeck::{Error, defines};
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

/// The run ends before anything is written.
#[track_caller]
fn refused(config: &Config, out: &Path, gpu: &Gpu, words: &[&str]) {
    let mut events = 0;
    let error = experiment::run(config, out, gpu, &AtomicBool::new(false), &mut |_| events += 1).unwrap_err();
    assert!(matches!(error, Error::Data { .. }), "{error:?}");
    says(&error, words);
    assert_eq!((events, files(out)), (0, vec![]), "nothing was begun or written");
}

#[test]
fn damaged_idx_files_are_refused_before_any_work() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = idx_folder(folder.path());
    let out = folder.path().join("run");
    let sound = IDX_FILES.map(|name| fs::read(folder.path().join(name)).unwrap());
    let mut magic = sound[0].clone();
    magic[3] = 9;
    let mut label = sound[3].clone();
    label[8 + 4] = 7;
    let cases: [(usize, Vec<u8>, &[&str]); 5] = [
        (0, sound[0][..1000].to_vec(), &["train-images", "byte 1000", "truncated"]),
        (1, sound[1][..20].to_vec(), &["train-labels", "byte 20", "truncated"]),
        (0, magic, &["train-images", "byte 0", "9 dimensions"]),
        (2, b"<html>404</html>".to_vec(), &["test-images", "byte 0", "not an IDX file"]),
        (3, label, &["test-labels", "record 4", "label 7", "3 classes"]),
    ];
    for (at, bytes, words) in cases {
        let path = folder.path().join(IDX_FILES[at]);
        fs::write(&path, bytes).unwrap();
        refused(&config, &out, &gpu, words);
        fs::write(&path, &sound[at]).unwrap();
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
fn an_empty_class_folder_is_refused_before_any_work() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = pictures(folder.path());
    fs::create_dir(folder.path().join("pictures/train/green")).unwrap();
    refused(&config, &folder.path().join("run"), &gpu, &["train/green", "no .png", "remove the folder"]);
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

// ---------------------------------------------------------------- the GPU

#[test]
fn an_unknown_adapter_is_answered_with_the_known_ones() {
    let error = Gpu::new(Options { adapter: Some("no such adapter".into()), ..Options::default() }).unwrap_err();
    assert!(matches!(error, Error::NoAdapter { .. }), "{error:?}");
    says(&error, &["no such adapter", "WGPU_ADAPTER_NAME"]);
    devices().iter().for_each(|d| says(&error, &[&d.name]));
}

#[test]
fn buffers_beyond_the_limit_are_refused() {
    let gpu = gpu();
    let profile = gpu.profile();
    let limit = profile.max_buffer.min(profile.max_binding);
    for bytes in [limit + 1, limit + (1 << 30), u64::MAX / 2, u64::MAX - 100, u64::MAX] {
        let error = gpu.alloc(bytes).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{bytes}: {error:?}");
        says(&error, &["a buffer of", "_size", "train.batch"]);
    }
    // The device is as good as before.
    let x = Tensor::from_f32(&gpu, &[1.0, -2.0], &[2]).unwrap();
    assert_eq!(limbeck::kernels::elementwise::relu(&gpu, &x).unwrap().to_f32(&gpu).unwrap(), [1.0, 0.0]);
}

/// Software adapters would leave out the rest of the pixels without a word.
#[test]
fn loops_that_a_software_adapter_would_not_finish_are_refused() {
    let gpu = gpu();
    let mean = |size: usize| {
        let x = Tensor::from_f32(&gpu, &vec![2.0; size * size], &[1, size, size, 1])?;
        limbeck::kernels::pool::global_avg(&gpu, &x)?.to_f32(&gpu)
    };
    assert_eq!(mean(255).unwrap(), [2.0]);
    match (mean(256), gpu.profile().class) {
        (Err(error), AdapterClass::Software) => {
            assert!(matches!(error, Error::Limit { needed: 65_536, limit: 65_535, .. }), "{error:?}");
            says(&error, &["pool/global_avg", "turns", "GPU"]);
        }
        (result, class) => assert_eq!(result.unwrap(), [2.0], "{class:?}"),
    }
}

const SCALE: Source = Source {
    name: "scale",
    text: "struct P { length: u32, factor: f32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn scale(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < p.length { y[id.x] = p.factor * x[id.x]; }
}",
};

#[test]
fn a_launch_that_misses_something_names_it() {
    let gpu = gpu();
    let x = Tensor::from_f32(&gpu, &[1.0, 2.0, 3.0], &[3]).unwrap();
    let y = Tensor::empty(&gpu, &[3]).unwrap();
    let launch = || gpu.launch(SCALE, "scale", &defines! {}).unwrap();
    let refused = |result: limbeck::Result<()>, words: &[&str]| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Validation(_)), "{error:?}");
        says(&error, &[&["scale/scale"], words].concat());
    };
    refused(launch().bind("x", &x).u32("length", 3).f32("factor", 2.0).threads(3), &["`y`", "not bound"]);
    refused(launch().bind("x", &x).bind("y", &y).u32("length", 3).threads(3), &["`factor`", "not set"]);
    refused(launch().bind("z", &x).threads(3), &["no buffer `z`"]);
    refused(launch().u32("lenght", 3).threads(3), &["no parameter `lenght`"]);
    refused(launch().u32("factor", 3).threads(3), &["`factor`", "F32"]);
    refused(launch().u32("length", 1 << 32).threads(3), &["`length`", "32 bits"]);
    let copy = gpu.copy(&View { size: 8, ..x.view() }, &View { size: 4, ..y.view() }).unwrap_err();
    says(&copy, &["copy"]);
    let error = gpu.launch(SCALE, "rescale", &defines! {}).map(|_| ()).unwrap_err();
    says(&error, &["scale.wgsl", "rescale", "[\"scale\"]"]);
    let grid = launch().bind("x", &x).bind("y", &y).u32("length", 3).f32("factor", 2.0).grid([1 << 20, 1, 1]);
    let error = grid.unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error:?}");
    says(&error, &["scale/scale", "max_compute_workgroups_per_dimension"]);
    // None of this did any harm.
    launch().bind("x", &x).bind("y", &y).u32("length", 3).f32("factor", 2.0).threads(3).unwrap();
    assert_eq!(y.to_f32(&gpu).unwrap(), [2.0, 4.0, 6.0]);
}

#[test]
fn a_kernel_beyond_the_adapters_limits_is_refused_before_the_driver_sees_it() {
    let gpu = gpu();
    let memory = Source {
        name: "greedy",
        text: "#define WORDS 16
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
var<workgroup> tile: array<f32, ${WORDS}>;
@compute @workgroup_size(64)
fn fill(@builtin(local_invocation_index) lane: u32) {
    tile[lane % 16u] = f32(lane);
    workgroupBarrier();
    y[lane] = tile[0];
}",
    };
    let words = gpu.profile().max_workgroup_bytes / 4 + 1;
    let error = gpu.launch(memory, "fill", &defines! { WORDS = words }).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error:?}");
    says(&error, &["greedy/fill", "workgroup memory", "max_compute_workgroup_storage_size", &(words * 4).to_string()]);
    gpu.launch(memory, "fill", &defines! {}).unwrap();
    let wide = Source {
        name: "wide",
        text: "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(${WIDTH})
fn fill(@builtin(local_invocation_index) lane: u32) { y[lane] = 1.0; }",
    };
    let width = gpu.profile().max_invocations + 1;
    let error = gpu.launch(wide, "fill", &defines! { WIDTH = width }).map(|_| ()).unwrap_err();
    says(&error, &["wide/fill", "invocations", &width.to_string()]);
    let y = Tensor::empty(&gpu, &[64]).unwrap();
    gpu.launch(wide, "fill", &defines! { WIDTH = 64 }).unwrap().bind("y", &y).threads(64).unwrap();
    assert_eq!(y.to_f32(&gpu).unwrap(), [1.0; 64]);
}

#[test]
fn a_faulty_shader_names_file_and_line() {
    let gpu = gpu();
    let fails = |name: &'static str, text: &'static str, line: usize, words: &[&str]| {
        let error = gpu.launch(Source { name, text }, "main", &defines! {}).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Shader { line: found, .. } if found == line), "{error:?}");
        says(&error, &[&[name], words].concat());
    };
    // Lines are those of the file, not of the text after imports and unrolling.
    fails(
        "syntax",
        "#import shared/index
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1)
fn main() {
#for i in 0..3
    y[${i}] = 1.0;
#endfor
    let broken = ;
}",
        8,
        &["syntax.wgsl", "let broken"],
    );
    fails(
        "types",
        "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1)
fn main() {
    y[0] = 1u;
}",
        4,
        &["types.wgsl"],
    );
    fails("directive", "\n#if UNKNOWN\n#endif\n", 2, &["UNKNOWN"]);
    fails("import", "#import shared/nothing\n", 1, &["shared/nothing"]);
}

#[test]
fn shaders_of_one_name_are_told_apart() {
    let gpu = gpu();
    let y = Tensor::empty(&gpu, &[1]).unwrap();
    let texts = [
        "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn fill() { y[0] = 1.0; }",
        "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn fill() { y[0] = 2.0; }",
    ];
    for (text, want) in texts.into_iter().zip([1.0, 2.0]) {
        let source = Source { name: "elementwise", text };
        gpu.launch(source, "fill", &defines! {}).unwrap().bind("y", &y).groups(1).unwrap();
        assert_eq!(y.to_f32(&gpu).unwrap(), [want]);
    }
}

#[test]
fn an_unfit_ready_made_teacher_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = folder.path().join("teacher.safetensors");
    std::fs::write(&teacher, b"not a network").unwrap();
    let text = format!("[data]\nsource = \"digits\"\n[teacher.paths]\nsecond = {:?}\n", teacher.display().to_string());
    let config = limbeck::config::Config::parse(&text, std::path::Path::new("unfit.toml"), &[]).unwrap();
    let gpu = limbeck::gpu::Gpu::open().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let out = folder.path().join("out");
    let error =
        limbeck::experiment::run(&config, &out, &gpu, &stop, &mut |_| panic!("work began")).unwrap_err().to_string();
    assert!(error.contains("teacher.safetensors"), "{error}");
    assert!(!out.exists());
}
