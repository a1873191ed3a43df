//! What a teacher's decoder and pyramid make of an image teaches the student's.
#![cfg(feature = "train")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use limbeck::config::Config;
use limbeck::data::TaskKind;
use limbeck::distill::{Adaptor, BoxKd, FeatureKind, Imitation, METHODS, Whereabouts};
use limbeck::experiment;
use limbeck::gpu::{Gpu, Options};
use limbeck::kernels::fcos::{Focal, Level, Part};
use limbeck::loss::{Detection, LossLog, LossRecorder};
use limbeck::nn::{HeadSpec, Init, Mode, Network, NetworkSpec, Outputs, TrunkSpec, arch};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::Tensor;
use limbeck::train::EpochRecord;
use limbeck::train::event::read_records;
use tempfile::tempdir;

fn gpu() -> Gpu {
    Gpu::new(Options { poison: true, ..Options::from_env() }).unwrap()
}

fn scenes(tasks: &str, epochs: usize, more: &str) -> limbeck::Result<Config> {
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
    Config::parse(&text, Path::new("scenes.toml"), &[])
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

/// The maps that are tapped are those the answers are made of, in training and frozen.
#[test]
fn answers_are_made_of_the_maps_that_heads_give_away() {
    let gpu = gpu();
    let trunk = TrunkSpec { width: 0.25, ..TrunkSpec::new(arch::parse("resnet8").unwrap()) };
    let heads = vec![HeadSpec::decoder("mask", 3, 8), HeadSpec::linear("number", 1), HeadSpec::detector("boxes", 2, 8)];
    let net = Network::new(&gpu, NetworkSpec { trunk, channels: 1, heads, init: Init::HeNormal }, 0).unwrap();
    let pixels: Vec<f32> = (0..2 * 9 * 10).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let x = Tensor::from_f32(&gpu, &pixels, &[2, 9, 10, 1]).unwrap();
    let params: BTreeMap<String, Vec<f32>> =
        net.params().export(&gpu).unwrap().into_iter().map(|p| (p.name, p.data)).collect();
    let linear = |map: &Tensor, name: &str| -> Vec<f32> {
        let (weight, bias) = (&params[&format!("{name}.weight")], &params[&format!("{name}.bias")]);
        let values = map.to_f32(&gpu).unwrap();
        let row = |f: &[f32]| -> Vec<f32> {
            let one = |(w, b): (&[f32], &f32)| w.iter().zip(f).map(|(w, f)| w * f).sum::<f32>() + b;
            weight.chunks(f.len()).zip(bias).map(one).collect()
        };
        values.chunks(map.columns()).flat_map(row).collect()
    };
    let check = |out: &Outputs<Tensor>| {
        let shapes = |k: usize| out.maps[k].levels.iter().map(|m| m.shape().to_vec()).collect::<Vec<_>>();
        assert_eq!(shapes(0), [vec![2, 9, 10, 8], vec![2, 5, 5, 8], vec![2, 3, 3, 8]]);
        assert_eq!((shapes(1), out.maps[1].decoder.is_some()), (Vec::new(), false));
        assert_eq!((shapes(2), out.maps[2].first), (shapes(0)[1..].to_vec(), 1));
        assert!(out.maps[2].decoder.is_none() && out.maps[2].level(0).is_none() && out.maps[2].level(1).is_some());
        // The finest map is as large as the image.
        let want = linear(out.maps[0].decoder.as_ref().unwrap(), "heads.mask.answers");
        let got = out.logits[0].to_f32(&gpu).unwrap();
        assert_eq!(out.maps[0].logits.as_ref().unwrap().to_f32(&gpu).unwrap(), got);
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs())), "{:?}", &got[..3]);
    };
    check(&net.freeze(&gpu).unwrap().infer(&gpu, &x).unwrap());
    let out = net.forward(&gpu, &mut Tape::off(), Mode::TrainNoStats, &Var::constant(x)).unwrap();
    let (trained, features) = (out.maps, out.features);
    let value = |v: &Var| v.value().clone();
    check(&Outputs {
        logits: out.logits.iter().map(value).collect(),
        maps: trained
            .iter()
            .map(|m| limbeck::nn::HeadMaps {
                levels: m.levels.iter().map(value).collect(),
                first: m.first,
                decoder: m.decoder.as_ref().map(value),
                logits: m.logits.as_ref().map(value),
            })
            .collect(),
        features: limbeck::nn::Features {
            pooled: value(&features.pooled),
            maps: features.maps.iter().map(value).collect(),
            image: features.image,
        },
    });
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
    let records = run(&scenes("[\"mask\", \"depth\"]", 1, &tables).unwrap(), folder.path());
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
    let text = scenes("[\"class\", \"mask\"]", 1, &more).unwrap().to_toml();
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
    let records = run(&scenes("[\"class\"]", 1, more).unwrap(), folder.path());
    let terms: Vec<&str> = records[0].losses.keys().map(String::as_str).collect();
    assert_eq!(terms, ["class/ce", "class/fitnet@layer3:layer2", "class/fitnet@layer3:layer3"]);
    let same = more.replace("layer2", "layer3");
    let error = scenes("[\"class\"]", 1, &same).unwrap_err().to_string();
    assert!(error.contains("distill.fitnet.layers") && error.contains("is listed twice"), "{error}");
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
    let config = scenes("[\"mask\", \"boxes\"]", 16, more).unwrap();
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
        run(&scenes("[\"mask\", \"depth\"]", 2, &format!("{methods}{more}")).unwrap(), &out);
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
    let text = scenes("[\"mask\", \"depth\"]", 2, methods).unwrap().to_toml();
    // Networks that learn along have nothing to be held to before the first step.
    let sets = ["teacher.kind=mutual", "distill.normalised.cap=false"].map(String::from);
    let mutual = Config::parse(&text, Path::new("m.toml"), &sets).unwrap();
    let records = run(&mutual, &folder.path().join("mutual"));
    for term in ["mask/normalised@level2", "mask/normalised@decoder", "depth/normalised@decoder"] {
        let (first, last) = ends(&records, term);
        assert!(first.is_finite() && last > 0.0, "{term}");
    }
}

/// Before anything is trained: a teacher's trunk that has fewer stages than the level named.
#[test]
fn layers_that_a_teacher_has_not_are_refused_before_work_begins() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let refused = |sets: &[&str], words: &[&str]| {
        let text = scenes("[\"mask\"]", 1, "").unwrap().to_toml();
        let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
        let config = Config::parse(&text, Path::new("a.toml"), &sets).unwrap();
        let error =
            experiment::run(&config, &out, &gpu(), &AtomicBool::new(false), &mut |_| {}).unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)) && !out.exists(), "{error}");
    };
    let pkd = "distill={ methods = [\"pkd\"], pkd = { layers = [\"level4\"] } }";
    refused(&["student.arch=resnet18", pkd], &["distill.pkd.layers", "a teacher of mask has", "level1 to level3"]);
    let pkd = "distill={ methods = [\"pkd\"], pkd = { layers = [\"level3\"], teacher_layers = [\"layer5\"] } }";
    refused(&[pkd], &["distill.pkd.teacher_layers", "not layer5"]);
}

/// A loss by `x`, and its gradient.
fn loss_of(gpu: &Gpu, x: &Tensor, add: &dyn Fn(&mut LossRecorder, &Var) -> limbeck::Result<()>) -> (f64, Vec<f32>) {
    let (mut tape, mut ledger) = (Tape::new(), LossLog::new(gpu, vec!["loss".into()], 1).unwrap());
    let leaf = tape.leaf(x.clone());
    add(&mut LossRecorder { gpu, tape: &mut tape, ledger: &ledger }, &leaf).unwrap();
    ledger.advance();
    let grads = tape.backward(gpu).unwrap();
    (ledger.take(gpu).unwrap()[0][0].into(), grads.of(&leaf).unwrap().to_f32(gpu).unwrap())
}

/// An image without boxes as labels asks nothing of a detector by itself; its teacher's boxes and classes ask, and so do its features,
/// where the teacher sees something.
#[test]
fn images_without_boxes_are_taught_by_the_teachers() {
    let gpu = gpu();
    let levels = vec![Level { size: [4, 4], stride: 4.0 }, Level { size: [2, 2], stride: 8.0 }];
    let (images, places, columns) = (2, 20, 7);
    let numbers = |len: usize, step: usize| (0..len).map(|i| (i * step % 29) as f32 / 7.0 - 2.0).collect::<Vec<f32>>();
    let said =
        |step| Tensor::from_f32(&gpu, &numbers(images * places * columns, step), &[images, places, columns]).unwrap();
    let (z, taught) = (said(11), said(17));
    // Nobody has looked at the first image; in the second, nothing is.
    let mut rows = vec![0.0; images * 6];
    rows[5] = 3.0;
    let objects = Tensor::from_f32(&gpu, &rows, &[images, 1, 6]).unwrap();
    let of = |gradient: &[f32], image: usize| gradient[image * gradient.len() / 2..][..gradient.len() / 2].to_vec();
    let pulls = |values: &[f32]| values.iter().any(|v| *v != 0.0);
    for part in [Part::Classes(Focal { alpha: 0.25, gamma: 2.0 }), Part::Boxes, Part::Centre] {
        let detection = Detection { part, levels: levels.clone() };
        let (_, gradient) = loss_of(&gpu, &z, &|losses, z| {
            let (targets, norms) = detection.assign(losses.gpu, z, &objects)?;
            detection.apply(losses, 0, 1.0, z, (&targets, &norms))
        });
        assert!(!pulls(&of(&gradient, 0)), "{part:?}");
    }
    let (loss, gradient) =
        loss_of(&gpu, &z, &|losses, z| BoxKd { temperature: 2.0, boxes: 1.0 }.apply(losses, 0, 1.0, z, &taught));
    assert!(loss > 0.0);
    for image in 0..images {
        let own = of(&gradient, image);
        let column = |c: usize| own.iter().skip(c).step_by(columns).copied().collect::<Vec<f32>>();
        assert!((0..6).all(|c| pulls(&column(c))), "{image}: {own:?}");
        assert!(!pulls(&column(6)), "centre-ness is not taught");
    }
    let map = |step| Tensor::from_f32(&gpu, &numbers(images * 16 * 3, step), &[images, 4, 4, 3]).unwrap();
    let adaptor = Adaptor::new(&gpu, "adaptor", 3, 3, 0).unwrap();
    let imitation = Imitation::new(adaptor, 4.0, levels.clone());
    let seen = Whereabouts { objects: &objects, taught: &taught };
    let teacher = map(5);
    let (loss, gradient) = loss_of(&gpu, &map(3), &|losses, s| imitation.apply(losses, 0, 1.0, (s, &teacher), seen));
    assert!(loss > 0.0 && pulls(&of(&gradient, 0)) && !pulls(&of(&gradient, 1)));
    // A student's map twice as fine is pooled first, and a box is where it was: in the upper left quarter of the second image.
    rows[5] = 0.0;
    rows[6..].copy_from_slice(&[1.0, 1.0, 7.0, 7.0, 0.0, 1.0]);
    let objects = Tensor::from_f32(&gpu, &rows, &[images, 1, 6]).unwrap();
    let adaptor = Adaptor::new(&gpu, "adaptor", 3, 3, 0).unwrap();
    let imitation = Imitation::new(adaptor, 2.0, levels);
    let seen = Whereabouts { objects: &objects, taught: &taught };
    let fine = Tensor::from_f32(&gpu, &numbers(images * 64 * 3, 3), &[images, 8, 8, 3]).unwrap();
    let (_, gradient) = loss_of(&gpu, &fine, &|losses, s| imitation.apply(losses, 0, 1.0, (s, &teacher), seen));
    let pulled: Vec<usize> = (0..images * 64).filter(|i| pulls(&gradient[i * 3..i * 3 + 3])).collect();
    let quarter: Vec<usize> = (0..4).flat_map(|y| (0..4).map(move |x| 64 + y * 8 + x)).collect();
    assert_eq!(pulled, quarter);
}

/// In a whole run, in which no image has both labels and most have none.
#[test]
fn detectors_learn_from_teachers_on_images_without_boxes() {
    let folder = tempdir().unwrap();
    let more = "task_weight = 0.1\n[distill.kd]\ntasks = [\"boxes\"]\n\
                [distill.fgfi]\nweight = 0.5\n";
    let text = scenes("[\"mask\", \"boxes\"]", 16, more).unwrap().to_toml();
    let sets = ["data.labelled={ mask = 0.25, boxes = 0.125 }", "data.disjoint=true"].map(String::from);
    let records = run(&Config::parse(&text, Path::new("a.toml"), &sets).unwrap(), folder.path());
    for term in ["boxes/kd", "boxes/fgfi@level2", "boxes/fgfi@level3"] {
        let (first, last) = ends(&records, term);
        assert!(last < 0.8 * first, "{term}: {first} to {last}");
    }
    let bytes = fs::read(folder.path().join("seed-1/distilled.safetensors")).unwrap();
    assert!(safetensors::SafeTensors::deserialize(&bytes).unwrap().names().iter().all(|n| !n.contains("adaptor")));
}
