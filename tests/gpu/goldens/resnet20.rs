//! Two steps of a whole ResNet-20 on the GPU against PyTorch.

use super::*;
use limbeck::distill::Kd;
use limbeck::loss::{CrossEntropy, LossLog, LossRecorder};
use limbeck::nn::{HeadSpec, Init, Mode, Network, NetworkSpec, TrunkSpec, arch};
use limbeck::optim::{Optimizer, Rule};
use limbeck::tape::{Tape, Var};

/// PyTorch's name of a parameter; the golden net has no dictionary of heads.
fn in_pytorch(name: &str) -> String {
    name.replace("heads.fc.", "fc.")
}

/// A ResNet-20: two steps of SGD with momentum on 0.1 · cross entropy + 0.9 · distillation (T = 4), then evaluation.
#[test]
fn goldens_resnet20() -> Result<()> {
    let (gpu, group) = (gpu(), Group::load("resnet20"));
    let upload = |key: &str| {
        let values = group.floats(key).nhwc();
        Tensor::from_f32(gpu, &values.data, &values.shape)
    };
    let head = HeadSpec::linear("fc", 10);
    let trunk = TrunkSpec::new(arch::parse("resnet20").expect("resnet20 is known"));
    let net = Network::new(gpu, NetworkSpec { trunk, channels: 3, heads: vec![head], init: Init::HeNormal }, 0)?;
    net.params().import(gpu, |name, _| Ok(group.floats(&format!("before.{}", in_pytorch(name))).nhwc().data))?;
    for p in net.params().export(gpu)? {
        group.check(&format!("before.{}", in_pytorch(&p.name)), p.data, 0.0);
    }

    let lr = 0.05;
    let sgd = Rule::Sgd(Sgd { lr, momentum: 0.9, nesterov: false, weight_decay: 5e-4 });
    let mut optimizer = Optimizer::new(gpu, net.params(), sgd, None)?;
    let mut log = LossLog::new(gpu, vec!["cross entropy".into(), "distillation".into()], 2)?;
    for step in 0..2 {
        let mut tape = Tape::new();
        let out = net.forward(gpu, &mut tape, Mode::Train, &Var::constant(upload(&format!("step{step}.x"))?))?;
        let logits = &out.logits[0];
        let labels = group.labels(&format!("step{step}.y"));
        let labels = Tensor::from_u32(gpu, &labels, &[labels.len()])?;
        let mut losses = LossRecorder { gpu, tape: &mut tape, log: &log };
        CrossEntropy::default().apply(&mut losses, 0, 0.1, logits, &labels)?;
        let kd = Kd { temperature: 4.0, standardise: false };
        kd.apply(&mut losses, 1, 0.9, logits, &upload(&format!("step{step}.teacher"))?)?;
        log.advance();
        let grads = tape.backward(gpu)?;
        net.params().zero_untouched(gpu, &grads)?;
        group.check(&format!("step{step}.logits"), logits.value().to_f32(gpu)?, TOLERANCE);
        for grad in net.params().export_grads(gpu)? {
            group.check(&format!("step{step}.grad.{}", in_pytorch(&grad.name)), grad.data, TOLERANCE);
        }
        optimizer.step(gpu, net.params(), lr)?;
    }
    for (step, terms) in log.take(gpu)?.iter().enumerate() {
        group.check(&format!("step{step}.loss"), [0.1 * terms[0] + 0.9 * terms[1]], TOLERANCE);
    }
    for p in net.params().export(gpu)? {
        group.check(&format!("after.{}", in_pytorch(&p.name)), p.data, TOLERANCE);
    }
    let evaluated = net.freeze(gpu)?.infer(gpu, &upload("eval.x")?)?;
    group.check("eval.logits", evaluated.logits[0].to_f32(gpu)?, TOLERANCE);

    // Everything in the file but the inputs, and PyTorch's count of batches, which nothing here reads.
    let is_input = |name: &str| name.ends_with(".x") || name.ends_with(".teacher");
    let results = group.names().into_iter().filter(|n| !is_input(n) && !n.ends_with(".num_batches_tracked"));
    group.assert_compared(&results.map(String::from).collect::<Vec<_>>());
    Ok(())
}
