//! One network for one task, validated after each epoch and stored as safetensors with all that is needed to use it.
//!
//! `cargo run --release --example train_teacher -- [FILE]`, then `cargo run --release --example infer -- FILE`

use std::{env, path::PathBuf, sync::Arc};

use limbeck::Result;
use limbeck::checkpoint;
use limbeck::checkpoint::ModelCard;
use limbeck::data::loader::{Batch, Loader};
use limbeck::data::{Dataset, augment::Augment, digits, seed};
use limbeck::gpu::Gpu;
use limbeck::kernels::{augment, confusion};
use limbeck::loss::{CrossEntropy, LossLog, LossRecorder};
use limbeck::metrics::Confusion;
use limbeck::nn::{Frozen, HeadSpec, Init, Mode, Network, NetworkSpec, TrunkSpec};
use limbeck::optim::{Adam, Curve, Optimizer, Rule, Schedule};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::Tensor;

const BATCH: usize = 50;
const EPOCHS: usize = 8;

/// A batch as the network sees it, `[n, 8, 8, 1]`, and its labels `[n]`.
fn upload(gpu: &Gpu, data: &Dataset, batch: &Batch) -> Result<(Tensor, Tensor)> {
    let (pixels, (mean, std)) = (Tensor::from_bytes(gpu, &batch.images)?, data.channel_stats());
    let x = augment::normalize(gpu, &pixels, [BATCH, 8, 8, 1], &mean, &std)?;
    Ok((x, Tensor::from_u32(gpu, batch.labels[0].classes(), &[BATCH])?))
}

/// Accuracy, precision, recall and F1 on the validation split, counted on the GPU and read once.
fn validate(gpu: &Gpu, data: &Dataset, network: &Frozen) -> Result<Confusion> {
    let counts = Tensor::from_u32(gpu, &[0; 100], &[10, 10])?;
    for batch in Loader::eval(Arc::new(data.val.clone()), BATCH) {
        let (x, labels) = upload(gpu, data, &batch)?;
        confusion::confusion(gpu, &network.infer(gpu, &x)?.logits[0], &labels, batch.valid, &counts)?;
    }
    Confusion::from_counts(counts.to_u32(gpu)?.into_iter().map(u64::from).collect(), 10)
}

fn main() -> Result<()> {
    let path = env::args_os().nth(1).map_or_else(|| env::temp_dir().join("limbeck-teacher.safetensors"), PathBuf::from);
    let (gpu, data) = (Gpu::open()?, digits::single("digit", 0)?);
    let trunk = TrunkSpec { width: 0.5, ..TrunkSpec::new("resnet8".parse()?) };
    let spec = NetworkSpec { trunk, channels: 1, heads: vec![HeadSpec::linear("digit", 10)], init: Init::HeNormal };
    let (network, mut card) = (Network::new(&gpu, spec.clone(), 0)?, ModelCard::new(&spec, &data)?);
    println!("{} · {} parameters, {} MACs an image", gpu.profile(), network.params().count(), network.macs(8, 8));

    let (train, steps) = (Arc::new(data.train.clone()), Loader::train_steps(data.train.len(), BATCH));
    let schedule = Schedule { lr: 0.01, warmup: steps, steps: EPOCHS * steps, curve: Curve::Cosine };
    let adam = Adam { lr: schedule.lr, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, decoupled: true };
    let mut optimizer = Optimizer::new(&gpu, network.params(), Rule::Adam(adam), Some(5.0))?;
    let mut log = LossLog::new(&gpu, vec!["digit/ce".into()], steps)?;
    for epoch in 0..EPOCHS {
        for batch in Loader::train(train.clone(), BATCH, seed::derive_n(0, epoch as u64), Augment::NONE, 0) {
            let ((x, labels), mut tape) = (upload(&gpu, &data, &batch)?, Tape::new());
            let outputs = network.forward(&gpu, &mut tape, Mode::Train, &Var::constant(x))?;
            let mut losses = LossRecorder { gpu: &gpu, tape: &mut tape, log: &log };
            CrossEntropy { label_smoothing: 0.1 }.apply(&mut losses, 0, 1.0, &outputs.logits[0], &labels)?;
            tape.backward(&gpu)?;
            optimizer.step(&gpu, network.params(), schedule.at(epoch * steps + log.len()))?;
            log.advance();
        }
        let loss: f32 = log.take(&gpu)?.iter().map(|row| row[0]).sum::<f32>() / steps as f32;
        let val = validate(&gpu, &data, &network.freeze(&gpu)?)?;
        println!(
            "epoch {}: loss {loss:.3}, validation accuracy {:.1} %, F1 {:.3}",
            epoch + 1,
            100.0 * val.accuracy(),
            val.f1()
        );
        // The best epoch is what is kept.
        if Some(val.accuracy()) > card.val_score {
            card = ModelCard { epoch: epoch + 1, val_score: Some(val.accuracy()), ..card };
            checkpoint::save(&gpu, &path, &network, &card)?;
        }
    }
    println!("stored epoch {} ({:.1} %) as {}", card.epoch, 100.0 * card.val_score.unwrap_or_default(), path.display());
    Ok(())
}
