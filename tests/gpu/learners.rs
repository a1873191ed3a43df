//! Students trained in code: what learners take, and what they refuse.

use limbeck::balance::{BalanceConfig, BalanceLevel, Over};
use limbeck::data::augment::Augment;
use limbeck::data::compose::{Pairing, Samples};
use limbeck::data::{digits, seed};
use limbeck::distill::{self, MethodConfig};
use limbeck::gpu::{Gpu, Options};
use limbeck::nn::{Init, Network, TrunkSpec};
use limbeck::optim::{Rule, Sgd};
use limbeck::train::{Inputs, Learner, LossTerms, StepRecorder, Teacher};
use std::collections::BTreeMap;

const RULE: Rule = Rule::Sgd(Sgd { lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 0.0 });
const TASKS: [&str; 2] = ["first", "second"];

struct Scene {
    gpu: Gpu,
    inputs: Inputs,
}

impl Scene {
    fn new() -> Self {
        let samples = Samples { train: 48, val: 16, test: 16 };
        let data = digits::load(&Pairing { canvas: [12, 12], samples, seed: 0 }, 0).unwrap();
        Scene { gpu: Gpu::new(Options::from_env()).unwrap(), inputs: Inputs::new(data, Augment::NONE) }
    }

    fn network(&self, width: f32, tasks: &[&str], seed: u64) -> Network {
        let trunk = TrunkSpec { width, ..TrunkSpec::new("resnet8".parse().unwrap()) };
        let spec = self.inputs.network_spec(trunk, tasks, Init::HeNormal).unwrap();
        Network::new(&self.gpu, spec, seed).unwrap()
    }

    fn labels(&self, network: Network) -> Learner {
        let terms = LossTerms::labels(&self.gpu, &self.inputs, &network).unwrap();
        Learner::new(&self.gpu, network, terms, RULE, None).unwrap()
    }

    /// Epochs of three steps each.
    fn train(&self, learners: &mut [Learner], epochs: usize) -> limbeck::Result<()> {
        let mut steps = StepRecorder::default();
        for epoch in 0..epochs {
            for learner in learners.iter_mut() {
                learner.begin_epoch(&self.gpu, epoch, epochs)?;
            }
            for batch in self.inputs.epoch(16, seed::derive_n(1, epoch as u64)) {
                steps.step(&self.gpu, &self.inputs, &batch, learners, 0.05)?;
            }
        }
        Ok(())
    }
}

/// Losses of the last epoch of so many.
fn last_losses(scene: &Scene, learner: Learner, epochs: usize) -> BTreeMap<String, f64> {
    let mut learners = [learner];
    scene.train(&mut learners, epochs - 1).unwrap();
    learners[0].mean_losses(&scene.gpu).unwrap();
    scene.train(&mut learners, 1).unwrap();
    learners[0].mean_losses(&scene.gpu).unwrap().into_iter().collect()
}

#[test]
fn networks_that_learn_from_each_other_take_a_step_together() {
    let scene = Scene::new();
    let (gpu, inputs) = (&scene.gpu, &scene.inputs);
    let networks = [scene.network(0.25, &TASKS, 1), scene.network(0.5, &TASKS, 2)];
    let all: Vec<&Network> = networks.iter().collect();
    let kd = distill::method("kd").unwrap();
    let config = MethodConfig { warmup_epochs: 2.0, ..MethodConfig::published(kd) };
    let terms: Vec<LossTerms> = (0..2)
        .map(|own| LossTerms::mutual(gpu, inputs, &all, own, &[(kd, config.clone())], own as u64).unwrap())
        .collect();
    let learner = |(network, terms)| Learner::new(gpu, network, terms, RULE, None).unwrap();
    let mut learners: Vec<Learner> = networks.into_iter().zip(terms).map(learner).collect();
    scene.train(&mut learners, 2).unwrap();
    for learner in &mut learners {
        let losses = learner.mean_losses(gpu).unwrap();
        assert_eq!(losses.len(), 4, "{losses:?}");
        assert!(losses.iter().all(|(_, mean)| mean.is_finite() && *mean > 0.0), "{losses:?}");
        assert!(learner.mean_losses(gpu).unwrap().is_empty(), "no step since");
        let (results, loss) = inputs.validate(gpu, learner, 16).unwrap();
        assert!(results.len() == 2 && loss > 0.0);
    }
    // Those that learn from labels alone do not take a step together, nor those of different tasks.
    let mut strangers = [scene.labels(scene.network(0.25, &TASKS, 1)), scene.labels(scene.network(0.25, &TASKS, 2))];
    let error = scene.train(&mut strangers, 1).unwrap_err().to_string();
    assert!(error.contains("LossTerms::mutual"), "{error}");
    let mut others =
        [scene.labels(scene.network(0.25, &["first"], 1)), scene.labels(scene.network(0.25, &["second"], 2))];
    let error = scene.train(&mut others, 1).unwrap_err().to_string();
    assert!(error.contains("heads for the same tasks"), "{error}");
    assert!(scene.train(&mut [], 1).unwrap_err().to_string().contains("needs a learner"));
}

/// Each task has the teacher of its name, also where two teachers hold the same numbers.
#[test]
fn every_task_has_its_own_teacher() {
    let scene = Scene::new();
    let (gpu, inputs) = (&scene.gpu, &scene.inputs);
    let teacher = |task: &str, seed| Teacher::new(gpu, &scene.network(0.5, &[task], seed), inputs).unwrap();
    let kd = distill::method("kd").unwrap();
    let losses = |teachers: [Teacher; 2]| {
        let student = scene.network(0.25, &TASKS, 3);
        let terms = LossTerms::distilled(gpu, inputs, &student, &teachers, &[(kd, MethodConfig::of(kd))], 0).unwrap();
        last_losses(&scene, Learner::new(gpu, student, terms, RULE, None).unwrap(), 1)
    };
    let same = losses([teacher("first", 7), teacher("second", 7)]);
    let other = losses([teacher("first", 7), teacher("second", 8)]);
    assert_eq!(same.keys().map(String::as_str).collect::<Vec<_>>(), ["first/ce", "first/kd", "second/ce", "second/kd"]);
    assert_ne!(same["second/kd"], other["second/kd"]);
}

/// Dynamic weight averaging goes by epochs: from the third on its weights differ, and so does what is learnt.
#[test]
fn a_learner_can_be_balanced() {
    let scene = Scene::new();
    let config = |method: &str| {
        let settings = limbeck::balance::method(method).unwrap().keys.iter().map(|k| (k.name.to_string(), k.default));
        let (over, level) = (Over::Tasks, BalanceLevel::Features);
        BalanceConfig { method: method.into(), over, level, probe: false, rescale: true, settings: settings.collect() }
    };
    let learner = |method: &str| scene.labels(scene.network(0.25, &TASKS, 5)).balanced(&config(method), 1).unwrap();
    let values = |method: &str, epochs| {
        let mut learners = [learner(method)];
        scene.train(&mut learners, epochs).unwrap();
        learners[0].network().params().values().to_f32(&scene.gpu).unwrap()
    };
    let plain = |epochs| {
        let mut learners = [scene.labels(scene.network(0.25, &TASKS, 5))];
        scene.train(&mut learners, epochs).unwrap();
        learners[0].network().params().values().to_f32(&scene.gpu).unwrap()
    };
    let distance = |a: Vec<f32>, b: Vec<f32>| -> f64 {
        a.iter().zip(&b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    };
    let (early, late) = (distance(values("dwa", 2), plain(2)), distance(values("dwa", 5), plain(5)));
    assert!(early < 1e-3 && late > 10.0 * early.max(1e-6), "{early} {late}");
    assert!(distance(values("cagrad", 1), plain(1)) > 1e-3);
}

/// In code as in a run, a method is nowhere stronger than the labels unless it is told to be.
#[test]
fn a_method_is_capped_at_the_strength_of_the_labels() {
    let scene = Scene::new();
    let (gpu, inputs) = (&scene.gpu, &scene.inputs);
    let teachers = [Teacher::new(gpu, &scene.network(0.5, &TASKS, 1), inputs).unwrap()];
    let kd = distill::method("kd").unwrap();
    let values = |config: Option<MethodConfig>| {
        let student = scene.network(0.25, &TASKS, 3);
        let methods: Vec<_> = config.into_iter().map(|config| (kd, config)).collect();
        let terms = LossTerms::distilled(gpu, inputs, &student, &teachers, &methods, 0).unwrap();
        let mut learners = [Learner::new(gpu, student, terms, RULE, None).unwrap()];
        scene.train(&mut learners, 1).unwrap();
        assert_eq!(learners[0].unscaled(), [""; 0]);
        // Batch norm's statistics too: they must not know that something was measured.
        let stored = learners[0].network().params().export(gpu).unwrap();
        stored.into_iter().flat_map(|tensor| tensor.data).collect::<Vec<f32>>()
    };
    let distance =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt() };
    // Whatever the weight, the strength is that of the labels: both caps have the same effect, and a small one.
    let labels = values(None);
    let [strong, stronger] = [100.0, 400.0].map(|weight| values(Some(MethodConfig { weight, ..MethodConfig::of(kd) })));
    let loose = values(Some(MethodConfig { weight: 100.0, ..MethodConfig::published(kd) }));
    assert!(distance(&strong, &stronger) < 1e-3 * distance(&strong, &labels), "the caps differ");
    assert!(distance(&strong, &labels) < 0.5 * distance(&loose, &labels), "a cap changes nothing");
    let equal = values(Some(MethodConfig::normalized(kd)));
    assert!(distance(&strong, &equal) < 1e-3 * distance(&strong, &labels), "a cap is not at the labels' strength");
    // What is weaker than the labels is left as it is.
    let [weak, plain] = [MethodConfig::of(kd), MethodConfig::published(kd)]
        .map(|config| values(Some(MethodConfig { weight: 1e-3, ..config })));
    assert_eq!(weak, plain);
}

/// Losses are read for many steps at once; the error still names the first that went wrong.
#[test]
fn a_loss_that_is_no_number_names_its_step() {
    let scene = Scene::new();
    let batches: Vec<_> = (0..4).flat_map(|epoch| scene.inputs.epoch(16, epoch)).collect();
    // The step at which reading the losses after every `often` steps first fails, and where the error says that it was.
    let failure = |often: usize| {
        let mut learners = [scene.labels(scene.network(0.25, &TASKS, 3))];
        let mut steps = StepRecorder::default();
        for (i, batch) in batches.iter().enumerate() {
            steps.step(&scene.gpu, &scene.inputs, batch, &mut learners, 1e38).unwrap();
            if (i + 1) % often == 0
                && let Err(error) = learners[0].mean_losses(&scene.gpu)
            {
                let limbeck::Error::NonFinite { at, .. } = error else { panic!("{error:?}") };
                return (i + 1, at);
            }
        }
        panic!("every loss is finite")
    };
    let (first, at) = failure(1);
    assert_eq!(at, format!("step {first}"));
    assert_eq!(failure(batches.len()), (batches.len(), at));
    assert!(first < batches.len());
}

/// Whoever goes on with a trained network counts epochs from somewhere else.
#[test]
fn a_method_is_capped_wherever_epochs_begin() {
    let scene = Scene::new();
    let (gpu, inputs) = (&scene.gpu, &scene.inputs);
    let teachers = [Teacher::new(gpu, &scene.network(0.5, &TASKS, 1), inputs).unwrap()];
    let kd = distill::method("kd").unwrap();
    let values = |first: usize| {
        let student = scene.network(0.25, &TASKS, 3);
        let methods = [(kd, MethodConfig { weight: 100.0, ..MethodConfig::of(kd) })];
        let terms = LossTerms::distilled(gpu, inputs, &student, &teachers, &methods, 0).unwrap();
        let mut learners = [Learner::new(gpu, student, terms, RULE, None).unwrap()];
        learners[0].begin_epoch(gpu, first, 10).unwrap();
        let mut steps = StepRecorder::default();
        for batch in inputs.epoch(16, 7) {
            steps.step(gpu, inputs, &batch, &mut learners, 0.05).unwrap();
        }
        learners[0].network().params().values().to_f32(gpu).unwrap()
    };
    assert_eq!(values(0), values(5));
}

#[test]
fn settings_that_would_change_nothing_are_refused() {
    let scene = Scene::new();
    let (gpu, inputs) = (&scene.gpu, &scene.inputs);
    let student = scene.network(0.25, &TASKS, 3);
    let teachers = [Teacher::new(gpu, &scene.network(0.5, &["first"], 1), inputs).unwrap()];
    let sp = distill::method("sp").unwrap();
    let own = || MethodConfig::of(sp);
    for (config, words) in [
        (MethodConfig { normalize: true, ..own() }, "exclude each other"),
        (MethodConfig { layers: vec!["layr2".into()], ..own() }, "\"layr2\" is no layer"),
        (MethodConfig { tasks: vec!["frist".into()], ..own() }, "no task \"frist\""),
        (MethodConfig { teacher_layers: vec!["layer1".into()], ..own() }, "must be as many"),
    ] {
        let error = LossTerms::distilled(gpu, inputs, &student, &teachers, &[(sp, config)], 0).err().unwrap();
        assert!(error.to_string().starts_with("sp: ") && error.to_string().contains(words), "{error}");
    }
    let error = LossTerms::mutual(gpu, inputs, &[&student, &student], 0, &[(sp, own())], 0).err().unwrap();
    assert!(error.to_string().contains("learners that learn from each other"), "{error}");
    assert!(scene.labels(student).with_average(gpu, 1.0).is_err());
    let unknown = inputs.network_spec(TrunkSpec::new("resnet8".parse().unwrap()), &["third"], Init::HeNormal);
    assert!(unknown.unwrap_err().to_string().contains("its tasks are first, second"));
}
