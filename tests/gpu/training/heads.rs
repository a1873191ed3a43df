//! Heads on one trunk, and teachers, which nothing changes.

use super::{SGD, steps};
use crate::support::*;
use limbeck::distill::{Adaptor, FeatureLoss, Kd};
use limbeck::kernels::optimizer::Sgd;
use limbeck::loss::{CrossEntropy, LossRecorder};
use limbeck::nn::{HeadSpec, Mode, Network, NetworkSpec};
use limbeck::optim::{Optimizer, Rule};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::Tensor;

#[test]
fn heads_share_the_trunk_and_an_untrained_head_stays() {
    let gpu = gpu();
    let sample = batch(&gpu, 16);
    let network = Network::new(&gpu, spec("resnet8", 0.5, &[]), 4).unwrap();
    let mut log = log(&gpu);
    let mut grads = |weights| {
        gradients(&gpu, &network, &sample, weights, &mut log);
        log.take(&gpu).unwrap();
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
    gradients(&gpu, &network, &sample, [1.0, 0.0], &mut log);
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
    let log = log(&gpu);
    let step = || {
        let mut tape = Tape::new();
        let outputs = network.forward(&gpu, &mut tape, Mode::Train, &Var::constant(sample.x.clone())).unwrap();
        let taught = teacher.infer(&gpu, &sample.x).unwrap();
        let mut losses = LossRecorder { gpu: &gpu, tape: &mut tape, log: &log };
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
    let mut log = log(&gpu);
    let mut totals = Vec::new();
    for _ in 0..20 {
        let mut tape = Tape::new();
        let outputs = student.forward(&gpu, &mut tape, Mode::Train, &Var::constant(sample.x.clone())).unwrap();
        let taught = teacher.infer(&gpu, &sample.x).unwrap();
        let mut losses = LossRecorder { gpu: &gpu, tape: &mut tape, log: &log };
        for (task, (z, t)) in outputs.logits.iter().zip(&taught.logits).enumerate() {
            Kd { temperature: 2.0, standardise: false }.apply(&mut losses, task, 1.0, z, t).unwrap();
        }
        drop(outputs);
        tape.backward(&gpu).unwrap();
        optimizer.step(&gpu, student.params(), 0.05).unwrap();
        log.advance();
        totals.extend(log.take(&gpu).unwrap().iter().map(|row| row.iter().sum::<f32>()));
    }
    assert_eq!(teacher.fingerprint(&gpu).unwrap(), fingerprint);
    assert!(totals[19] < totals[0], "the student learns from it: {totals:?}");
}

/// A teacher of numbers standardised otherwise says the same numbers, in this run's terms.
#[test]
fn answers_in_numbers_can_be_standardised_anew() {
    let gpu = gpu();
    let sample = batch(&gpu, 3);
    let heads =
        || vec![HeadSpec::mlp("count", 1, &[5]), HeadSpec::decoder("depth", 1, 4), HeadSpec::linear("class", 4)];
    let network = Network::new(&gpu, NetworkSpec { heads: heads(), ..spec("resnet8", 0.25, &[]) }, 6).unwrap();
    let plain = network.freeze(&gpu).unwrap();
    let mut other = plain.clone();
    let ((m, s), (to_m, to_s)) = ((10.0f32, 4.0f32), (8.0f32, 2.5f32));
    [0, 1].into_iter().for_each(|head| other.restandardise(&gpu, head, (m, s), (to_m, to_s)).unwrap());
    let said = |network: &limbeck::nn::Frozen| {
        let out = network.infer(&gpu, &sample.x).unwrap();
        out.logits.iter().map(|z| z.to_f32(&gpu).unwrap()).collect::<Vec<_>>()
    };
    let (before, after) = (said(&plain), said(&other));
    assert_eq!((before[1].len(), &before[2]), (3 * 144, &after[2]));
    for (before, after) in before.iter().zip(&after).take(2) {
        let number = |z: &[f32], m: f32, s: f32| z.iter().map(|z| z * s + m).collect::<Vec<f32>>();
        let apart = distance(&number(after, to_m, to_s), &number(before, m, s));
        assert!(apart < 1e-6 && before != after, "{apart}");
    }
    assert_ne!(plain.fingerprint(&gpu).unwrap(), other.fingerprint(&gpu).unwrap());
}
