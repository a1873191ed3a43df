//! What the tests of networks share: a device, small networks and batches.

use limbeck::data::compose::{Pairing, Samples};
use limbeck::data::digits;
use limbeck::gpu::{Gpu, Options};
use limbeck::kernels::augment;
use limbeck::loss::{CrossEntropy, LossLog, LossRecorder};
use limbeck::nn::{HeadSpec, Init, Mode, Network, NetworkSpec, Outputs, TrunkSpec, arch};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::Tensor;

pub fn gpu() -> Gpu {
    Gpu::new(Options::from_env()).unwrap()
}

/// Relative distance of two vectors.
pub fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |v: f64| v * v;
    let difference: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let norm: f64 = b.iter().map(|b| square(f64::from(*b))).sum();
    (difference / norm.max(1e-30)).sqrt()
}

/// A CIFAR network with the two heads of the digits.
pub fn spec(name: &str, width: f32, hidden: &[usize]) -> NetworkSpec {
    let head = |task: &str| HeadSpec::mlp(task, 10, hidden);
    NetworkSpec {
        trunk: TrunkSpec { width, ..TrunkSpec::new(arch::parse(name).unwrap()) },
        channels: 1,
        heads: vec![head("first"), head("second")],
        init: Init::HeNormal,
    }
}

pub struct Sample {
    pub x: Tensor,
    pub labels: Vec<Tensor>,
    pub truth: Vec<Vec<u32>>,
}

/// The first `n` overlapped digits as a network sees them.
pub fn batch(gpu: &Gpu, n: usize) -> Sample {
    let pairing = Pairing { canvas: [12, 12], samples: Samples { train: n, val: 10, test: 10 }, seed: 1 };
    let data = digits::load(&pairing, 0).unwrap();
    let (mean, std) = data.channel_stats();
    let pixels = Tensor::from_bytes(gpu, &data.train.images.pixels).unwrap();
    let truth: Vec<Vec<u32>> = data.train.labels.iter().map(|l| l.classes().to_vec()).collect();
    Sample {
        x: augment::normalize(gpu, &pixels, [n, 12, 12, 1], &mean, &std).unwrap(),
        labels: truth.iter().map(|l| Tensor::from_u32(gpu, l, &[n]).unwrap()).collect(),
        truth,
    }
}

/// Forward, cross entropy of each head with its weight, backward; the gradients lie in the arena afterwards.
pub fn gradients(gpu: &Gpu, network: &Network, sample: &Sample, weights: [f32; 2], log: &mut LossLog) {
    let mut tape = Tape::new();
    let outputs = network.forward(gpu, &mut tape, Mode::Train, &Var::constant(sample.x.clone())).unwrap();
    let mut losses = LossRecorder { gpu, tape: &mut tape, log };
    for (task, weight) in weights.into_iter().enumerate() {
        CrossEntropy::default().apply(&mut losses, task, weight, &outputs.logits[task], &sample.labels[task]).unwrap();
    }
    drop(outputs);
    let grads = tape.backward(gpu).unwrap();
    network.params().zero_untouched(gpu, &grads).unwrap();
    gpu.flush().unwrap();
    log.advance();
}

pub fn log(gpu: &Gpu) -> LossLog {
    LossLog::new(gpu, vec!["first/ce".into(), "second/ce".into()], 4).unwrap()
}

pub fn forward(gpu: &Gpu, network: &Network, mode: Mode, x: &Tensor) -> Outputs<Var> {
    network.forward(gpu, &mut Tape::off(), mode, &Var::constant(x.clone())).unwrap()
}

pub fn values(gpu: &Gpu, network: &Network) -> Vec<f32> {
    network.params().export(gpu).unwrap().into_iter().flat_map(|n| n.data).collect()
}
