//! What a teacher's decoder and pyramid make of an image teaches the student's.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use limbeck::config::Config;
use limbeck::data::TaskKind;
use limbeck::distill::{FeatureKind, METHODS};
use limbeck::experiment;
use limbeck::gpu::{Gpu, Options};
use limbeck::train::EpochRecord;
use limbeck::train::event::read_records;
use tempfile::tempdir;

fn gpu() -> Gpu {
    Gpu::new(Options { poison: true, ..Options::from_env() }).unwrap()
}

fn scenes(tasks: &str, epochs: usize, more: &str) -> Config {
    let text = format!(
        "name = \"scenes\"\nseeds = [1]\n\
         [data]\nsource = \"scenes\"\nsize = [20, 24]\nobjects = 2\ntasks = {tasks}\n\
         samples = {{ train = 24, val = 4, test = 4 }}\n\
         [augment]\nshift = 0\n\
         [train]\nepochs = 1\nbatch = 8\nlr = 0.02\nwarmup_epochs = 0\nschedule = \"constant\"\n\
         [teacher]\narch = \"resnet8\"\nwidth = 0.5\ndecoder = 8\n\
         [student]\narch = \"resnet8\"\nwidth = 0.25\ndecoder = 4\n\
         [distill]\ntrain = {{ epochs = {epochs} }}\n{more}"
    );
    Config::parse(&text, Path::new("scenes.toml"), &[]).unwrap()
}

fn run(config: &Config, out: &Path) -> Vec<EpochRecord> {
    experiment::run(config, out, &gpu(), &AtomicBool::new(false), &mut |_| {}).unwrap();
    read_records(&out.join("metrics.jsonl")).unwrap().into_iter().filter(|r| r.stage == "distilled").collect()
}

/// A term's value in the first and in the last epoch.
fn ends(records: &[EpochRecord], term: &str) -> (f64, f64) {
    let value = |r: &EpochRecord| *r.losses.get(term).unwrap_or_else(|| panic!("{term}: {:?}", r.losses.keys()));
    (value(&records[0]), value(&records[records.len() - 1]))
}

/// Every method that looks at features looks at a decoder too, of a teacher with more channels.
#[test]
fn every_method_on_features_looks_at_decoders() {
    let folder = tempdir().unwrap();
    let methods: Vec<&str> =
        METHODS.iter().filter(|m| m.look != FeatureKind::Logits && m.serves(TaskKind::Mask)).map(|m| m.name).collect();
    assert!(methods.len() >= 12, "{methods:?}");
    let tables: String =
        methods.iter().map(|m| format!("[distill.{m}]\nnormalise = true\nlayers = [\"decoder\"]\n")).collect();
    let records = run(&scenes("[\"mask\", \"depth\"]", 1, &tables), folder.path());
    for method in methods {
        for task in ["mask", "depth"] {
            let (value, _) = ends(&records, &format!("{task}/{method}"));
            assert!(value.is_finite() && value > 0.0, "{task}/{method}: {value}");
        }
    }
    let bytes = fs::read(folder.path().join("seed-1/distilled.safetensors")).unwrap();
    assert!(safetensors::SafeTensors::deserialize(&bytes).unwrap().names().iter().all(|n| !n.contains("adaptor")));
}

/// Methods on rows take a map's pixels as one row, and average a stage's: alone on the map, as where terms are scaled or balanced, and
/// whether answers are enlarged or not.
#[test]
fn methods_on_rows_look_at_maps() {
    let folder = tempdir().unwrap();
    let rows = ["sp", "rkd_distance", "rkd_angle", "pkt", "cka"];
    let mut more = "task_weight = 0\n[distill.crd]\nlayers = [\"layer3\"]\ntasks = [\"class\"]\n\
                    [balance]\nprobe = true\nmethod = \"famo\"\nover = \"terms\"\n"
        .to_string();
    more += &rows.map(|m| format!("[distill.{m}]\nlayers = [\"logits\"]\ntasks = [\"mask\"]\n")).concat();
    let text = scenes("[\"class\", \"mask\"]", 1, &more).to_toml();
    let coarse = ["student", "teacher"]
        .map(|net| format!("{net}={{ arch = \"resnet18\", width = 0.125, stem = \"imagenet\" }}"));
    for (name, sets) in [("same", &[][..]), ("enlarged", &coarse)] {
        let config = Config::parse(&text, Path::new("rows.toml"), sets).unwrap();
        let records = run(&config, &folder.path().join(name));
        for term in rows.map(|m| format!("mask/{m}")).iter().chain([&"class/crd".to_string()]) {
            let (value, _) = ends(&records, term);
            assert!(value.is_finite() && value > 0.0, "{name}, {term}: {value}");
        }
    }
}

/// One layer of the student beside two of the teacher is two terms.
#[test]
fn a_layer_may_be_compared_with_several() {
    let folder = tempdir().unwrap();
    let more = "[distill.fitnet]\nlayers = [\"layer3\", \"layer3\"]\nteacher_layers = [\"layer2\", \"layer3\"]\n";
    let records = run(&scenes("[\"class\"]", 1, more), folder.path());
    let terms: Vec<&str> = records[0].losses.keys().map(String::as_str).collect();
    assert_eq!(terms, ["class/ce", "class/fitnet@layer3:layer2", "class/fitnet@layer3:layer3"]);
}

/// Features at the decoder and at the levels of a detector come closer, behind KD4MTL's adaptors and standardised (PKD); of a teacher
/// whose maps are a quarter as large, too.
#[test]
fn features_of_heads_come_closer() {
    let folder = tempdir().unwrap();
    let more = "task_weight = 0.1\n\
        [distill.normalised]\nlayers = [\"decoder\"]\ntasks = [\"mask\"]\n\
        [distill.cwd]\nlayers = [\"decoder\", \"logits\"]\ntasks = [\"mask\"]\n\
        [distill.pkd]\nweight = 1\nlayers = [\"level2\", \"level3\"]\ntasks = [\"boxes\"]\n";
    let terms = ["mask/normalised", "mask/cwd@decoder", "mask/cwd@logits", "boxes/pkd@level2", "boxes/pkd@level3"];
    let config = scenes("[\"mask\", \"boxes\"]", 16, more);
    let same = run(&config, &folder.path().join("same"));
    for term in terms {
        let (first, last) = ends(&same, term);
        assert!(last < 0.8 * first, "{term}: {first} to {last}");
    }
    let sets = ["teacher.arch=resnet18", "teacher.width=0.125", "teacher.stem=imagenet"].map(String::from);
    let config = Config::parse(&config.to_toml(), Path::new("a.toml"), &sets).unwrap();
    let coarse = run(&config, &folder.path().join("coarse"));
    for term in terms {
        let (first, last) = ends(&coarse, term);
        assert!(last < first, "{term}: {first} to {last}");
    }
}

/// A teacher's maps come back from the cache as they were, and networks that learn along show theirs.
#[test]
fn maps_of_heads_are_cached_and_shown_to_each_other() {
    let folder = tempdir().unwrap();
    let methods = "[distill.normalised]\nlayers = [\"level2\", \"decoder\"]\n";
    let file = |name: &str, more: &str| {
        let out = folder.path().join(name);
        run(&scenes("[\"mask\", \"depth\"]", 2, &format!("{methods}{more}")), &out);
        fs::read(out.join("seed-1/distilled.last.safetensors")).unwrap()
    };
    let live = file("live", "");
    assert!(live == file("cached", "[cache]\nstorage = \"f32\"\n"));
    // Every term has a tape of its own, on which its head runs anew; the weights are found anew each step.
    let balanced = "[balance]\nmethod = \"cagrad\"\nover = \"terms\"\n";
    assert!(live != file("balanced", balanced));
    let told = read_records(&folder.path().join("balanced/metrics.jsonl")).unwrap();
    let distilled = told.iter().find(|r| r.stage == "distilled").unwrap();
    assert!(
        distilled.losses.len() == 6 && distilled.losses.values().all(|v| v.is_finite() && *v > 0.0),
        "{distilled:?}"
    );
    let found = experiment::verify_cache(&folder.path().join("cached"), 1.0, &gpu()).unwrap();
    assert!(found.len() == 2 && found.iter().all(|v| v.checked == 24 && v.wrong == 0), "{found:?}");
    let text = scenes("[\"mask\", \"depth\"]", 2, methods).to_toml();
    // Networks that learn along have nothing to be held to before the first step.
    let sets = ["teacher.kind=mutual", "distill.normalised.cap=false"].map(String::from);
    let mutual = Config::parse(&text, Path::new("m.toml"), &sets).unwrap();
    let records = run(&mutual, &folder.path().join("mutual"));
    for term in ["mask/normalised@level2", "mask/normalised@decoder", "depth/normalised@decoder"] {
        let (first, last) = ends(&records, term);
        assert!(first.is_finite() && last > 0.0, "{term}");
    }
}

/// In a whole run, in which no image has both labels and most have none.
#[test]
fn detectors_learn_from_teachers_on_images_without_boxes() {
    let folder = tempdir().unwrap();
    let more = "task_weight = 0.1\n[distill.kd]\ntasks = [\"boxes\"]\n\
                [distill.fgfi]\nweight = 0.5\n";
    let text = scenes("[\"mask\", \"boxes\"]", 16, more).to_toml();
    let sets = ["data.labelled={ mask = 0.25, boxes = 0.125 }", "data.disjoint=true"].map(String::from);
    let records = run(&Config::parse(&text, Path::new("a.toml"), &sets).unwrap(), folder.path());
    for term in ["boxes/kd", "boxes/fgfi@level2", "boxes/fgfi@level3"] {
        let (first, last) = ends(&records, term);
        assert!(last < 0.8 * first, "{term}: {first} to {last}");
    }
    let bytes = fs::read(folder.path().join("seed-1/distilled.safetensors")).unwrap();
    assert!(safetensors::SafeTensors::deserialize(&bytes).unwrap().names().iter().all(|n| !n.contains("adaptor")));
}
