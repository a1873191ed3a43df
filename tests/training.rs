//! Training: it learns, it repeats itself bit for bit, it survives interruptions, and nothing changes what is frozen.
#![cfg(feature = "train")]

mod support;

use limbeck::distill::{Adaptor, FeatureLoss, Kd};
use limbeck::gpu::{Gpu, Options};
use limbeck::kernels::elementwise;
use limbeck::kernels::optimizer::{Adam, Sgd};
use limbeck::loss::{CrossEntropy, Ledger, Losses};
use limbeck::nn::{Mode, Network, NetworkSpec, TrunkSpec};
use limbeck::optim::{Optimizer, Rule};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::{Target, Tensor};
use limbeck::train::checkpoint::{self, Card, TaskCard};
use limbeck::train::event::read_records;
use limbeck::train::{self, Config, EpochRecord, Event, StageResult};
use limbeck::{Error, nn::HeadSpec};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::*;
use tempfile::tempdir;

const SGD: Rule = Rule::Sgd(Sgd { lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 1e-4 });
const ADAMW: Rule = Rule::Adam(Adam { lr: 0.01, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, decoupled: true });

fn steps(gpu: &Gpu, network: &Network, sample: &Sample, rule: Rule, count: usize) -> Vec<f32> {
    let mut optimizer = Optimizer::new(gpu, network.params(), rule, None).unwrap();
    let lr = match rule {
        Rule::Sgd(sgd) => sgd.lr,
        Rule::Adam(adam) => adam.lr,
    };
    let (mut ledger, mut totals) = (ledger(gpu), Vec::new());
    for _ in 0..count {
        gradients(gpu, network, sample, [1.0, 1.0], &mut ledger);
        optimizer.step(gpu, network.params(), lr).unwrap();
        totals.extend(ledger.take(gpu).unwrap().iter().map(|row| row.iter().sum::<f32>()));
    }
    totals
}

// ---------------------------------------------------------------- learning

#[test]
fn a_network_overfits_one_batch() {
    let gpu = gpu();
    let sample = batch(&gpu, 16);
    for (name, rule) in [("sgd", SGD), ("adamw", ADAMW)] {
        let network = Network::new(&gpu, spec("resnet8", 0.5, &[]), 1).unwrap();
        let losses = steps(&gpu, &network, &sample, rule, 60);
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(first > 3.0 && last < 0.1, "{name}: {first} -> {last}");
        let outputs = forward(&gpu, &network, Mode::Train, &sample.x);
        for (logits, truth) in outputs.logits.iter().zip(&sample.truth) {
            assert_eq!(
                limbeck::kernels::confusion::argmax(&gpu, logits.value()).unwrap().to_u32(&gpu).unwrap(),
                *truth
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_after_50_steps() {
    let train = |seed| {
        let gpu = gpu();
        let network = Network::new(&gpu, spec("resnet8", 0.5, &[]), seed).unwrap();
        steps(&gpu, &network, &batch(&gpu, 16), SGD, 50);
        values(&gpu, &network).into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let first = train(7);
    assert!(first == train(7), "two runs with one seed differ");
    assert!(first != train(8), "the seed has no effect");
}

// ---------------------------------------------------------------- the tape

/// `relu(x)` through [`limbeck::tape::Grads::target`].
fn relu(gpu: &Gpu, tape: &mut Tape, x: &Var) -> Var {
    let y = elementwise::relu(gpu, x.value()).unwrap();
    let (output, slot) = (y.clone(), x.slot());
    tape.push(y, move |gpu, dy, grads| match grads.target(gpu, &slot)? {
        Some(dx) => elementwise::relu_grad(gpu, dy, &output, &dx),
        None => Ok(()),
    })
}

/// `a + b` through [`limbeck::tape::Grads::pass`].
fn add(gpu: &Gpu, tape: &mut Tape, a: &Var, b: &Var) -> Var {
    let y = Tensor::empty(gpu, a.value().shape()).unwrap();
    elementwise::axpy(gpu, 1.0, a.value(), &Target::fresh(y.clone())).unwrap();
    elementwise::axpy(gpu, 1.0, b.value(), &Target { tensor: y.clone(), accumulate: true }).unwrap();
    let (a, b) = (a.slot(), b.slot());
    tape.push(y, move |gpu, dy, grads| {
        grads.pass(gpu, &a, dy)?;
        grads.pass(gpu, &b, dy)
    })
}

#[test]
fn gradients_of_a_value_used_several_times_accumulate() {
    let gpu = gpu();
    let x = [-1.0, 2.0, -3.0, 4.0];
    let tensor = |v: &[f32]| Tensor::from_f32(&gpu, v, &[v.len()]).unwrap();
    let write = |tape: &mut Tape, var: &Var, g: &[f32]| {
        let target = tape.target(&gpu, var).unwrap().unwrap();
        elementwise::axpy(&gpu, 1.0, &tensor(g), &target).unwrap();
    };
    let g = [1.0, 10.0, 100.0, 1000.0];
    for direct in [false, true] {
        let mut tape = Tape::new();
        let leaf = tape.leaf(tensor(&x));
        // relu(x) + x, then that plus x again: x is reached once through `target` and twice through `pass`; the tensors
        // that `pass` hands on are the same memory for both summands and must not be added to in place.
        let r = relu(&gpu, &mut tape, &leaf);
        let s = add(&gpu, &mut tape, &r, &leaf);
        let y = add(&gpu, &mut tape, &s, &leaf);
        if direct {
            // A loss on the leaf and a second one on the same output.
            write(&mut tape, &leaf, &[0.5; 4]);
            write(&mut tape, &y, &g);
        }
        write(&mut tape, &y, &g);
        let grads = tape.backward(&gpu).unwrap();
        let times = if direct { 2.0 } else { 1.0 };
        let want: Vec<f32> = x
            .iter()
            .zip(g)
            .map(|(x, g)| times * g * (2.0 + f32::from(u8::from(*x > 0.0))) + if direct { 0.5 } else { 0.0 })
            .collect();
        assert_eq!(grads.of(&leaf).unwrap().to_f32(&gpu).unwrap(), want, "direct {direct}");
    }
}

#[test]
fn a_tape_that_is_off_records_nothing_and_changes_nothing() {
    let gpu = gpu();
    let sample = batch(&gpu, 8);
    let network = Network::new(&gpu, spec("resnet8", 0.25, &[]), 2).unwrap();
    let run = |tape: &mut Tape| {
        let outputs = network.forward(&gpu, tape, Mode::Eval, &Var::constant(sample.x.clone())).unwrap();
        let bits = outputs.logits.iter().flat_map(|l| l.value().to_f32(&gpu).unwrap()).map(f32::to_bits);
        (bits.collect::<Vec<_>>(), outputs.logits.iter().filter(|l| l.slot().wanted()).count())
    };
    let (mut on, mut off) = (Tape::new(), Tape::off());
    let (recorded, plain) = (run(&mut on), run(&mut off));
    assert_eq!((recorded.1, plain.1), (2, 0));
    assert_eq!(recorded.0, plain.0);
    assert!(on.recording() && !off.recording());
    let leaf = off.leaf(sample.x.clone());
    assert!(!leaf.slot().wanted());
    assert!(off.backward(&gpu).unwrap().of(&leaf).is_none());
}

#[test]
fn inference_and_backward_return_their_buffers() {
    // Never poisoned: the recorded fill keeps every buffer until the submission.
    let open = || Gpu::new(Options::default()).unwrap();
    let gpu = open();
    let sample = batch(&gpu, 32);
    let network = Network::new(&gpu, spec("resnet8", 0.5, &[]), 2).unwrap();
    gpu.flush().unwrap();
    let before = gpu.stats().pool.in_use;
    let mut tape = Tape::new();
    let outputs = network.forward(&gpu, &mut tape, Mode::Train, &Var::constant(sample.x.clone())).unwrap();
    let forward = gpu.stats().pool.in_use - before;
    let ledger = ledger(&gpu);
    let mut losses = Losses { gpu: &gpu, tape: &mut tape, ledger: &ledger };
    CrossEntropy::default().apply(&mut losses, 0, 1.0, &outputs.logits[0], &sample.labels[0]).unwrap();
    drop(outputs);
    drop(tape.backward(&gpu).unwrap());
    gpu.flush().unwrap();
    let stats = gpu.stats().pool;
    assert!(stats.in_use - before < forward / 20, "{} of {forward} bytes are still held", stats.in_use - before);
    // Held to the end, the gradients of all activations would double what the forward pass holds.
    let peak = stats.peak - before;
    assert!(peak < forward + forward / 2, "backward took {peak} bytes, forward {forward}");
    // Without a tape nothing is saved at all.
    let gpu = open();
    let (sample, network) = (batch(&gpu, 32), Network::new(&gpu, spec("resnet8", 0.5, &[]), 2).unwrap());
    let before = gpu.stats().pool.in_use;
    drop(network.freeze(&gpu).unwrap().infer(&gpu, &sample.x).unwrap());
    let peak = gpu.stats().pool.peak - before;
    assert!(peak < forward * 2 / 3, "inference took {peak} bytes, a training pass {forward}");
}

#[test]
fn from_the_third_step_on_nothing_is_created() {
    let gpu = gpu();
    let network = Network::new(&gpu, spec("resnet8", 0.5, &[8]), 2).unwrap();
    let teacher = Network::new(&gpu, spec("resnet14", 0.5, &[]), 3).unwrap().freeze(&gpu).unwrap();
    let mut optimizer = Optimizer::new(&gpu, network.params(), SGD, Some(1.0)).unwrap();
    let mut ledger = ledger(&gpu);
    let mut pass = |ledger: &mut Ledger| {
        // As in training: the batch is uploaded anew each time, and let go before the submission.
        let bytes = Tensor::from_bytes(&gpu, &[100; 16 * 144]).unwrap();
        let x = limbeck::kernels::augment::normalise(&gpu, &bytes, [16, 12, 12, 1], &[0.5], &[0.2]).unwrap();
        let labels = Tensor::from_u32(&gpu, &[1; 16], &[16]).unwrap();
        let mut tape = Tape::new();
        let outputs = network.forward(&gpu, &mut tape, Mode::Train, &Var::constant(x.clone())).unwrap();
        let taught = teacher.infer(&gpu, &x).unwrap();
        let mut losses = Losses { gpu: &gpu, tape: &mut tape, ledger };
        CrossEntropy::default().apply(&mut losses, 0, 1.0, &outputs.logits[0], &labels).unwrap();
        let kd = Kd { temperature: 4.0, standardise: false };
        kd.apply(&mut losses, 1, 1.0, &outputs.logits[1], &taught.logits[1]).unwrap();
        drop(outputs);
        let grads = tape.backward(&gpu).unwrap();
        network.params().zero_untouched(&gpu, &grads).unwrap();
        optimizer.step(&gpu, network.params(), 0.01).unwrap();
    };
    let mut step = || {
        pass(&mut ledger);
        gpu.flush().unwrap();
        ledger.advance();
        ledger.take(&gpu).unwrap();
    };
    step();
    step();
    let before = gpu.stats();
    step();
    step();
    let after = gpu.stats();
    let of = |s: &limbeck::gpu::GpuStats| (s.pool.created, s.pool.in_use, s.bind_groups, s.pipelines);
    assert_eq!(of(&before), of(&after), "buffers created, bytes in use, bind groups, pipelines");
    assert!(after.pool.reused > before.pool.reused && after.dispatches > before.dispatches);
}

// ---------------------------------------------------------------- heads and teachers

#[test]
fn heads_share_the_trunk_and_an_untrained_head_stays() {
    let gpu = gpu();
    let sample = batch(&gpu, 16);
    let network = Network::new(&gpu, spec("resnet8", 0.5, &[]), 4).unwrap();
    let mut ledger = ledger(&gpu);
    let mut grads = |weights| {
        gradients(&gpu, &network, &sample, weights, &mut ledger);
        ledger.take(&gpu).unwrap();
        network.params().export_grads(&gpu).unwrap()
    };
    let both = grads([1.0, 0.5]);
    let (first, second) = (grads([1.0, 0.0]), grads([0.0, 0.5]));
    for ((both, first), second) in both.iter().zip(&first).zip(&second) {
        let sum: Vec<f32> = first.data.iter().zip(&second.data).map(|(a, b)| a + b).collect();
        assert!(distance(&both.data, &sum) < 1e-5, "{}: {}", both.name, distance(&both.data, &sum));
        let zero = |data: &[f32]| data.iter().all(|v| *v == 0.0);
        assert_eq!(zero(&first.data), first.name.starts_with("heads.second"), "{}", first.name);
        assert_eq!(zero(&second.data), second.name.starts_with("heads.first"), "{}", second.name);
        assert!(!zero(&both.data), "{}", both.name);
    }
    // Without weight decay, a head without a loss keeps its values.
    let before = network.params().export(&gpu).unwrap();
    gradients(&gpu, &network, &sample, [1.0, 0.0], &mut ledger);
    let rule = Rule::Sgd(Sgd { lr: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0 });
    Optimizer::new(&gpu, network.params(), rule, None).unwrap().step(&gpu, network.params(), 0.1).unwrap();
    let after = network.params().export(&gpu).unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.data == after.data, before.name.starts_with("heads.second"), "{}", before.name);
    }
}

#[test]
fn gradients_do_not_carry_over_to_the_next_step() {
    let gpu = gpu();
    let sample = batch(&gpu, 16);
    let network = Network::new(&gpu, spec("resnet8", 0.25, &[]), 4).unwrap();
    let teacher = Network::new(&gpu, spec("resnet8", 0.5, &[]), 5).unwrap();
    let (from, to) = (network.stage_channels(), teacher.stage_channels());
    // Arenas of their own beside the network's, each with a first parameter.
    let adaptors = [0, 1].map(|seed| Adaptor::new(&gpu, "adaptor", from[1], to[1], seed).unwrap());
    let teacher = teacher.freeze(&gpu).unwrap();
    let ledger = ledger(&gpu);
    let step = || {
        let mut tape = Tape::new();
        let outputs = network.forward(&gpu, &mut tape, Mode::Train, &Var::constant(sample.x.clone())).unwrap();
        let taught = teacher.infer(&gpu, &sample.x).unwrap();
        let mut losses = Losses { gpu: &gpu, tape: &mut tape, ledger: &ledger };
        CrossEntropy::default().apply(&mut losses, 0, 1.0, &outputs.logits[0], &sample.labels[0]).unwrap();
        for (adaptor, loss) in adaptors.iter().zip([FeatureLoss::FitNet, FeatureLoss::Normalised]) {
            let maps = (&outputs.features.maps[1], adaptor);
            loss.apply(&mut losses, 1, 1.0, maps, &taught.features.maps[1]).unwrap();
        }
        let grads = tape.backward(&gpu).unwrap();
        network.params().zero_untouched(&gpu, &grads).unwrap();
        let arenas = [network.params(), adaptors[0].params(), adaptors[1].params()];
        arenas.map(|p| p.grads().to_f32(&gpu).unwrap())
    };
    let first = step();
    assert!(first.iter().all(|g| g.iter().any(|v| *v != 0.0)));
    assert_eq!(first, step());
}

#[test]
fn a_frozen_network_is_a_copy_that_infers_the_same() {
    let gpu = gpu();
    let sample = batch(&gpu, 16);
    let network = Network::new(&gpu, spec("resnet8", 0.5, &[12]), 5).unwrap();
    // Some steps first, so that the running statistics are no longer 0 and 1.
    steps(&gpu, &network, &sample, SGD, 5);
    let frozen = network.freeze(&gpu).unwrap();
    let (trained, inferred) = (forward(&gpu, &network, Mode::Eval, &sample.x), frozen.infer(&gpu, &sample.x).unwrap());
    let compare = |what: &str, a: &Tensor, b: &Tensor| {
        assert_eq!(a.shape(), b.shape());
        let d = distance(&a.to_f32(&gpu).unwrap(), &b.to_f32(&gpu).unwrap());
        assert!(d < 1e-5, "{what}: {d}");
    };
    for (i, (a, b)) in inferred.logits.iter().zip(&trained.logits).enumerate() {
        compare(&format!("logits {i}"), a, b.value());
    }
    for (i, (a, b)) in inferred.features.maps.iter().zip(&trained.features.maps).enumerate() {
        compare(&format!("map {i}"), a, b.value());
    }
    compare("pooled", &inferred.features.pooled, trained.features.pooled.value());
    let fingerprint = frozen.fingerprint(&gpu).unwrap();
    let before = inferred.logits[0].to_f32(&gpu).unwrap();
    steps(&gpu, &network, &sample, SGD, 3);
    assert_eq!(frozen.fingerprint(&gpu).unwrap(), fingerprint);
    assert_eq!(frozen.infer(&gpu, &sample.x).unwrap().logits[0].to_f32(&gpu).unwrap(), before);
    assert_ne!(network.freeze(&gpu).unwrap().fingerprint(&gpu).unwrap(), fingerprint, "training changes the network");
}

#[test]
fn a_teacher_does_not_change_while_it_teaches() {
    let gpu = gpu();
    let sample = batch(&gpu, 16);
    let teacher = Network::new(&gpu, spec("resnet14", 0.5, &[]), 6).unwrap().freeze(&gpu).unwrap();
    let student = Network::new(&gpu, spec("resnet8", 0.25, &[]), 7).unwrap();
    let fingerprint = teacher.fingerprint(&gpu).unwrap();
    let mut optimizer = Optimizer::new(&gpu, student.params(), SGD, None).unwrap();
    let mut ledger = ledger(&gpu);
    let mut totals = Vec::new();
    for _ in 0..20 {
        let mut tape = Tape::new();
        let outputs = student.forward(&gpu, &mut tape, Mode::Train, &Var::constant(sample.x.clone())).unwrap();
        let taught = teacher.infer(&gpu, &sample.x).unwrap();
        let mut losses = Losses { gpu: &gpu, tape: &mut tape, ledger: &ledger };
        for (task, (z, t)) in outputs.logits.iter().zip(&taught.logits).enumerate() {
            Kd { temperature: 2.0, standardise: false }.apply(&mut losses, task, 1.0, z, t).unwrap();
        }
        drop(outputs);
        tape.backward(&gpu).unwrap();
        optimizer.step(&gpu, student.params(), 0.05).unwrap();
        ledger.advance();
        totals.extend(ledger.take(&gpu).unwrap().iter().map(|row| row.iter().sum::<f32>()));
    }
    assert_eq!(teacher.fingerprint(&gpu).unwrap(), fingerprint);
    assert!(totals[19] < totals[0], "the student learns from it: {totals:?}");
}

// ---------------------------------------------------------------- checkpoints

fn card(network: &Network) -> Card {
    let spec = network.spec();
    let task = |h: &HeadSpec| TaskCard {
        name: h.task.clone(),
        kind: limbeck::data::TaskKind::Class,
        classes: (0..h.outputs).map(|c| c.to_string()).collect(),
        moments: None,
    };
    let limbeck::nn::HeadKind::Pooled { hidden } = &spec.heads[0].kind else { panic!("a perceptron was expected") };
    Card {
        schema: Card::SCHEMA,
        arch: "resnet8".into(),
        width: spec.trunk.width,
        imagenet_stem: false,
        dilate: spec.trunk.dilate,
        head: hidden.clone(),
        decoder: 0,
        tasks: spec.heads.iter().map(task).collect(),
        image: [12, 12, 1],
        letterbox: false,
        mean: vec![0.25],
        std: vec![0.5],
        stage: "joint".into(),
        seed: 9,
        epoch: 4,
        val_score: 0.75,
    }
}

/// Stores the tensors of `from` again, each as `change` wants it.
fn rewrite(from: &Path, to: &Path, change: impl Fn(&str, Vec<usize>) -> Option<Vec<usize>>) {
    let bytes = std::fs::read(from).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata: HashMap<String, String> = header.metadata().clone().unwrap();
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let views = all.iter().filter_map(|(name, view)| {
        let shape = change(name, view.shape().to_vec())?;
        Some((name.to_string(), safetensors::tensor::TensorView::new(view.dtype(), shape, view.data()).unwrap()))
    });
    std::fs::write(to, safetensors::serialize(views.collect::<Vec<_>>(), Some(metadata)).unwrap()).unwrap();
}

#[test]
fn checkpoints_speak_pytorch_and_come_back_as_they_were() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let sample = batch(&gpu, 16);
    let path = folder.path().join("net.safetensors");
    for (hidden, names) in [(vec![], ["heads.first", "heads.second"]), (vec![24], ["heads.first.0", "heads.first.2"])] {
        let network = Network::new(&gpu, spec("resnet8", 1.0, &hidden), 11).unwrap();
        steps(&gpu, &network, &sample, SGD, 2);
        checkpoint::save(&gpu, &path, &network, &card(&network)).unwrap();
        let (loaded, read) = checkpoint::load(&gpu, &path).unwrap();
        assert_eq!(read, card(&network));
        assert_eq!(loaded.params().export(&gpu).unwrap(), network.params().export(&gpu).unwrap());
        let bytes = std::fs::read(&path).unwrap();
        let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let shape = |name: &str| stored.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")).shape().to_vec();
        assert_eq!(shape("conv1.weight"), [16, 1, 3, 3]);
        assert_eq!(shape("bn1.running_mean"), [16]);
        assert_eq!(shape("bn1.running_var"), [16]);
        assert_eq!(shape("layer1.0.conv2.weight"), [16, 16, 3, 3]);
        assert_eq!(shape("layer2.0.conv1.weight"), [32, 16, 3, 3]);
        assert_eq!(shape("layer2.0.downsample.0.weight"), [32, 16, 1, 1]);
        assert_eq!(shape("layer2.0.downsample.1.bias"), [32]);
        for name in names {
            let inputs = if name.ends_with(".2") { 24 } else { 64 };
            let outputs = if name.ends_with(".0") { 24 } else { 10 };
            assert_eq!(shape(&format!("{name}.weight")), [outputs, inputs]);
            assert_eq!(shape(&format!("{name}.bias")), [outputs]);
        }
    }
}

/// Dilation is nowhere in the weights, so the card must say it; cards from before it was there say none.
#[test]
fn a_checkpoint_remembers_dilated_stages() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let path = folder.path().join("net.safetensors");
    let plain = spec("resnet8", 0.25, &[]);
    for dilate in [0, 1, 2] {
        let trunk = TrunkSpec { dilate, ..plain.trunk };
        let network = Network::new(&gpu, NetworkSpec { trunk, ..plain.clone() }, 11).unwrap();
        checkpoint::save(&gpu, &path, &network, &card(&network)).unwrap();
        let (loaded, read) = checkpoint::load(&gpu, &path).unwrap();
        assert_eq!((loaded.spec().trunk, read), (trunk, card(&network)));
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let text = &header.metadata().as_ref().unwrap()["limbeck"];
        assert_eq!(text.contains("dilate"), dilate > 0, "{text}");
    }
    let network = Network::new(&gpu, plain, 11).unwrap();
    checkpoint::save(&gpu, &path, &network, &Card { dilate: 7, ..card(&network) }).unwrap();
    let error = checkpoint::load(&gpu, &path).unwrap_err();
    assert!(matches!(&error, Error::Checkpoint { path: p, .. } if *p == path), "{error:?}");
    assert!(error.to_string().contains("7 cannot be dilated"), "{error}");
}

#[test]
fn a_checkpoint_that_does_not_fit_says_which_tensor() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let (good, bad) = (folder.path().join("good.safetensors"), folder.path().join("bad.safetensors"));
    let network = Network::new(&gpu, spec("resnet8", 0.25, &[]), 1).unwrap();
    checkpoint::save(&gpu, &good, &network, &card(&network)).unwrap();
    let complain = |words: &[&str]| {
        let error = checkpoint::load(&gpu, &bad).unwrap_err();
        assert!(matches!(&error, Error::Checkpoint { path, .. } if *path == bad), "{error:?}");
        let message = error.to_string();
        words.iter().for_each(|w| assert!(message.contains(w), "{w:?} is not in: {message}"));
    };
    rewrite(&good, &bad, |name, shape| (name != "layer2.0.bn1.running_var").then_some(shape));
    complain(&["bad.safetensors", "layer2.0.bn1.running_var"]);
    rewrite(&good, &bad, |name, shape| Some(if name == "conv1.weight" { vec![4, 9, 1, 1] } else { shape }));
    complain(&["conv1.weight", "[4, 9, 1, 1]", "[4, 1, 3, 3]"]);
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(&bad, &bytes[..bytes.len() - 100]).unwrap();
    complain(&["safetensors"]);
    std::fs::write(&bad, b"<html>").unwrap();
    complain(&["safetensors"]);
    let wide = Network::new(&gpu, spec("resnet8", 0.5, &[]), 1).unwrap();
    checkpoint::save(&gpu, &bad, &wide, &card(&network)).unwrap();
    complain(&["expected"]);
}

// ---------------------------------------------------------------- interruption

/// Twenty steps an epoch, so that news comes in mid-epoch; feature distillation, so that adaptors are trained too.
fn long_config() -> Config {
    digits_config(
        "[train]\nepochs = 4\nbatch = 4\nlr = 0.02\nwarmup_epochs = 0.5\n\
         [distill]\nmethods = [\"kd\", \"normalised\"]\n\
         [distill.train]\noptimizer = \"adamw\"\nlr = 0.002\n",
    )
}

fn timeless(record: EpochRecord) -> EpochRecord {
    EpochRecord { seconds: 0.0, images_per_second: 0.0, ..record }
}

/// Byte-identical networks, the same journal, the same results.
fn assert_same_run(what: &str, a: &Path, b: &Path) {
    assert_eq!(files(a), files(b), "{what}");
    for file in files(a).iter().filter(|f| f.extension().is_some_and(|e| e == "safetensors")) {
        let (a, b) = (std::fs::read(a.join(file)).unwrap(), std::fs::read(b.join(file)).unwrap());
        assert!(a == b, "{what}: {} differs", file.display());
    }
    let journal = |dir: &Path| -> Vec<EpochRecord> {
        read_records(&dir.join("metrics.jsonl")).unwrap().into_iter().map(timeless).collect()
    };
    assert_eq!(journal(a), journal(b), "{what}");
    let models = |dir: &Path| train::Summary::load(&dir.join("summary.json")).unwrap().models;
    assert_eq!(models(a), models(b), "{what}");
}

/// Runs again and again until a run comes to its end; counts the interruptions.
fn persist(mut attempt: impl FnMut() -> limbeck::Result<train::Summary>) -> usize {
    for count in 0..500 {
        match attempt() {
            Ok(_) => return count,
            Err(Error::Interrupted { at }) => assert!(at.contains("seed 3 · ") && at.contains(", step "), "{at}"),
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the run does not come to an end")
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let (gpu, config, folder) = (gpu(), long_config(), tempdir().unwrap());
    let whole = folder.path().join("whole");
    let killed = folder.path().join("killed");
    // Beside running through, this run is "killed" at one moment: what lies on disk then is copied away.
    train::run(&config, &whole, &gpu, &AtomicBool::new(false), &mut |event| {
        if let Event::Epoch(EpochRecord { stage, epoch: 2, .. }) = &event
            && stage == "distilled"
        {
            copy_folder(&whole, &killed);
            // Half a line, as a process leaves it that dies while writing.
            let journal = killed.join("metrics.jsonl");
            let mut text = std::fs::read(&journal).unwrap();
            text.extend(b"{\"stage\":\"distil");
            std::fs::write(&journal, text).unwrap();
        }
    })
    .unwrap();
    let stages = ["distilled", "joint", "single-first", "single-second", "teacher-first", "teacher-second"];
    let names: Vec<_> = stages
        .iter()
        .flat_map(|s| ["json", "last.safetensors", "safetensors"].map(|e| format!("seed-3/{s}.{e}")))
        .collect();
    let found: Vec<String> = files(&whole).iter().map(|f| f.display().to_string()).collect();
    assert!(names.iter().all(|n| found.contains(n)), "{found:?}");
    assert_eq!(found.len(), names.len() + 3, "nothing but the results is left: {found:?}");

    finish(&config, &killed, &gpu).unwrap();
    assert_same_run("killed", &whole, &killed);

    // Two epochs, an interruption, two epochs; every stage.
    let halves = folder.path().join("halves");
    let mut stopped = Vec::new();
    let count = persist(|| {
        run_until(&config, &halves, &gpu, |event| {
            let Event::Epoch(record) = event else { return false };
            let here = record.epoch == 1 && !stopped.contains(&record.stage);
            if here {
                stopped.push(record.stage.clone());
            }
            here
        })
    });
    assert_eq!(count, 6, "{stopped:?}");
    assert_same_run("halves", &whole, &halves);

    // In mid-epoch, at the first news of each stage's second epoch.
    let mid = folder.path().join("mid");
    let (mut stage, mut done, mut resumed_at) = (String::new(), Vec::new(), Vec::new());
    let count = persist(|| {
        run_until(&config, &mid, &gpu, |event| match event {
            Event::Stage { label, resumed, .. } => {
                stage = label.to_string();
                resumed_at.extend(*resumed);
                false
            }
            Event::Step { epoch: 1, step, .. } if *step < 20 && !done.contains(&stage) => {
                done.push(stage.clone());
                true
            }
            _ => false,
        })
    });
    assert_eq!(count, 6, "{done:?}");
    assert!(resumed_at.iter().all(|(epoch, step)| *epoch == 1 && (1..20).contains(step)), "{resumed_at:?}");
    assert_same_run("mid", &whole, &mid);

    // A run that is finished only tells so.
    let mut cached = 0;
    run_until(&config, &mid, &gpu, |event| {
        cached += usize::from(matches!(event, Event::Cached { .. }));
        assert!(!matches!(event, Event::Stage { .. } | Event::Step { .. }));
        false
    })
    .unwrap();
    assert_eq!(cached, 6);
    assert_same_run("again", &whole, &mid);

    selection(&whole, &gpu);
}

/// Of the run in `dir`: the stored networks are those of the best and of the last epoch, and the results are theirs.
fn selection(dir: &Path, gpu: &Gpu) {
    let records = read_records(&dir.join("metrics.jsonl")).unwrap();
    for stage in ["teacher/first", "teacher/second", "single/first", "single/second", "joint", "distilled"] {
        let own: Vec<&EpochRecord> = records.iter().filter(|r| r.stage == stage).collect();
        let score = |r: &EpochRecord| r.val.values().map(|m| m.selection()).sum::<f64>() / r.val.len() as f64;
        // The first of the highest.
        let best = own.iter().fold(own[0], |b, r| if score(r) > score(b) { r } else { b });
        assert_eq!(own.iter().rfind(|r| r.best).unwrap().epoch, best.epoch, "{stage}");
        let file = |ending: &str| dir.join("seed-3").join(format!("{}{ending}", stage.replace('/', "-")));
        let (_, chosen) = checkpoint::load(gpu, &file(".safetensors")).unwrap();
        let (_, last) = checkpoint::load(gpu, &file(".last.safetensors")).unwrap();
        assert_eq!((chosen.epoch, last.epoch), (best.epoch + 1, 4), "{stage}");
        assert!((chosen.val_score - score(best)).abs() < 1e-12 && (last.val_score - score(own[3])).abs() < 1e-12);
        let result: StageResult = serde_json::from_slice(&std::fs::read(file(".json")).unwrap()).unwrap();
        for (model, want) in [(stage.to_string(), &result.best), (format!("{stage}.last"), &result.last)] {
            let found = train::evaluate(dir, &model, "test", gpu).unwrap().remove(0);
            assert_eq!((found.seed, found.images), (3, 40));
            assert_eq!(found.tasks.len(), want.len());
            found.tasks.iter().for_each(|(task, result)| assert_eq!(*result, want[task], "{model}"));
            // The same network on the validation split gives what selected it.
            let val = train::evaluate(dir, &model, "val", gpu).unwrap().remove(0);
            let record = if model == stage { best } else { own[3] };
            val.tasks.iter().for_each(|(task, result)| assert_eq!(result.scores, record.val[task], "{model}"));
        }
    }
}

#[test]
fn interrupted_at_any_moment_it_ends_with_the_same_bits() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config(
        "[train]\nepochs = 2\nbatch = 8\nlr = 0.02\nclip_norm = 2.0\n[distill]\nmethods = [\"kd\", \"fitnet\"]\n",
    );
    let (whole, torn) = (folder.path().join("whole"), folder.path().join("torn"));
    finish(&config, &whole, &gpu).unwrap();
    // The clock decides where; each attempt is given a little longer, so that the last one arrives.
    let mut patience = Duration::from_millis(40);
    let count = persist(|| {
        let stop = AtomicBool::new(false);
        patience = patience * 5 / 4;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(patience);
                stop.store(true, Ordering::Relaxed);
            });
            train::run(&config, &torn, &gpu, &stop, &mut |_| {})
        })
    });
    assert!(count > 0, "it was never interrupted");
    assert_same_run("torn", &whole, &torn);
}

// ---------------------------------------------------------------- resumption of something else

fn stop_in(config: &Config, out: &Path, gpu: &Gpu, stage: &str) {
    let error = run_until(config, out, gpu, |e| matches!(e, Event::Epoch(r) if r.stage == stage)).unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
}

#[test]
fn a_distillation_is_not_resumed_under_another_teacher() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = digits_config("[train]\nepochs = 2\nbatch = 16\n");
    let out = folder.path().join("run");
    stop_in(&config, &out, &gpu, "distilled");
    let path = out.join("seed-3/teacher-first.safetensors");
    let original = std::fs::read(&path).unwrap();
    let (network, card) = checkpoint::load(&gpu, &path).unwrap();
    let other = Network::new(&gpu, network.spec().clone(), 99).unwrap();
    checkpoint::save(&gpu, &path, &other, &card).unwrap();
    let error = finish(&config, &out, &gpu).unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("distilled.state.safetensors")
            && message.contains("other teachers")
            && message.contains("--out"),
        "{message}"
    );
    // With the teacher back in its place it goes on.
    std::fs::write(&path, original).unwrap();
    finish(&config, &out, &gpu).unwrap();
}

#[test]
fn a_run_is_not_resumed_on_other_data() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = idx_folder(folder.path());
    let (unfinished, finished) = (folder.path().join("unfinished"), folder.path().join("finished"));
    stop_in(&config, &unfinished, &gpu, "teacher/kind");
    finish(&config, &finished, &gpu).unwrap();
    let path = folder.path().join("train-images");
    let original = std::fs::read(&path).unwrap();
    let mut changed = original.clone();
    changed[100] ^= 1;
    std::fs::write(&path, changed).unwrap();
    for out in [&unfinished, &finished] {
        let error = finish(&config, out, &gpu).unwrap_err();
        assert!(matches!(error, Error::Checkpoint { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("other data") && message.contains("--out"), "{message}");
    }
    std::fs::write(&path, original).unwrap();
    finish(&config, &unfinished, &gpu).unwrap();
    assert_same_run("data", &finished, &unfinished);
}

#[test]
fn a_folder_belongs_to_one_configuration() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let config = idx_folder(folder.path());
    let out = folder.path().join("run");
    stop_in(&config, &out, &gpu, "teacher/kind");
    let before = std::fs::read(out.join("config.toml")).unwrap();
    let text = config.to_toml();
    for (set, key) in
        [("train.lr=0.031", "train.lr: 0.031, was 0.05"), ("student.width=0.5", "student.width: 0.5, was 0.25")]
    {
        let other = Config::parse(&text, Path::new("idx.toml"), &[set.to_string()]).unwrap();
        let error = finish(&other, &out, &gpu).unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(key) && message.contains("--out") && message.contains("config.toml"), "{message}");
    }
    assert_eq!(std::fs::read(out.join("config.toml")).unwrap(), before);
}
