//! The whole story in code: two teachers, each good at one task, become one small student that does both.
//!
//! `cargo run --release --example distill`

use std::sync::Arc;

use limbeck::data::loader::{Batch, Loader};
use limbeck::data::{Dataset, augment::Augment, compose::Pairing, compose::Samples, digits, seed};
use limbeck::geometry::Warp;
use limbeck::kernels::{augment, confusion};
use limbeck::loss::{CrossEntropy, LossLog, LossRecorder};
use limbeck::nn::{Frozen, HeadSpec, Init, Mode, Network, NetworkSpec, TrunkSpec};
use limbeck::optim::{Curve, Optimizer, Rule, Schedule, Sgd};
use limbeck::tape::{Tape, Var};
use limbeck::{Result, distill::Kd, gpu::Gpu, tensor::Tensor};

const BATCH: usize = 50;
const EPOCHS: usize = 8;
const KD: Kd = Kd { temperature: 4.0, standardise: false };
const SHIFT: Augment = Augment { shift: 1, ..Augment::NONE };

/// A batch as networks see it, `[n, 12, 12, 1]`: bytes go up, and a kernel shifts and normalises them.
fn input(gpu: &Gpu, data: &Dataset, batch: &Batch) -> Result<Tensor> {
    let (n, (mean, std)) = (batch.indices.len(), data.channel_stats());
    let warps = Tensor::from_u32(gpu, bytemuck::cast_slice(&batch.warps([12, 12])), &[n, Warp::WORDS])?;
    let moves = augment::WarpParams { warps: &warps, bilinear: false };
    augment::augment(gpu, &Tensor::from_bytes(gpu, &batch.images)?, [n, 12, 12, 1], moves, &mean, &std, 0.0)
}

/// Trains and tests a ResNet-8 with a head for each of `tasks`: on labels and, given teachers, on what those say.
fn train(gpu: &Gpu, data: &Dataset, name: &str, width: f32, tasks: &[usize], teachers: &[Frozen]) -> Result<Frozen> {
    let trunk = TrunkSpec { width, ..TrunkSpec::new("resnet8".parse()?) };
    let heads = tasks.iter().map(|&t| HeadSpec::linear(&data.tasks[t].name, data.tasks[t].classes.len())).collect();
    let net = Network::new(gpu, NetworkSpec { trunk, channels: 1, heads, init: Init::HeNormal }, 0)?;
    let (split, steps) = (Arc::new(data.train.clone()), Loader::train_steps(data.train.len(), BATCH));
    let schedule = Schedule { lr: 0.1, warmup: steps, steps: EPOCHS * steps, curve: Curve::Cosine };
    let rule = Rule::Sgd(Sgd { lr: schedule.lr, momentum: 0.9, nesterov: true, weight_decay: 5e-4 });
    let mut optimizer = Optimizer::new(gpu, net.params(), rule, None)?;
    let mut ledger = LossLog::new(gpu, ["ce1", "kd1", "ce2", "kd2"].map(String::from).into(), EPOCHS * steps)?;
    for epoch in 0..EPOCHS as u64 {
        for batch in Loader::train(split.clone(), BATCH, seed::derive_n(0, epoch), SHIFT, 0) {
            let (x, mut tape) = (input(gpu, data, &batch)?, Tape::new());
            let student = net.forward(gpu, &mut tape, Mode::Train, &Var::constant(x.clone()))?;
            let mut losses = LossRecorder { gpu, tape: &mut tape, ledger: &ledger };
            for (k, logits) in student.logits.iter().enumerate() {
                let labels = Tensor::from_u32(gpu, batch.labels[tasks[k]].classes(), &[BATCH])?;
                CrossEntropy::default().apply(&mut losses, 2 * k, 1.0, logits, &labels)?;
                if let Some(teacher) = teachers.get(k) {
                    KD.apply(&mut losses, 2 * k + 1, 0.9, logits, &teacher.infer(gpu, &x)?.logits[0])?;
                }
            }
            tape.backward(gpu)?;
            optimizer.step(gpu, net.params(), schedule.at(optimizer.steps() as usize))?;
            ledger.advance();
        }
    }
    let frozen = net.freeze(gpu)?;
    let loss = ledger.take(gpu)?.last().map_or(0.0, |terms| terms[0]);
    print!("{name:<18}{:>6} parameters   last label loss {loss:.2}   accuracy", net.params().count());
    for batch in Loader::eval(Arc::new(data.test.clone()), data.test.len()) {
        for (logits, &task) in frozen.infer(gpu, &input(gpu, data, &batch)?)?.logits.iter().zip(tasks) {
            let said = confusion::argmax(gpu, logits)?.to_u32(gpu)?;
            let right = said.iter().zip(batch.labels[task].classes()).filter(|(said, label)| said == label).count();
            print!("  {:.1} %", 100.0 * right as f32 / said.len() as f32);
        }
    }
    println!();
    Ok(frozen)
}

fn main() -> Result<()> {
    let (gpu, samples) = (Gpu::open()?, Samples { train: 1200, val: 1, test: 500 });
    let data = digits::load(&Pairing { canvas: [12, 12], samples, seed: 0 }, 0)?;
    let first = train(&gpu, &data, "teacher, digit 1", 0.5, &[0], &[])?;
    let second = train(&gpu, &data, "teacher, digit 2", 0.5, &[1], &[])?;
    // Both students start from the same weights and see the same batches; only one of them is taught.
    train(&gpu, &data, "student, joint", 0.25, &[0, 1], &[])?;
    train(&gpu, &data, "student, distilled", 0.25, &[0, 1], &[first, second])?;
    Ok(())
}
