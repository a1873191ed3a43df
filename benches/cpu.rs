//! The processor's side of training: recording a step, preparing batches, metrics. `cargo bench`.
//!
//! What the GPU takes is measured by `limbeck bench`; here nothing waits for it within the timed part.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use limbeck::Result;
use limbeck::data::augment::Augment;
use limbeck::data::compose::{Pairing, Samples};
use limbeck::data::{digits, loader::Loader};
use limbeck::gpu::Gpu;
use limbeck::loss::{CrossEntropy, LossLog, LossRecorder};
use limbeck::metrics::Confusion;
use limbeck::nn::{HeadSpec, Init, Mode, Network, NetworkSpec, TrunkSpec};
use limbeck::optim::{Optimizer, Rule, Sgd};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::Tensor;

/// Tape, losses and optimizer of a ResNet-20 on so small a batch that the GPU is done before the processor.
struct Step {
    gpu: Gpu,
    network: Network,
    optimizer: Optimizer,
    log: LossLog,
    x: Tensor,
    labels: Tensor,
}

impl Step {
    fn new() -> Result<Self> {
        let gpu = Gpu::open()?;
        let (trunk, heads) = (TrunkSpec::new("resnet20".parse()?), vec![HeadSpec::linear("class", 10)]);
        let network = Network::new(&gpu, NetworkSpec { trunk, channels: 1, heads, init: Init::HeNormal }, 0)?;
        let sgd = Sgd { lr: 0.01, momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
        Ok(Step {
            optimizer: Optimizer::new(&gpu, network.params(), Rule::Sgd(sgd), None)?,
            log: LossLog::new(&gpu, vec!["ce".into()], 1)?,
            x: Tensor::from_f32(&gpu, &[0.5; 4 * 64], &[4, 8, 8, 1])?,
            labels: Tensor::from_u32(&gpu, &[0, 1, 2, 3], &[4])?,
            network,
            gpu,
        })
    }

    fn record(&mut self) -> Result<()> {
        let mut tape = Tape::new();
        let outputs = self.network.forward(&self.gpu, &mut tape, Mode::Train, &Var::constant(self.x.clone()))?;
        let mut losses = LossRecorder { gpu: &self.gpu, tape: &mut tape, log: &self.log };
        CrossEntropy::default().apply(&mut losses, 0, 1.0, &outputs.logits[0], &self.labels)?;
        drop(outputs);
        tape.backward(&self.gpu)?;
        self.optimizer.step(&self.gpu, self.network.params(), 0.01)
    }

    /// Leaves nothing recorded for the next repetition.
    fn settle(&self) -> Result<()> {
        self.gpu.flush()?;
        self.gpu.wait()
    }
}

fn recording(c: &mut Criterion) {
    let mut step = Step::new().expect("an adapter; see `limbeck devices`");
    step.record().and_then(|()| step.settle()).expect("a first step");
    let step = std::cell::RefCell::new(step);
    c.bench_function("record a training step of resnet20", |b| {
        b.iter_batched(
            || step.borrow().settle().expect("the step before"),
            |()| step.borrow_mut().record().expect("a step"),
            BatchSize::PerIteration,
        );
    });
}

fn loader(c: &mut Criterion) {
    let samples = Samples { train: 1024, val: 16, test: 16 };
    let data = digits::load(&Pairing { canvas: [12, 12], samples, seed: 0 }, 0).expect("the embedded digits");
    let split = Arc::new(data.train);
    let augment = Augment { shift: 1, ..Augment::NONE };
    c.bench_function("load 1024 images in batches of 64", |b| {
        b.iter(|| {
            Loader::train(split.clone(), 64, 7, augment, 0).map(|batch| black_box(batch).indices.len()).sum::<usize>()
        });
    });
}

fn metrics(c: &mut Criterion) {
    let classes = 100;
    let counts: Vec<u64> = (0..classes * classes).map(|i| (i * 7919 % 31) as u64).collect();
    c.bench_function("metrics of 100 classes", |b| {
        b.iter(|| Confusion::from_counts(black_box(counts.clone()), classes).map(|m| m.metrics()));
    });
}

criterion_group!(cpu, recording, loader, metrics);
criterion_main!(cpu);
