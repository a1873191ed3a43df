//! The whole story in code: two teachers, each good at one task, become one small student that does both.
//!
//! `cargo run --release --example distill`

use limbeck::data::compose::{Pairing, Samples};
use limbeck::data::{augment::Augment, digits, loader::Loader, seed};
use limbeck::distill::{self, MethodConfig};
use limbeck::nn::{Init, Network, TrunkSpec};
use limbeck::optim::{Curve, Rule, Schedule, Sgd};
use limbeck::train::{Inputs, Learner, LossTerms, StepRecorder, Teacher};
use limbeck::{Error, Result, gpu::Gpu};

const BATCH: usize = 50;
const EPOCHS: usize = 8;
const TRAIN: usize = 1200;

/// Trains and tests a ResNet-8 with a head for each of `tasks`: on labels and, given teachers, on what those say.
fn train(gpu: &Gpu, inputs: &Inputs, name: &str, width: f32, tasks: &[&str], teachers: &[Teacher]) -> Result<Network> {
    let trunk = TrunkSpec { width, ..TrunkSpec::new("resnet8".parse()?) };
    let network = Network::new(gpu, inputs.network_spec(trunk, tasks, Init::HeNormal)?, 0)?;
    // Soft labels at temperature 4, nowhere stronger than the labels.
    let kd = distill::method("kd").ok_or_else(|| Error::Invalid("no method kd".into()))?;
    let terms = LossTerms::distilled(gpu, inputs, &network, teachers, &[(kd, MethodConfig::of(kd))], 0)?;

    let epoch = Loader::train_steps(TRAIN, BATCH);
    let schedule = Schedule { lr: 0.1, warmup: epoch, steps: EPOCHS * epoch, curve: Curve::Cosine };
    let rule = Rule::Sgd(Sgd { lr: schedule.lr, momentum: 0.9, nesterov: true, weight_decay: 5e-4 });
    let mut learners = [Learner::new(gpu, network, terms, rule, None)?];
    let mut steps = StepRecorder::default();
    for epoch in 0..EPOCHS {
        learners[0].begin_epoch(gpu, epoch, EPOCHS)?;
        for batch in inputs.epoch(BATCH, seed::derive_n(0, epoch as u64)) {
            let lr = schedule.at(learners[0].steps() as usize);
            steps.step(gpu, inputs, &batch, &mut learners, lr)?;
        }
    }

    let [mut learner] = learners;
    print!("{name:<18}{:>6} parameters   mean losses", learner.network().params().count());
    learner.mean_losses(gpu)?.iter().for_each(|(term, loss)| print!("  {term} {loss:.2}"));
    for (task, result) in tasks.iter().zip(inputs.test(gpu, learner.network(), BATCH)?) {
        if let Some((metric, Some(value))) = result.scores.main() {
            print!("   {task}: {} {:.1} %", metric.name, 100.0 * value);
        }
    }
    println!();
    Ok(learner.into_network())
}

fn main() -> Result<()> {
    let (gpu, samples) = (Gpu::open()?, Samples { train: TRAIN, val: 1, test: 500 });
    let data = digits::load(&Pairing { canvas: [12, 12], samples, seed: 0 }, 0)?;
    let inputs = Inputs::new(data, Augment { shift: 1, ..Augment::NONE });
    let first = train(&gpu, &inputs, "teacher, digit 1", 0.5, &["first"], &[])?;
    let second = train(&gpu, &inputs, "teacher, digit 2", 0.5, &["second"], &[])?;
    let teachers = [Teacher::new(&gpu, &first, &inputs)?, Teacher::new(&gpu, &second, &inputs)?];
    // Both students start from the same weights and see the same batches; only one of them is taught.
    train(&gpu, &inputs, "student, joint", 0.25, &["first", "second"], &[])?;
    train(&gpu, &inputs, "student, distilled", 0.25, &["first", "second"], &teachers)?;
    Ok(())
}
