//! Steps of training: they learn, they repeat themselves bit for bit, and nothing changes what is frozen.

pub mod checkpoints;
mod heads;
mod tape;

use crate::support::*;
use limbeck::gpu::Gpu;
use limbeck::kernels::optimizer::{Adam, Sgd};
use limbeck::nn::{Mode, Network};
use limbeck::optim::{Optimizer, Rule};

const SGD: Rule = Rule::Sgd(Sgd { lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 1e-4 });
const ADAMW: Rule = Rule::Adam(Adam { lr: 0.01, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, decoupled: true });

fn steps(gpu: &Gpu, network: &Network, sample: &Sample, rule: Rule, count: usize) -> Vec<f32> {
    let mut optimizer = Optimizer::new(gpu, network.params(), rule, None).unwrap();
    let lr = match rule {
        Rule::Sgd(sgd) => sgd.lr,
        Rule::Adam(adam) => adam.lr,
    };
    let (mut log, mut totals) = (log(gpu), Vec::new());
    for _ in 0..count {
        gradients(gpu, network, sample, [1.0, 1.0], &mut log);
        optimizer.step(gpu, network.params(), lr).unwrap();
        totals.extend(log.take(gpu).unwrap().iter().map(|row| row.iter().sum::<f32>()));
    }
    totals
}

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
