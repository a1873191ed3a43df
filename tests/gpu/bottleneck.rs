//! Bottleneck blocks and dilated stages.

use crate::golden_files::{self, Group};
use limbeck::gpu::{Gpu, Options};
use limbeck::kernels::case::{f64s, values};
use limbeck::loss::{CrossEntropy, LossLog, LossRecorder};
use limbeck::nn::{HeadSpec, Init, Mode, Network, NetworkSpec, Stem, TrunkSpec, arch};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::Tensor;

fn gpu() -> Gpu {
    Gpu::new(Options { poison: true, ..Options::from_env() }).unwrap()
}

fn network(gpu: &Gpu, trunk: TrunkSpec, channels: usize, heads: Vec<HeadSpec>) -> Network {
    Network::new(gpu, NetworkSpec { trunk, channels, heads, init: Init::HeNormal }, 3).unwrap()
}

fn trunk(name: &str, width: f32, stem: Stem, dilate: usize) -> TrunkSpec {
    TrunkSpec { width, stem, dilate, ..TrunkSpec::new(arch::parse(name).unwrap()) }
}

/// A ResNet-50 with two dilated stages, a linear head and a decoder: map, outputs, losses, gradients, running statistics, and the
/// frozen form, against torchvision's.
#[test]
fn a_dilated_resnet50_agrees_with_torchvision() {
    let (gpu, group) = (gpu(), Group::load("bottleneck"));
    let tolerance = 1e-4;
    let heads = vec![HeadSpec::linear("fc", 5), HeadSpec::decoder("mask", 2, 4)];
    let net = network(&gpu, trunk("resnet50", 0.0235, Stem::ImageNet, 2), 1, heads);
    net.params().import(&gpu, |name, _| Ok(group.floats(&format!("before.{name}")).nhwc().data)).unwrap();
    for p in net.params().export(&gpu).unwrap() {
        group.check(&format!("before.{}", p.name), p.data, 0.0);
    }
    let x = group.floats("x").nhwc();
    let x = Tensor::from_f32(&gpu, &x.data, &x.shape).unwrap();
    let labels = |key: &str, shape: &[usize]| Tensor::from_u32(&gpu, &group.labels(key), shape).unwrap();
    let (names, weights) = (["fc", "mask"], [0.4, 0.6]);
    let mut log = LossLog::new(&gpu, names.map(String::from).to_vec(), 1).unwrap();
    let mut tape = Tape::new();
    let out = net.forward(&gpu, &mut tape, Mode::Train, &Var::constant(x.clone())).unwrap();
    let mut losses = LossRecorder { gpu: &gpu, tape: &mut tape, log: &log };
    for (i, labels) in [labels("y", &[2]), labels("mask", &[2, 35, 31])].iter().enumerate() {
        CrossEntropy::default().apply(&mut losses, i, weights[i], &out.logits[i], labels).unwrap();
    }
    log.advance();
    group.check("map", out.features.maps[3].value().to_f32(&gpu).unwrap(), tolerance);
    for (name, logits) in names.iter().zip(&out.logits) {
        group.check(&format!("logits.{name}"), logits.value().to_f32(&gpu).unwrap(), tolerance);
    }
    drop(out);
    let grads = tape.backward(&gpu).unwrap();
    net.params().zero_untouched(&gpu, &grads).unwrap();
    for (name, loss) in names.iter().zip(&log.take(&gpu).unwrap()[0]) {
        group.check(&format!("loss.{name}"), [*loss], tolerance);
    }
    for grad in net.params().export_grads(&gpu).unwrap() {
        group.check(&format!("grad.{}", grad.name), grad.data, tolerance);
    }
    for p in net.params().export(&gpu).unwrap().into_iter().filter(|p| p.name.contains("running")) {
        group.check(&format!("after.{}", p.name), p.data, tolerance);
    }
    let said = net.freeze(&gpu).unwrap().infer(&gpu, &x).unwrap();
    group.check("eval.fc", said.logits[0].to_f32(&gpu).unwrap(), tolerance);
    let results = group.names().into_iter().filter(|n| *n != "x").map(String::from);
    group.assert_compared(&results.collect::<Vec<_>>());
}

/// Every second place of a map `[n, h, w, c]`, in both directions, so many times.
fn thinned(map: &Tensor, gpu: &Gpu, step: usize) -> Vec<f32> {
    let &[n, h, w, c] = map.shape() else { panic!("no map: {:?}", map.shape()) };
    let all = map.to_f32(gpu).unwrap();
    let rows = (0..n).flat_map(|i| (0..h).step_by(step).map(move |y| (i * h + y) * w));
    rows.flat_map(|row| (0..w).step_by(step).flat_map(move |x| (row + x) * c..(row + x + 1) * c))
        .map(|i| all[i])
        .collect()
}

/// The à trous property: with the same weights a dilated network says at every second (fourth, …) place what the plain one says, to
/// rounding, as both see the same pixels. It fails if a single convolution has the wrong dilation, stride or padding.
#[test]
fn dilated_maps_hold_the_plain_ones() {
    let gpu = gpu();
    let shape = [2, 37, 30, 3];
    let x = Tensor::from_f32(&gpu, &values(5, shape.iter().product()), &shape).unwrap();
    for (name, width, stem, most) in [
        ("resnet8", 0.25, Stem::Small, 2),
        ("resnet18", 0.0625, Stem::Small, 3),
        ("resnet50", 0.0625, Stem::ImageNet, 3),
    ] {
        let plain = network(&gpu, trunk(name, width, stem, 0), 3, vec![HeadSpec::linear("fc", 2)]);
        let weights = plain.params().export(&gpu).unwrap();
        let want = plain.freeze(&gpu).unwrap().infer(&gpu, &x).unwrap().features.maps;
        for dilate in 1..=most {
            let spec = trunk(name, width, stem, dilate);
            let heads = vec![HeadSpec::linear("fc", 2), HeadSpec::detector("boxes", 3, 4)];
            let net = network(&gpu, spec, 3, heads);
            let own = |name: &str| weights.iter().find(|w| w.name == name);
            net.params()
                .import(&gpu, |name, shape| match own(name) {
                    Some(w) => {
                        assert_eq!(w.shape, shape, "{name}");
                        Ok(w.data.clone())
                    }
                    None => {
                        assert!(name.contains("boxes"), "{name} is not in the plain network");
                        Ok(vec![0.5; shape.iter().product()])
                    }
                })
                .unwrap();
            let out = net.forward(&gpu, &mut Tape::off(), Mode::Eval, &Var::constant(x.clone())).unwrap();
            let frozen = net.freeze(&gpu).unwrap().infer(&gpu, &x).unwrap();
            let coarser = TrunkSpec { dilate: 0, ..spec }.strides();
            for (i, (map, stride)) in out.features.maps.iter().zip(spec.strides()).enumerate() {
                let (map, what) = (map.value(), format!("{name}, {dilate} dilated, layer{}", i + 1));
                assert_eq!(
                    map.shape()[1..3],
                    shape[1..3].iter().map(|s| s.div_ceil(stride)).collect::<Vec<_>>(),
                    "{what}"
                );
                let want = f64s(&want[i].to_f32(&gpu).unwrap());
                for map in [map, &frozen.features.maps[i]] {
                    let error = golden_files::relative_error(thinned(map, &gpu, coarser[i] / stride), want.clone());
                    assert!(error < 1e-5, "{what}: {error:.1e}");
                }
            }
            // The detector's places are where its levels say.
            let places: usize = net.detector_levels([37, 30]).iter().map(|l| l.size[0] * l.size[1]).sum();
            assert_eq!(out.logits[1].value().shape(), [2, places, 8], "{name}, {dilate} dilated");
        }
    }
}
