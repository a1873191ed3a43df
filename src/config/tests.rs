//! Every kind of error with its line, every default, and the way back to TOML.

mod refusals;
mod renamed;
mod tasks;

use super::*;
use crate::nn::arch;

fn parse(text: &str) -> Result<Config> {
    Config::parse(text, Path::new("run.toml"), &[])
}

fn with(text: &str, sets: &[&str]) -> Result<Config> {
    Config::parse(text, Path::new("run.toml"), &sets.iter().map(|s| s.to_string()).collect::<Vec<_>>())
}

/// The error's whole text, as the user reads it.
fn refused(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[track_caller]
fn expect(text: &str, begins: &str, contains: &str) {
    let error = refused(text);
    assert!(error.starts_with(begins), "expected the beginning {begins:?} in\n{error}");
    assert!(error.contains(contains), "expected {contains:?} in\n{error}");
}

const IDX: &str = r#"
[data]
source = "idx"
[data.files]
task = "digit"
train_images = "a"
train_labels = "b"
test_images = "c"
test_labels = "d"
"#;

const FULL: &str = r#"
name = "all-1.0"
seeds = [3, 1]
[data]
source = "pair"
root = "../data"
canvas = [36, 34]
samples = { train = 100, val = 20, test = 30 }
val_fraction = 0.2
split_seed = 7
flip_invariant = ["article", "digit"]
first = { task = "digit", train_images = "a", train_labels = "b", test_images = "c", test_labels = "d" }
[data.second]
task = "article"
train_images = "e"
train_labels = "f"
test_images = "g"
test_labels = "h"
classes = ["shirt", "shoe"]
[augment]
shift = 2
flip = true
noise = 0.05
[train]
epochs = 5
batch = 32
optimizer = "adamw"
lr = 1
clip_norm = 5.0
schedule = "step"
milestones = [0.5, 0.75]
[teacher]
arch = "resnet18"
stem = "imagenet"
head = [64, 32]
init = "xavier_uniform"
train = { epochs = 20, lr = 0.1 }
paths = { digit = ["t.safetensors", "u.safetensors"] }
weights = { digit = [1, 2.5] }
[student]
arch = "resnet8x4"
width = 0.25
[student.train]
epochs = 7
[distill]
methods = ["standardised_kd", "normalised"]
adaptor_lr_factor = 10
[distill.standardised_kd]
temperature = 3
tasks = ["article"]
[distill.normalised]
weight = 3.5
normalize = true
layers = ["layer2", "layer3"]
[distill.fitnet]
weight = 7
[joint.train]
epochs = 9
[distill.train]
batch = 16
[balance]
method = "cagrad"
over = "terms"
level = "parameters"
c = 0.4
[tasks]
digit = 0.5
"#;

#[test]
fn an_empty_file_is_the_embedded_digits_with_every_default() {
    let config = parse("").unwrap();
    assert_eq!((config.name.as_str(), config.seeds.as_slice()), ("run", &[0, 1, 2][..]));
    let source = &config.data.source;
    assert_eq!(source.name(), "digits");
    assert_eq!(
        source.values(),
        &"canvas = [12, 12]\nsamples = { train = 4000, val = 800, test = 1500 }".parse::<toml::Table>().unwrap()
    );
    assert_eq!(
        config.augment,
        AugmentConfig { shift: 1, flip: false, noise: 0.0, crop: None, scale: None, rotate: 0.0, mosaic: 0.0 }
    );
    assert_eq!(config.train, TrainConfig::default());
    assert_eq!((config.teacher.net.arch.as_str(), config.teacher.net.width), ("resnet14", 1.0));
    assert_eq!((config.student.net.arch.as_str(), config.student.net.width), ("resnet8", 0.5));
    assert_eq!((config.distill.methods.as_slice(), config.distill.task_weight), (&["kd".to_string()][..], 1.0));
    let kd = &config.distill.tables["kd"];
    assert_eq!((kd.weight, kd.settings["temperature"], kd.normalize, kd.cap), (0.9, 4.0, false, true));
    assert_eq!((config.teacher.kind, config.teacher.count), (TeacherKind::Single, 1));
    assert_eq!((config.balance.method.as_str(), config.balance.over), ("fixed", Over::Tasks));
    assert_eq!(config.tasks, weights(&[("first", 1.0), ("second", 1.0)]));
}

fn weights(all: &[(&str, f64)]) -> BTreeMap<String, TaskConfig> {
    let one = |weight: f64| TaskConfig { weight, loss: Some("cross_entropy".into()), ..TaskConfig::default() };
    all.iter().map(|(task, weight)| (task.to_string(), one(*weight))).collect()
}

/// Where nothing can be measured before the first step, or there is nothing to measure by, weights are the published ones.
#[test]
fn methods_are_held_to_the_labels_where_they_can_be() {
    let kd = |more: &str| {
        let config = parse(&format!("[data]\nsource = \"digits\"\n{more}")).unwrap();
        let kd = config.distill.tables["kd"].clone();
        assert_eq!(parse(&config.to_toml()).unwrap(), config, "{more}");
        (kd.weight, kd.normalize, kd.cap)
    };
    assert_eq!(kd(""), (0.9, false, true));
    assert_eq!(kd("[distill.kd]\ntemperature = 2\n"), (0.9, false, true));
    assert_eq!(kd("[distill.kd]\nweight = 0.5\n"), (0.5, false, false));
    assert_eq!(kd("[distill.kd]\nweight = 0.5\ncap = true\n"), (0.5, false, true));
    assert_eq!(kd("[distill.kd]\nweight = 0.5\nnormalize = true\n"), (0.5, true, false));
    assert_eq!(kd("[distill.kd]\nnormalize = true\n"), (1.0, true, false));
    assert_eq!(kd("[distill.kd]\ncap = false\n"), (0.9, false, false));
    assert_eq!(kd("[distill]\ntask_weight = 0\n"), (0.9, false, false));
    assert_eq!(kd("[teacher]\nkind = \"mutual\"\n"), (0.9, false, false));
    let both = parse("[data]\nsource = \"digits\"\n[distill.kd]\nnormalize = true\ncap = true\n").unwrap_err();
    assert!(both.to_string().contains("distill.kd.cap: a normalised method"), "{both}");
}

#[test]
fn overrides_are_merged_in_their_order() {
    let config = parse(FULL).unwrap();
    assert_eq!((config.train.epochs, config.train.lr), (5, 1.0));
    assert_eq!((config.teacher.train.epochs, config.teacher.train.lr, config.teacher.train.batch), (20, 0.1, 32));
    assert_eq!((config.student.train.epochs, config.student.train.optimizer), (7, Optimizer::AdamW));
    // The joint student is trained as the single-task ones, the distilled as the joint one, apart from their own overrides.
    assert_eq!((config.joint.train.epochs, config.joint.train.optimizer), (9, Optimizer::AdamW));
    assert_eq!(
        (config.distill.train.epochs, config.distill.train.batch, config.distill.train.clip_norm),
        (9, 16, Some(5.0))
    );
    assert_eq!(config.tasks, weights(&[("article", 1.0), ("digit", 0.5)]));
    let used: Vec<(&str, f64)> = config.distill.used().map(|(m, c)| (m.name, c.weight)).collect();
    assert_eq!(used, [("standardised_kd", 9.0), ("normalised", 3.5)]);
    assert_eq!((config.distill.task_weight, config.distill.tables["fitnet"].weight), (1.0, 7.0));
    // Without a weight a method is held to the labels' strength; with one it is taken at its word.
    let scaled = |name: &str| (config.distill.tables[name].normalize, config.distill.tables[name].cap);
    assert_eq!(["standardised_kd", "normalised", "fitnet"].map(scaled), [(false, true), (true, false), (false, false)]);
    assert_eq!(config.balance.settings, BTreeMap::from([("c".into(), 0.4)]));
    assert_eq!(config.teacher.weights["digit"], [1.0, 2.5]);
    assert_eq!(config.teacher.net.stem, Some(Stem::ImageNet));
    assert_eq!(config.teacher.net.spec().unwrap().family, arch::Family::ImageNet { depth: 18 });
}

#[test]
fn the_resolved_file_reads_back_equal() {
    let folder =
        "data = { source = \"folder\", folder = \"pets\", size = [32, 48], channels = 1, limit = { train = 9 } }";
    for text in ["", FULL, IDX, folder] {
        let config = parse(text).unwrap();
        let resolved = config.to_toml();
        let again = parse(&resolved).unwrap_or_else(|e| panic!("{e}\n{resolved}"));
        assert_eq!(again, config, "{resolved}");
        assert_eq!(again.to_toml(), resolved);
        assert!(config.differences(&again).is_empty());
    }
}

#[test]
fn differences_are_told_by_key() {
    let differences =
        with("", &["distill.kd.temperature=2", "train.clip_norm=5"]).unwrap().differences(&parse("").unwrap());
    assert!(differences.contains(&"distill.kd.temperature: 2.0, was 4.0".to_string()), "{differences:?}");
    assert!(differences.contains(&"train.clip_norm: 5.0, was not set".to_string()), "{differences:?}");
}

#[test]
fn architectures() {
    expect("[student]\narch = \"resnet9\"\n", "run.toml:2: student.arch: ", "did you mean \"resnet8\"?");
    expect(
        "[teacher]\narch = \"vgg\"\n",
        "run.toml:2: teacher.arch: ",
        "\"vgg\" is no architecture; expected resnet{6n+2}",
    );
    expect(
        "[teacher]\narch = \"resnet20\"\nstem = \"small\"\n",
        "run.toml:3: teacher.stem: ",
        "only resnet18, resnet34, resnet50, resnet101 and resnet152",
    );
    expect(
        "[teacher]\narch = \"resnet18\"\nstem = \"big\"\n",
        "run.toml:3: teacher.stem: ",
        "\"small\" or \"imagenet\"",
    );
}

#[test]
fn dilated_stages() {
    let text = "[teacher]\narch = \"resnet50\"\nstem = \"imagenet\"\ndilate = 2\n[student]\ndilate = 1\n";
    let config = parse(text).unwrap();
    let (teacher, student) = (config.teacher.net.trunk().unwrap(), config.student.net.trunk().unwrap());
    assert_eq!((teacher.strides(), student.strides()), (vec![4, 8, 8, 8], vec![1, 2, 2]));
    let resolved = config.to_toml();
    assert_eq!(parse(&resolved).unwrap(), config, "{resolved}");
    // Runs from before the key was there resolve to the same text.
    assert!(!parse("").unwrap().to_toml().contains("dilate"));
    expect("[student]\ndilate = 3\n", "run.toml:2: student.dilate: ", "resnet8 has 3 stages");
    expect(
        "[teacher]\narch = \"resnet18\"\ndilate = 4\n",
        "run.toml:3: teacher.dilate: ",
        "4 cannot be dilated, 3 can",
    );
    expect("[student]\ndilate = -1\n", "run.toml:2: student.dilate: ", "found -1");
    expect("[student]\ndilated = 1\n", "run.toml:2: student.dilated: ", "did you mean `dilate`?");
}

/// Soft labels of detectors are compared place by place, so both must have the same places.
#[test]
fn detectors_that_are_compared_have_their_places_in_common() {
    let scenes =
        |rest: &str| format!("[data]\nsource = \"scenes\"\nsize = [32, 48]\ntasks = [\"boxes\", \"count\"]\n{rest}");
    let refused = "run.toml:5: teacher.arch: ";
    expect(&scenes("[teacher]\ndilate = 1\n"), refused, "every [2, 2] pixels, the student's every [2, 4]");
    expect(&scenes("[teacher]\narch = \"resnet18\"\n"), "run.toml:6: teacher.arch: ", "every [2, 4, 8] pixels");
    expect(&scenes("[teacher]\nkind = \"mutual\"\ndilate = 2\n"), refused, "every [1, 1] pixels");
    for fine in [
        "[teacher]\ndilate = 1\n[student]\ndilate = 1\n",
        "[teacher]\nkind = \"self\"\ndilate = 1\n",
        "[teacher]\ndilate = 1\n[distill.kd]\ntasks = [\"count\"]\n",
        "[teacher]\ndilate = 1\n[distill]\nmethods = [\"fitnet\"]\n",
    ] {
        parse(&scenes(fine)).unwrap_or_else(|e| panic!("{fine}: {e}"));
    }
}

#[test]
fn values_from_the_command_line() {
    let sets = [
        "train.epochs=3",
        "data.root=../shared/data",
        "student.train.lr = 0.2",
        "seeds=[7]",
        "tasks={first = 2}",
        "teacher.arch=resnet20",
    ];
    let config = with("[train]\nepochs = 9\n", &sets).unwrap();
    assert_eq!((config.train.epochs, config.student.train.lr, config.seeds.as_slice()), (3, 0.2, &[7][..]));
    assert_eq!(config.data.root, Path::new("../shared/data"));
    assert_eq!((config.tasks["first"].weight, config.teacher.net.arch.as_str()), (2.0, "resnet20"));
    // The last word counts.
    assert_eq!(with("", &["train.epochs=3", "train.epochs=4"]).unwrap().train.epochs, 4);
}

#[test]
fn errors_from_the_command_line_name_it() {
    let error = |sets: &[&str]| with("[train]\nepochs = 9\n", sets).unwrap_err().to_string();
    let begins = |sets: &[&str], text: &str| assert!(error(sets).starts_with(text), "{}", error(sets));
    begins(&["train.batch=0"], "--set train.batch=0: train.batch: expected a whole number");
    begins(&["train.epocs=3"], "--set train.epocs=3: train.epocs: unknown key; did you mean `epochs`?");
    begins(&["train.epochs=three"], "--set train.epochs=three: train.epochs: expected a whole number");
    begins(&["data={samples={train=0}}"], "--set data={samples={train=0}}: data.samples.train: ");
    begins(&["train.epochs.x=1"], "--set train.epochs.x=1: train.epochs.x: `epochs` is not a table but 9");
    begins(&["train.epochs"], "--set train.epochs: train.epochs: there is no `=`");
    begins(&["=1"], "--set =1: : `` is not a key");
    begins(&["seeds=[1"], "--set seeds=[1: seeds: expected a list");
    // A combination is charged to the value that was typed, if one was.
    begins(&["augment.flip=true"], "--set augment.flip=true: augment.flip: mirroring");
}

#[test]
fn missing_files_are_told_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let load = |text: &str| {
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path, &[format!("data.root={}", root.display())])
    };
    let error = load(IDX).unwrap_err().to_string();
    assert!(error.contains("run.toml:6: data.files.train_images: there is no file "), "{error}");
    assert!(error.contains(&format!("(already {} does not exist)", root.display())), "{error}");
    assert!(error.contains("--set data.root=FOLDER"), "{error}");

    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("a.gz"), "").unwrap();
    let error = load(IDX).unwrap_err().to_string();
    assert!(error.contains("did you mean `a.gz`, which lies beside it?"), "{error}");

    std::fs::create_dir(root.join("a")).unwrap();
    assert!(load(IDX).unwrap_err().to_string().contains("a is not a file"));
    std::fs::remove_dir(root.join("a")).unwrap();
    for name in ["a", "b", "c", "d"] {
        std::fs::write(root.join(name), "").unwrap();
    }
    assert_eq!(load(IDX).unwrap().task_names(), ["digit"]);

    let pets = "[data]\nsource = \"folder\"\nfolder = \"pets\"\nsize = [8, 8]\n";
    std::fs::create_dir(root.join("pets")).unwrap();
    let error = load(pets).unwrap_err().to_string();
    assert!(error.contains("run.toml:3: data.folder: there is no folder") && error.contains("pets/train"), "{error}");

    let error = load("[teacher.paths]\nfirst = \"no/such.safetensors\"\n").unwrap_err().to_string();
    assert!(error.contains("run.toml:2: teacher.paths.first: there is no file"), "{error}");

    let error = Config::load(&folder.path().join("none.toml"), &[]).unwrap_err().to_string();
    assert!(error.starts_with("cannot read"), "{error}");
}

#[test]
fn the_name_falls_back_to_the_file() {
    assert_eq!(Config::parse("", Path::new("a/my run.toml"), &[]).unwrap().name, "my-run");
    assert_eq!(Config::parse("", Path::new(""), &[]).unwrap().name, "run");
}

#[test]
fn one_task_needs_no_joint_student_unless_terms_are_balanced() {
    let one = "[data]\nsource = \"scenes\"\ntasks = [\"boxes\"]\n";
    let is_single = |text: &str, sets: &[&str]| with(text, sets).unwrap().joint_is_single();
    assert!(is_single(one, &[]) && is_single(one, &["balance.method=uncertainty", "tasks.boxes.weight=2"]));
    assert!(is_single(one, &["balance.over=terms"]), "fixed weights balance nothing");
    assert!(!is_single(one, &["balance.over=terms", "balance.method=uncertainty"]));
    assert!(!is_single(one, &["joint.train.epochs=99"]), "it is trained longer");
    assert!(!is_single(one, &["data.tasks=[\"boxes\", \"count\"]"]));
}
