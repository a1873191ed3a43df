//! Networks with heads that are asked of every pixel, and with every kind of head on one trunk.

use crate::golden_files::Group;
use limbeck::gpu::{Gpu, Options};
use limbeck::kernels::fcos::{Focal, Part};
use limbeck::kernels::regression::RegressionLoss;
use limbeck::loss::{BinaryCrossEntropy, CrossEntropy, Detection, LossLog, LossRecorder, Regression};
use limbeck::nn::{HeadSpec, Init, Mode, Network, NetworkSpec, TrunkSpec, arch};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::Tensor;

fn gpu() -> Gpu {
    Gpu::new(Options { poison: true, ..Options::from_env() }).unwrap()
}

/// A head of every kind: outputs, losses, gradients, running statistics, and the frozen form, against PyTorch.
#[test]
fn a_network_with_every_kind_of_head_agrees_with_pytorch() {
    let (gpu, group) = (gpu(), Group::load("dense"));
    let tolerance = 1e-4;
    let trunk = TrunkSpec { width: 0.25, ..TrunkSpec::new(arch::parse("resnet8").unwrap()) };
    let heads = vec![
        HeadSpec::decoder("mask", 5, 8),
        HeadSpec::decoder("depth", 1, 8),
        HeadSpec::linear("number", 1),
        HeadSpec::linear("attributes", 3),
        HeadSpec::detector("boxes", 3, 8),
    ];
    let net = Network::new(&gpu, NetworkSpec { trunk, channels: 3, heads, init: Init::HeNormal }, 0).unwrap();
    net.params().import(&gpu, |name, _| Ok(group.floats(&format!("before.{name}")).nhwc().data)).unwrap();
    for p in net.params().export(&gpu).unwrap() {
        group.check(&format!("before.{}", p.name), p.data, 0.0);
    }
    let x = group.floats("x").nhwc();
    let x = Tensor::from_f32(&gpu, &x.data, &x.shape).unwrap();
    let floats = |key: &str, shape: &[usize]| Tensor::from_f32(&gpu, &group.floats(key).data, shape).unwrap();
    let names = ["mask", "depth", "number", "attributes", "boxes"];
    let terms = ["mask", "depth", "number", "attributes", "focal", "giou", "centre"];
    let weights = [0.5, 0.3, 0.2, 0.1, 0.4, 0.6, 0.7];
    let mut log = LossLog::new(&gpu, terms.map(String::from).to_vec(), 1).unwrap();
    let mut tape = Tape::new();
    let out = net.forward(&gpu, &mut tape, Mode::Train, &Var::constant(x.clone())).unwrap();
    let mut losses = LossRecorder { gpu: &gpu, tape: &mut tape, log: &log };
    let mask = Tensor::from_u32(&gpu, &group.labels("mask"), &[4, 13, 11]).unwrap();
    CrossEntropy::default().apply(&mut losses, 0, weights[0], &out.logits[0], &mask).unwrap();
    let huber = Regression { loss: RegressionLoss::Huber { delta: 0.7 } };
    huber.apply(&mut losses, 1, weights[1], &out.logits[1], &floats("depth", &[4, 13, 11, 1])).unwrap();
    let squared = Regression { loss: RegressionLoss::L2 };
    squared.apply(&mut losses, 2, weights[2], &out.logits[2], &floats("number", &[4, 1])).unwrap();
    BinaryCrossEntropy::default()
        .apply(&mut losses, 3, weights[3], &out.logits[3], &floats("attributes", &[4, 3]))
        .unwrap();
    let objects = floats("objects", &[4, 3, 6]);
    let focal = Focal { alpha: 0.25, gamma: 2.0 };
    let mut assigned = None;
    for (i, part) in [Part::Classes(focal), Part::Boxes, Part::Centre].into_iter().enumerate() {
        let loss = Detection { part, levels: net.detector_levels([13, 11]) };
        let found = assigned.get_or_insert_with(|| loss.assign(&gpu, &out.logits[4], &objects).unwrap());
        loss.apply(&mut losses, 4 + i, weights[4 + i], &out.logits[4], (&found.0, &found.1)).unwrap();
    }
    log.advance();
    for (name, logits) in names.iter().zip(&out.logits) {
        group.check(&format!("logits.{name}"), logits.value().to_f32(&gpu).unwrap(), tolerance);
    }
    drop(out);
    let grads = tape.backward(&gpu).unwrap();
    net.params().zero_untouched(&gpu, &grads).unwrap();
    for (name, loss) in terms.iter().zip(&log.take(&gpu).unwrap()[0]) {
        group.check(&format!("loss.{name}"), [*loss], tolerance);
    }
    for grad in net.params().export_grads(&gpu).unwrap() {
        group.check(&format!("grad.{}", grad.name), grad.data, tolerance);
    }
    for p in net.params().export(&gpu).unwrap() {
        group.check(&format!("after.{}", p.name), p.data, tolerance);
    }
    let said = net.freeze(&gpu).unwrap().infer(&gpu, &x).unwrap();
    for (name, logits) in names.iter().zip(&said.logits) {
        group.check(&format!("eval.{name}"), logits.to_f32(&gpu).unwrap(), tolerance);
    }
    let inputs = ["x", "depth", "number", "attributes", "objects"];
    let results = group.names().into_iter().filter(|n| !inputs.contains(n)).map(String::from);
    group.assert_compared(&results.collect::<Vec<_>>());
}

/// A look at a batch normalizes by the batch's own statistics and leaves the running ones alone.
#[test]
fn a_look_changes_no_statistics() {
    let gpu = gpu();
    let trunk = TrunkSpec { width: 0.25, ..TrunkSpec::new(arch::parse("resnet8").unwrap()) };
    let heads = vec![HeadSpec::decoder("mask", 3, 8)];
    let net = Network::new(&gpu, NetworkSpec { trunk, channels: 1, heads, init: Init::HeNormal }, 0).unwrap();
    let pixels: Vec<f32> = (0..3 * 9 * 10).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let x = Var::constant(Tensor::from_f32(&gpu, &pixels, &[3, 9, 10, 1]).unwrap());
    let pass = |mode| {
        let out = net.forward(&gpu, &mut Tape::off(), mode, &x).unwrap();
        out.logits[0].value().to_f32(&gpu).unwrap()
    };
    let before = net.params().export(&gpu).unwrap();
    let looked = pass(Mode::TrainNoStats);
    assert_eq!(net.params().export(&gpu).unwrap(), before);
    assert_eq!(pass(Mode::Train), looked);
    assert_ne!(net.params().export(&gpu).unwrap(), before);
}
