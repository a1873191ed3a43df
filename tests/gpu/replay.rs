//! A step recorded once and replayed afterwards: the same bits, nothing created, nobody disturbed.

use crate::support::*;
use limbeck::Error;
use limbeck::gpu::{Gpu, GpuStats, Options, ReplayedStep, View};
use limbeck::kernels::elementwise::axpy;
use limbeck::kernels::optimizer::{Adam, Sgd};
use limbeck::loss::{CrossEntropy, LossLog, LossRecorder};
use limbeck::nn::{Mode, Network};
use limbeck::optim::{Optimizer, Rule};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::{GradTarget, Tensor};

const SGD: Rule = Rule::Sgd(Sgd { lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 1e-4 });
const ADAM: Rule = Rule::Adam(Adam { lr: 0.01, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, decoupled: false });
const ROWS: usize = 8;

/// A small network in training, with what changes from step to step in memory of its own.
struct Trainer {
    network: Network,
    optimizer: Optimizer,
    log: LossLog,
    x: Tensor,
    labels: Vec<Tensor>,
    step: usize,
}

impl Trainer {
    fn new(gpu: &Gpu, rule: Rule) -> Self {
        let network = Network::new(gpu, spec("resnet8", 0.5, &[8]), 1).unwrap();
        Trainer {
            optimizer: Optimizer::new(gpu, network.params(), rule, Some(1.0)).unwrap(),
            log: LossLog::new(gpu, vec!["first/ce".into(), "second/ce".into()], 64).unwrap(),
            x: Tensor::from_f32(gpu, &vec![0.0; ROWS * 144], &[ROWS, 12, 12, 1]).unwrap(),
            labels: (0..2).map(|_| Tensor::from_u32(gpu, &[0; ROWS], &[ROWS]).unwrap()).collect(),
            network,
            step: 0,
        }
    }

    /// Another batch and another learning rate at each step.
    fn prepare(&mut self, gpu: &Gpu) {
        self.step += 1;
        let pixel = |i: usize| ((i * 37 + self.step * 101) % 251) as f32 / 125.0 - 1.0;
        self.x.write_f32(gpu, &(0..self.x.len()).map(pixel).collect::<Vec<_>>()).unwrap();
        for (k, labels) in self.labels.iter().enumerate() {
            let label = |i: usize| ((i * 3 + self.step + k) % 10) as u32;
            labels.write_u32(gpu, &(0..ROWS).map(label).collect::<Vec<_>>()).unwrap();
        }
        self.log.prepare(gpu).unwrap();
        self.optimizer.prepare(gpu, 0.05 / self.step as f32).unwrap();
    }

    fn work(&self, gpu: &Gpu) -> limbeck::Result<()> {
        let mut tape = Tape::new();
        let outputs = self.network.forward(gpu, &mut tape, Mode::Train, &Var::constant(self.x.clone()))?;
        let mut losses = LossRecorder { gpu, tape: &mut tape, log: &self.log };
        for (k, (logits, labels)) in outputs.logits.iter().zip(&self.labels).enumerate() {
            CrossEntropy::default().apply(&mut losses, k, 1.0 - 0.5 * k as f32, logits, labels)?;
        }
        drop(outputs);
        let grads = tape.backward(gpu)?;
        self.network.params().zero_untouched(gpu, &grads)?;
        self.optimizer.apply(gpu, self.network.params())
    }

    fn plain(&mut self, gpu: &Gpu) {
        self.prepare(gpu);
        self.work(gpu).unwrap();
        gpu.flush().unwrap();
        self.log.advance();
    }

    fn repeated(&mut self, gpu: &Gpu, repeat: &mut ReplayedStep) {
        self.prepare(gpu);
        repeat.run(gpu, || self.work(gpu)).unwrap();
        self.log.advance();
    }

    /// Every weight, statistic, moment and loss.
    fn bits(&mut self, gpu: &Gpu) -> Vec<u32> {
        let mut all = values(gpu, &self.network);
        all.extend(self.optimizer.export(gpu).unwrap().concat());
        all.extend(self.log.take(gpu).unwrap().concat());
        all.into_iter().map(f32::to_bits).collect()
    }
}

fn created(s: &GpuStats) -> (u64, u64, u64, u64, usize) {
    (s.pool.created, s.pool.in_use, s.pool.peak, s.bind_groups, s.pipelines)
}

#[test]
fn replayed_steps_have_the_bits_of_plain_ones() {
    for poison in [false, true] {
        for (name, rule) in [("sgd", SGD), ("adam", ADAM)] {
            let gpu = Gpu::new(Options { poison, ..Options::from_env() }).unwrap();
            let (mut plain, mut replayed) = (Trainer::new(&gpu, rule), Trainer::new(&gpu, rule));
            let mut repeat = ReplayedStep::default();
            (0..20).for_each(|_| plain.plain(&gpu));
            (0..20).for_each(|_| replayed.repeated(&gpu, &mut repeat));
            assert!(repeat.program().is_some());
            let (a, b) = (plain.bits(&gpu), replayed.bits(&gpu));
            assert!(a.iter().all(|v| f32::from_bits(*v).is_finite()), "{name}, poison {poison}");
            assert!(
                a == b,
                "{name}, poison {poison}: {} of {} differ",
                a.iter().zip(&b).filter(|(a, b)| a != b).count(),
                a.len()
            );
        }
    }
}

#[test]
fn a_replay_creates_nothing_and_is_one_pass() {
    let gpu = Gpu::new(Options { poison: false, ..Options::from_env() }).unwrap();
    let (mut trainer, mut repeat) = (Trainer::new(&gpu, SGD), ReplayedStep::default());
    trainer.repeated(&gpu, &mut repeat);
    let before = gpu.stats();
    (0..5).for_each(|_| trainer.repeated(&gpu, &mut repeat));
    let after = gpu.stats();
    assert_eq!(created(&before), created(&after), "buffers, bytes in use, peak, bind groups, pipelines");
    assert_eq!(before.pool.reused, after.pool.reused, "no request at all");
    let (submits, passes) = (after.submits - before.submits, after.passes - before.passes);
    assert!(submits <= 2 * 5 && passes == submits, "{submits} submissions, {passes} passes for 5 steps");
    let per_replay = repeat.program().unwrap().dispatches() as u64;
    assert!(per_replay > 50);
    assert_eq!(after.dispatches - before.dispatches, 5 * per_replay, "replayed dispatches are counted");
}

#[test]
fn work_between_replays_and_replays_do_not_disturb_each_other() {
    let gpu = gpu();
    let (mut plain, mut replayed) = (Trainer::new(&gpu, SGD), Trainer::new(&gpu, SGD));
    (0..8).for_each(|_| plain.plain(&gpu));
    let (mut repeat, mut kept) = (ReplayedStep::default(), Vec::new());
    let sample = batch(&gpu, 24);
    for step in 0..8 {
        replayed.repeated(&gpu, &mut repeat);
        // As in validation: a frozen copy is made, used, and kept; memory is asked for in every size a step uses, filled,
        // and held on to. Some of it is recorded and not submitted when the next replay comes.
        let frozen = replayed.network.freeze(&gpu).unwrap();
        let logits = frozen.infer(&gpu, &sample.x).unwrap().logits[0].clone();
        let want = logits.to_f32(&gpu).unwrap();
        let mine: Vec<Tensor> = (0..12)
            .map(|i| {
                let tensor = Tensor::empty(&gpu, &[(ROWS * 144) << (i % 6)]).unwrap();
                limbeck::kernels::elementwise::fill(&gpu, &tensor, step as f32).unwrap();
                tensor
            })
            .collect();
        kept.push((frozen.fingerprint(&gpu).unwrap(), frozen, logits, want, mine));
        if step == 4 {
            gpu.trim().unwrap();
        }
    }
    let (a, b) = (plain.bits(&gpu), replayed.bits(&gpu));
    assert!(a == b, "the steps were disturbed");
    for (step, (fingerprint, frozen, logits, want, mine)) in kept.iter().enumerate() {
        assert_eq!(frozen.fingerprint(&gpu).unwrap(), *fingerprint, "step {step}");
        assert_eq!(logits.to_f32(&gpu).unwrap(), *want, "step {step}");
        for tensor in mine {
            assert!(tensor.to_f32(&gpu).unwrap().iter().all(|v| *v == step as f32), "step {step}");
        }
    }
}

#[test]
fn a_step_takes_little_more_memory_than_what_it_must_keep() {
    // Never poisoned: what is measured is the step.
    for (name, width, rows, side) in
        [("resnet20", 1.0, 8, 16), ("resnet20", 1.0, 4, 32), ("resnet18", 0.25, 8, 32), ("resnet18", 1.0, 4, 32)]
    {
        let gpu = Gpu::new(Options::default()).unwrap();
        let network = Network::new(&gpu, spec(name, width, &[]), 1).unwrap();
        let mut optimizer = Optimizer::new(&gpu, network.params(), ADAM, Some(1.0)).unwrap();
        let log = LossLog::new(&gpu, vec!["first/ce".into(), "second/ce".into()], 4).unwrap();
        let x = Tensor::from_f32(&gpu, &vec![0.5; rows * side * side], &[rows, side, side, 1]).unwrap();
        let labels = Tensor::from_u32(&gpu, &vec![1; rows], &[rows]).unwrap();
        optimizer.prepare(&gpu, 0.01).unwrap();
        gpu.trim().unwrap();
        // Parameters, gradients, optimizer state and the batch.
        let lasting = gpu.stats().pool.in_use;
        let forward = |tape: &mut Tape| network.forward(&gpu, tape, Mode::Train, &Var::constant(x.clone())).unwrap();
        let activations = {
            let mut tape = Tape::new();
            drop(forward(&mut tape));
            gpu.stats().pool.in_use - lasting
        };
        gpu.trim().unwrap();
        gpu.reset_peak();
        assert_eq!(gpu.stats().pool.peak, lasting);
        let mut repeat = ReplayedStep::default();
        for _ in 0..3 {
            let step = || {
                let mut tape = Tape::new();
                let outputs = forward(&mut tape);
                let mut losses = LossRecorder { gpu: &gpu, tape: &mut tape, log: &log };
                for (k, logits) in outputs.logits.iter().enumerate() {
                    CrossEntropy::default().apply(&mut losses, k, 1.0, logits, &labels)?;
                }
                drop(outputs);
                tape.backward(&gpu)?;
                optimizer.apply(&gpu, network.params())
            };
            repeat.run(&gpu, step).unwrap();
        }
        let first = gpu.stats().pool;
        gpu.reset_peak();
        repeat.program().unwrap().replay().unwrap();
        let pool = gpu.stats().pool;
        let share = |bytes: u64| bytes as f64 / (lasting + activations) as f64;
        eprintln!(
            "{name} x {width}, {rows} x {side} x {side}: {:.3} of activations, parameters, gradients and state; {:.3} while \
             recorded, {:.3} with what the pool held then",
            share(pool.peak),
            share(first.peak),
            share(first.peak_allocated)
        );
        assert!(share(first.peak) <= 1.3, "{name}: {first:?}, lasting {lasting}, activations {activations}");
        // Temporaries in buffers of their own, or in whole ones of the pool, take a fifth more.
        assert!(share(pool.peak) <= 1.15, "{name}: {pool:?}, lasting {lasting}, activations {activations}");
        // The program keeps the peak, and the pool nothing beside it.
        assert!(pool.in_use == pool.peak && pool.allocated == pool.in_use, "{pool:?}");
        assert_eq!(pool.peak_allocated, pool.allocated);
    }
}

#[test]
fn temporaries_share_memory_and_what_carries_over_does_not() {
    // Never poisoned: that would write what is to be read first.
    let gpu = Gpu::new(Options::default()).unwrap();
    let at = |value: f32| Tensor::from_f32(&gpu, &[value; 4096], &[4096]).unwrap();
    let (x, out) = (at(1.0), at(0.0));
    let fill = |value: f32| {
        let t = Tensor::empty(&gpu, &[4096])?;
        limbeck::kernels::elementwise::fill(&gpu, &t, value)?;
        Ok::<_, Error>(t)
    };
    let add = |from: &Tensor, to: &Tensor| axpy(&gpu, 1.0, from, &GradTarget { tensor: to.clone(), accumulate: true });
    let before = gpu.stats().pool.in_use;
    let (program, kept) = gpu
        .capture(|| {
            for value in [1.0, 2.0, 3.0] {
                add(&fill(value)?, &out)?;
            }
            // Read before it is written: what the last replay left there.
            let carried = Tensor::empty(&gpu, &[4096])?;
            add(&carried, &out)?;
            limbeck::kernels::elementwise::fill(&gpu, &carried, 100.0)?;
            drop(carried);
            let kept = fill(0.5)?;
            add(&x, &kept)?;
            add(&fill(4.0)?, &out)?;
            Ok(kept)
        })
        .unwrap();
    assert_eq!(gpu.stats().pool.in_use - before, 3 * 16_384, "one for the four, one carried over, one kept");
    program.replay().unwrap();
    out.write_f32(&gpu, &[0.0; 4096]).unwrap();
    x.write_f32(&gpu, &[7.0; 4096]).unwrap();
    program.replay().unwrap();
    assert_eq!(out.to_f32(&gpu).unwrap(), [110.0; 4096]);
    assert_eq!(kept.to_f32(&gpu).unwrap(), [7.5; 4096], "the newest replay's");
    program.replay().unwrap();
    assert_eq!(out.to_f32(&gpu).unwrap(), [220.0; 4096]);
    drop((program, kept));
    assert_eq!(gpu.stats().pool.in_use, before);
}

#[test]
fn a_program_outlives_its_tensors_and_returns_its_memory() {
    let gpu = Gpu::new(Options::default()).unwrap();
    let before = gpu.stats().pool.in_use;
    let out = Tensor::from_f32(&gpu, &[0.0; 64], &[64]).unwrap();
    let (program, middle) = {
        let x = Tensor::from_f32(&gpu, &[1.0; 64], &[64]).unwrap();
        gpu.capture(|| {
            // A constant of the program, and memory that is used and let go twice.
            let two = Tensor::from_f32(&gpu, &[2.0; 64], &[64])?;
            let sum = |a: &Tensor, b: &Tensor| {
                let y = Tensor::empty(&gpu, &[64])?;
                axpy(&gpu, 1.0, a, &GradTarget::fresh(y.clone()))?;
                axpy(&gpu, 1.0, b, &GradTarget { tensor: y.clone(), accumulate: true })?;
                Ok::<_, Error>(y)
            };
            let three = sum(&x, &two)?;
            let four = sum(&three, &x)?;
            axpy(&gpu, 1.0, &four, &GradTarget { tensor: out.clone(), accumulate: true })?;
            Ok(three)
        })
        .unwrap()
    };
    // Whatever the pool has is now somebody else's.
    let others: Vec<Tensor> = (0..8).map(|_| Tensor::from_f32(&gpu, &[-7.0; 64], &[64]).unwrap()).collect();
    for _ in 0..3 {
        program.replay().unwrap();
    }
    assert_eq!(out.to_f32(&gpu).unwrap(), [16.0; 64]);
    assert_eq!(middle.to_f32(&gpu).unwrap(), [3.0; 64]);
    others.iter().for_each(|t| assert_eq!(t.to_f32(&gpu).unwrap(), [-7.0; 64]));
    assert!(format!("{program:?}").contains("5 dispatches"), "{program:?}");
    drop((program, others, out));
    // What the program made and somebody still holds stays valid, and is all that stays.
    assert_eq!(gpu.stats().pool.in_use - before, 256);
    let fresh = Tensor::empty(&gpu, &[64]).unwrap();
    axpy(&gpu, 0.0, &middle, &GradTarget::fresh(fresh)).unwrap();
    assert_eq!(middle.to_f32(&gpu).unwrap(), [3.0; 64]);
    drop(middle);
    assert_eq!(gpu.stats().pool.in_use, before);
}

#[test]
fn what_cannot_be_repeated_is_refused_and_a_failed_recording_leaves_no_trace() {
    let gpu = gpu();
    let (x, y) = (Tensor::from_f32(&gpu, &[1.0; 4], &[4]).unwrap(), Tensor::from_f32(&gpu, &[0.0; 4], &[4]).unwrap());
    let add = || axpy(&gpu, 1.0, &x, &GradTarget { tensor: y.clone(), accumulate: true });
    let (good, ()) = gpu.capture(add).unwrap();
    let refused = |step: &dyn Fn() -> limbeck::Result<()>, words: &str| {
        let error = gpu.capture(step).unwrap_err();
        assert!(matches!(&error, Error::Invalid(m) if m.contains(words)), "{error}");
    };
    refused(&|| x.to_f32(&gpu).map(drop), "reading a value back");
    refused(&|| x.write_f32(&gpu, &[2.0; 4]), "write before the step");
    refused(&|| good.replay(), "a replay");
    refused(&|| gpu.capture(|| Ok(())).map(drop), "recorded already");
    let trainer = Trainer::new(&gpu, SGD);
    refused(&|| trainer.optimizer.apply(&gpu, trainer.network.params()), "prepare");
    // Beyond the adapter's limits, after part of the step was recorded.
    let in_use = gpu.stats().pool.in_use;
    let error = gpu
        .capture(|| {
            let half = Tensor::empty(&gpu, &[1 << 16])?;
            add()?;
            Tensor::empty(&gpu, &[usize::MAX / 64]).map(|big| (half, big))
        })
        .unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    assert_eq!(gpu.stats().pool.in_use, in_use, "what was recorded is not held");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        gpu.capture(|| -> limbeck::Result<()> { panic!("in the step") })
    }));
    assert!(panicked.is_err());
    // Reading, writing and recording work as before; of the failed step, what came before the failure has run.
    assert_eq!(y.to_f32(&gpu).unwrap(), [2.0; 4]);
    y.write_f32(&gpu, &[0.0; 4]).unwrap();
    let (again, ()) = gpu.capture(add).unwrap();
    again.replay().unwrap();
    good.replay().unwrap();
    assert_eq!(y.to_f32(&gpu).unwrap(), [3.0; 4]);
    assert!(matches!(y.write_f32(&gpu, &[0.0; 5]), Err(Error::Shape(_))));
    assert!(matches!(gpu.write(&View { size: 4, ..(&y).into() }, &[0; 8]), Err(Error::Shape(_))));
}

#[test]
fn other_threads_are_not_recorded() {
    let gpu = gpu();
    let filled = |value: f32| {
        let t = Tensor::empty(&gpu, &[64]).unwrap();
        limbeck::kernels::elementwise::fill(&gpu, &t, value).unwrap();
        t
    };
    let (mine, out) = (filled(1.0), filled(0.0));
    let elsewhere = || {
        let theirs = filled(5.0);
        assert_eq!(theirs.to_f32(&gpu).unwrap(), [5.0; 64], "another thread may read meanwhile");
        theirs
    };
    let step = || {
        let theirs = std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap());
        axpy(&gpu, 1.0, &mine, &GradTarget { tensor: out.clone(), accumulate: true })?;
        Ok(theirs)
    };
    let (program, theirs) = gpu.capture(step).unwrap();
    assert_eq!(program.dispatches(), 1);
    theirs.write_f32(&gpu, &[6.0; 64]).unwrap();
    program.replay().unwrap();
    assert_eq!(theirs.to_f32(&gpu).unwrap(), [6.0; 64]);
    assert_eq!(out.to_f32(&gpu).unwrap(), [2.0; 64]);
}

#[test]
fn a_write_comes_after_what_was_recorded_before_it() {
    let gpu = gpu();
    let (x, y) = (Tensor::from_f32(&gpu, &[0.0; 4], &[4]).unwrap(), Tensor::from_f32(&gpu, &[0.0; 4], &[4]).unwrap());
    // More writes than a submission may carry, none of them submitted by hand.
    for i in 0..200 {
        x.write_f32(&gpu, &[i as f32; 4]).unwrap();
        axpy(&gpu, 1.0, &x, &GradTarget { tensor: y.clone(), accumulate: true }).unwrap();
    }
    assert_eq!(y.to_f32(&gpu).unwrap(), [19_900.0; 4]);
    let bytes = Tensor::from_bytes(&gpu, &[9; 7]).unwrap();
    bytes.write_bytes(&gpu, &[1, 2, 3, 4, 5]).unwrap();
    assert_eq!(bytes.to_u32(&gpu).unwrap(), [0x0403_0201, 5]);
}
