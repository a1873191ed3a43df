//! Both ways of making a step, and what balancing sees, against plain steps of one task at a time.

use super::*;
use crate::config::{Config, MethodConfig, TaskConfig};
use crate::data::Task;
use crate::data::augment::Augment;
use crate::data::compose::{Pairing, Samples};
use crate::data::digits;
use crate::data::loader::Loader;
use crate::distill::method;
use crate::nn::{HeadSpec, Init, NetworkSpec, TrunkSpec};
use crate::tasks::TaskObjective;
use crate::train::gradient_stats::GradientStats;
use crate::train::teacher_set::{Teacher, TeacherSet};
use crate::train::terms::{DistillPlan, Scaling};
use std::path::Path;

struct Scene {
    gpu: Gpu,
    inputs: Inputs,
    network: Network,
    recorded: RecordedStep,
    teachers: Vec<Teacher>,
}

fn network(gpu: &Gpu, width: f32, tasks: &[usize], seed: u64) -> Network {
    let heads = tasks.iter().map(|t| HeadSpec::mlp(format!("t{t}"), 10, &[12])).collect();
    let trunk = TrunkSpec { width, ..TrunkSpec::new("resnet8".parse().unwrap()) };
    Network::new(gpu, NetworkSpec { trunk, channels: 1, heads, init: Init::HeNormal }, seed).unwrap()
}

fn scene() -> Scene {
    let gpu = Gpu::new(crate::gpu::Options { poison: true, ..Default::default() }).unwrap();
    let samples = Samples { train: 16, val: 4, test: 4 };
    let data = digits::load(&Pairing { canvas: [12, 12], samples, seed: 1 }, 0).unwrap();
    let inputs = Inputs::new(data, Augment { shift: 1, ..Augment::NONE });
    let batch = Loader::train(inputs.train.clone(), 8, 3, inputs.augment, 0).next().unwrap();
    let recorded = RecordedStep::new(&gpu, &inputs, &batch, &[0, 1], true).unwrap();
    let teachers = (0..2)
        .map(|t| {
            let net = network(&gpu, 0.5, &[t], 7 + t as u64);
            let (channels, heads, tasks) = (net.stage_channels(), net.head_channels(), vec![format!("t{t}")]);
            let network = net.freeze(&gpu).unwrap();
            Teacher {
                fingerprint: network.fingerprint(&gpu).unwrap(),
                network: Some(network),
                channels,
                heads,
                levels: Vec::new(),
                tasks,
                file_hash: t as u64,
            }
        })
        .collect();
    Scene { network: network(&gpu, 0.25, &[0, 1], 1), gpu, inputs, recorded, teachers }
}

/// Both tasks with these weights: labels, soft labels, features, and methods with layers of their own.
fn loss_terms(scene: &Scene, weights: [f32; 2]) -> LossTerms {
    warmed(scene, weights, 0.0)
}

/// [`loss_terms`] with a warm-up of every method.
fn warmed(scene: &Scene, weights: [f32; 2], warmup_epochs: f64) -> LossTerms {
    let mut config = Config::parse("", Path::new("x.toml"), &[]).unwrap().distill;
    config.task_weight = 1.0;
    config.methods = ["kd", "fitnet", "normalised", "crd", "reviewkd"].map(String::from).to_vec();
    for name in &config.methods {
        let method = method(name).unwrap();
        let settings = method.keys.iter().map(|k| (k.name.to_string(), k.default)).collect();
        let none = Vec::new;
        let one = MethodConfig {
            weight: 0.5,
            normalize: false,
            cap: false,
            warmup_epochs,
            tasks: none(),
            layers: none(),
            teacher_layers: none(),
            settings,
        };
        config.tables.insert(name.clone(), one);
    }
    let mut teachers = TeacherSet::new(2);
    for (task, teacher) in scene.teachers.iter().enumerate() {
        let number = teachers.add(teacher.clone());
        teachers.assign(task, number, 0, 1.0);
    }
    let (teachers, lessons) = (teachers.teachers, teachers.lessons);
    let teaching = DistillPlan { methods: config.used().collect(), task_weight: 1.0, teachers, lessons, seed: 4 };
    let tasks = ["t0", "t1"].map(|name| Task::class(name, Vec::new()));
    let objective = |(task, weight)| TaskObjective {
        task,
        weight,
        config: TaskConfig::default(),
        frequencies: &[],
        label_smoothing: 0.0,
    };
    let objectives: Vec<TaskObjective> = tasks.iter().zip(weights).map(objective).collect();
    LossTerms::with_teachers(&scene.gpu, &objectives, &[], teaching, &scene.network).unwrap()
}

/// Every gradient, the network's first.
fn gradients(scene: &Scene, loss_terms: &LossTerms) -> Vec<Vec<f32>> {
    let beside = loss_terms.adaptors().into_iter().map(|(_, p)| p.grads().to_f32(&scene.gpu).unwrap());
    std::iter::once(scene.network.params().grads().to_f32(&scene.gpu).unwrap()).chain(beside).collect()
}

fn plain(scene: &Scene, loss_terms: &LossTerms) -> Vec<Vec<f32>> {
    let (gpu, place) = (&scene.gpu, &scene.recorded.place);
    let log = LossLog::new(gpu, loss_terms.names().to_vec(), 1).unwrap();
    let x = scene.inputs.training_input(gpu, place).unwrap();
    let taught = loss_terms.teach(gpu, &x).unwrap();
    let mut tape = Tape::new();
    let features = scene.network.features(gpu, &mut tape, Mode::Train, &Var::constant(x)).unwrap();
    let all: Vec<usize> = (0..loss_terms.terms().len()).collect();
    let mut losses = LossRecorder { gpu, tape: &mut tape, log: &log };
    let mut heads = Heads::new(&scene.network, Mode::Train);
    let labels = scene.inputs.training_labels(gpu, place).unwrap();
    loss_terms.apply(&mut losses, &all, &mut heads, &features, &taught, &labels).unwrap();
    drop((features, heads));
    let grads = tape.backward(gpu).unwrap();
    scene.network.params().zero_untouched(gpu, &grads).unwrap();
    gradients(scene, loss_terms)
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    let size = norm(&mut b.iter().map(|v| f64::from(*v)));
    norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b))) / size.max(1e-12)
}

fn halves(scene: &Scene, loss_terms: &LossTerms, level: Level, weights: [f32; 2]) -> (Vec<Vec<f32>>, Vec<f32>) {
    let gpu = &scene.gpu;
    let groups: Vec<Vec<usize>> =
        (0..2).map(|k| (0..loss_terms.terms().len()).filter(|i| loss_terms.terms()[*i].task == k).collect()).collect();
    let balanced = BalancedStep {
        gpu,
        inputs: &scene.inputs,
        network: &scene.network,
        loss_terms,
        groups: &groups,
        level,
        taught: None,
    };
    let log = LossLog::new(gpu, loss_terms.names().to_vec(), 1).unwrap();
    let pending = balanced.run(&scene.recorded.place, &log).unwrap();
    let gramian = pending.gramian.clone();
    let weights = Tensor::from_f32(gpu, &weights, &[2]).unwrap();
    balanced.combine(pending, &weights, &weights).unwrap();
    let seen = if level == Level::Nowhere { Vec::new() } else { gramian.to_f32(gpu).unwrap() };
    (gradients(scene, loss_terms), seen)
}

#[test]
fn both_ways_of_making_a_step_give_the_same_gradients() {
    let scene = scene();
    let ones = loss_terms(&scene, [1.0, 1.0]);
    let weighted = loss_terms(&scene, [0.7, 0.2]);
    let want = plain(&scene, &weighted);
    assert!(want.len() == 9 && want.iter().all(|g| g.iter().all(|v| v.is_finite()) && g.iter().any(|v| *v != 0.0)));
    for level in [Level::Nowhere, Level::Features, Level::Parameters] {
        let (got, _) = halves(&scene, &ones, level, [0.7, 0.2]);
        for (i, (a, b)) in got.iter().zip(&want).enumerate() {
            assert!(distance(a, b) < 1e-5, "{level:?}, arena {i}: {:.1e}", distance(a, b));
        }
    }
}

#[test]
fn the_gramian_of_the_parameters_is_that_of_each_tasks_gradient() {
    let scene = scene();
    let shared = scene.network.shared_grads().unwrap().len();
    let own: Vec<Vec<f64>> = [[1.0, 0.0], [0.0, 1.0]]
        .map(|weights| {
            let loss_terms = loss_terms(&scene, weights);
            plain(&scene, &loss_terms)[0][..shared].iter().map(|v| f64::from(*v)).collect()
        })
        .to_vec();
    let want = crate::balance::Gramian::of(&own).unwrap();
    let (_, got) = halves(&scene, &loss_terms(&scene, [1.0, 1.0]), Level::Parameters, [1.0, 1.0]);
    for (i, got) in got.iter().enumerate() {
        let want = want.at(i / 2, i % 2);
        assert!((f64::from(*got) - want).abs() < 1e-4 * want.abs(), "{i}: {got} {want}");
    }
    // The measure at the trunk's output is another one, but of the same signs here.
    let (_, features) = halves(&scene, &loss_terms(&scene, [1.0, 1.0]), Level::Features, [1.0, 1.0]);
    assert!(features[0] > 0.0 && features[3] > 0.0 && features[1] == features[2]);
}

#[test]
fn a_probe_changes_nothing_and_normalised_terms_pull_alike() {
    let scene = scene();
    let mut loss_terms = loss_terms(&scene, [1.0, 0.5]);
    loss_terms.scale_methods(Scaling::Normalize);
    let before = scene.network.params().export(&scene.gpu).unwrap();
    let probe = |loss_terms: &LossTerms| {
        let network = &scene.network;
        scene.recorded.probe(&scene.gpu, &scene.inputs, (network, loss_terms), None).unwrap()
    };
    let products = probe(&loss_terms);
    let scales = loss_terms.scales(&products);
    // A task of whose labels the batch has none: nothing is known of its methods' scales, and they stay as they are.
    let (mut without, n) = (products.clone(), scales.len());
    let label = loss_terms.names().iter().position(|name| name == "t1/ce").unwrap();
    (0..n).for_each(|i| (without[i * n + label], without[label * n + i]) = (0.0, 0.0));
    for (name, (scale, known)) in loss_terms.names().iter().zip(loss_terms.scales(&without).into_iter().zip(&scales)) {
        let open = name.starts_with("t1/") && name != "t1/ce";
        assert_eq!(scale, if open { 0.0 } else { *known }, "{name}");
    }
    let factors = loss_terms.factors();
    loss_terms.scale(&vec![0.0; n]);
    assert_eq!(loss_terms.factors(), factors);
    // Held down to the labels by what of the same factors is below 1 for its weight, and never raised.
    loss_terms.scale_methods(Scaling::Cap(0.5));
    for (i, (capped, scale)) in loss_terms.scales(&products).into_iter().zip(&scales).enumerate() {
        let want = if loss_terms.terms()[i].is_labels() { 1.0 } else { (scale / 0.5).min(1.0) };
        assert!((capped - want).abs() <= 1e-6 * want, "{i}: {capped} {want}");
    }
    loss_terms.scale_methods(Scaling::Normalize);
    loss_terms.scale(&scales);
    assert_eq!(scene.network.params().export(&scene.gpu).unwrap(), before);
    let stats = GradientStats::of(&loss_terms, &probe(&loss_terms));
    // Methods have half the labels' weight, the second task half of the first one's.
    for task in ["t0", "t1"] {
        let labels = stats.norms[&format!("{task}/ce")];
        for method in ["kd", "fitnet", "normalised", "crd", "reviewkd"] {
            let ratio = stats.norms[&format!("{task}/{method}")] / labels;
            assert!((ratio - 0.5).abs() < 1e-3, "{task}/{method}: {ratio}");
        }
    }
    assert!((stats.cosines[0][0] - 1.0).abs() < 1e-9 && stats.cosines[0][1].abs() < 1.0);
    assert_eq!(stats.cosines[0][1], stats.cosines[1][0]);
}

#[test]
fn a_warm_up_raises_the_methods_weights() {
    let scene = scene();
    let (mut cold, mut warm) = (loss_terms(&scene, [1.0, 0.5]), warmed(&scene, [1.0, 0.5], 2.5));
    assert!(!cold.advance(0, 8));
    let full = cold.factors();
    let part = |loss_terms: &LossTerms| -> Vec<f32> {
        loss_terms.factors().iter().zip(&full).map(|(own, full)| own / full).collect()
    };
    for (epoch, strength, changed) in [(0, 0.4, true), (1, 0.8, true), (1, 0.8, false), (2, 1.0, true), (7, 1.0, false)]
    {
        assert_eq!(warm.advance(epoch, 8), changed, "epoch {epoch}");
        for (term, part) in warm.terms().iter().zip(part(&warm)) {
            let want = if term.is_labels() { 1.0 } else { strength };
            assert!((part - want).abs() < 1e-6, "epoch {epoch}: {part}");
        }
    }
    // What scales a term scales it before and after alike.
    let mut scaled = warmed(&scene, [1.0, 0.5], 2.0);
    scaled.advance(0, 8);
    scaled.scale(&vec![3.0; full.len()]);
    scaled.advance(1, 8);
    assert!(part(&scaled).iter().all(|p| (p - 3.0).abs() < 1e-6));
}

#[test]
fn a_look_at_the_losses_changes_nothing() {
    let scene = scene();
    let loss_terms = loss_terms(&scene, [1.0, 0.5]);
    let groups: Vec<Vec<usize>> = vec![(0..loss_terms.terms().len()).collect()];
    let (gpu, inputs, network) = (&scene.gpu, &scene.inputs, &scene.network);
    let balanced = BalancedStep {
        gpu,
        inputs,
        network,
        loss_terms: &loss_terms,
        groups: &groups,
        level: Level::Nowhere,
        taught: None,
    };
    let mut log = LossLog::new(gpu, loss_terms.names().to_vec(), 1).unwrap();
    let before = network.params().export(gpu).unwrap();
    balanced.losses(&scene.recorded.place, &log).unwrap();
    log.advance();
    assert_eq!(network.params().export(gpu).unwrap(), before);
    let looked = log.take(gpu).unwrap();
    // The same values as in a step, which does change the running statistics.
    balanced.run(&scene.recorded.place, &log).unwrap();
    log.advance();
    assert_eq!(log.take(gpu).unwrap(), looked);
    assert_ne!(network.params().export(gpu).unwrap(), before);
}
