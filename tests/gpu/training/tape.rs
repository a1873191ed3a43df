//! The tape: gradients accumulate, buffers return, and nothing is created once a step has been seen.

use super::SGD;
use crate::support::*;
use limbeck::distill::Kd;
use limbeck::gpu::{Gpu, Options};
use limbeck::kernels::elementwise;
use limbeck::loss::{CrossEntropy, LossLog, LossRecorder};
use limbeck::nn::{Mode, Network};
use limbeck::optim::Optimizer;
use limbeck::tape::{Tape, Var};
use limbeck::tensor::{GradTarget, Tensor};

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
    elementwise::axpy(gpu, 1.0, a.value(), &GradTarget::fresh(y.clone())).unwrap();
    elementwise::axpy(gpu, 1.0, b.value(), &GradTarget { tensor: y.clone(), accumulate: true }).unwrap();
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

/// Whoever looks at a value under another shape contributes under that one; who made it knows nothing of it.
#[test]
fn gradients_come_back_in_the_shape_of_the_value() {
    let gpu = gpu();
    let tensor = |shape: &[usize]| Tensor::from_f32(&gpu, &[1.0, -2.0, 3.0, 4.0, 5.0, -6.0], shape).unwrap();
    for with_both in [false, true] {
        let mut tape = Tape::new();
        let leaf = tape.leaf(tensor(&[3, 2]));
        let slot = leaf.reshape(&[2, 3]).unwrap().slot();
        let y = tape.push(tensor(&[1, 2, 3, 1]), move |gpu, dy, grads| {
            assert_eq!(dy.shape(), [1, 2, 3, 1]);
            grads.pass(gpu, &slot, dy)
        });
        // A loss on rows, alone or before one on the value itself.
        let rows = tape.target(&gpu, &y.reshape(&[2, 3]).unwrap()).unwrap().unwrap();
        assert_eq!(rows.tensor.shape(), [2, 3]);
        elementwise::axpy(&gpu, 2.0, &tensor(&[2, 3]), &rows).unwrap();
        if with_both {
            let whole = tape.target(&gpu, &y).unwrap().unwrap();
            elementwise::axpy(&gpu, 1.0, &tensor(&[1, 2, 3, 1]), &whole).unwrap();
        }
        let grad = tape.backward(&gpu).unwrap().of(&leaf).unwrap();
        let factor = if with_both { 3.0 } else { 2.0 };
        assert_eq!(grad.shape(), [3, 2]);
        assert_eq!(grad.to_f32(&gpu).unwrap(), [1.0, -2.0, 3.0, 4.0, 5.0, -6.0].map(|v| factor * v));
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
    let log = log(&gpu);
    let mut losses = LossRecorder { gpu: &gpu, tape: &mut tape, log: &log };
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
    let mut log = log(&gpu);
    let mut pass = |log: &mut LossLog| {
        // As in training: the batch is uploaded anew each time, and let go before the submission.
        let bytes = Tensor::from_bytes(&gpu, &[100; 16 * 144]).unwrap();
        let x = limbeck::kernels::augment::normalize(&gpu, &bytes, [16, 12, 12, 1], &[0.5], &[0.2]).unwrap();
        let labels = Tensor::from_u32(&gpu, &[1; 16], &[16]).unwrap();
        let mut tape = Tape::new();
        let outputs = network.forward(&gpu, &mut tape, Mode::Train, &Var::constant(x.clone())).unwrap();
        let taught = teacher.infer(&gpu, &x).unwrap();
        let mut losses = LossRecorder { gpu: &gpu, tape: &mut tape, log };
        CrossEntropy::default().apply(&mut losses, 0, 1.0, &outputs.logits[0], &labels).unwrap();
        let kd = Kd { temperature: 4.0, standardise: false };
        kd.apply(&mut losses, 1, 1.0, &outputs.logits[1], &taught.logits[1]).unwrap();
        drop(outputs);
        let grads = tape.backward(&gpu).unwrap();
        network.params().zero_untouched(&gpu, &grads).unwrap();
        optimizer.step(&gpu, network.params(), 0.01).unwrap();
    };
    let mut step = || {
        pass(&mut log);
        gpu.flush().unwrap();
        log.advance();
        log.take(&gpu).unwrap();
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
