//! Networks have the sizes and the names that the literature and torchvision give them.

use limbeck::distill::{Adaptor, FeatureLoss};
use limbeck::gpu::Gpu;
use limbeck::loss::{LossLog, LossRecorder};
use limbeck::nn::{HeadSpec, Init, Mode, Network, NetworkSpec, Stem, TrunkSpec, arch};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::Tensor;

fn network(gpu: &Gpu, name: &str, stem: Stem, classes: usize, hidden: Vec<usize>) -> Network {
    let trunk = TrunkSpec { stem, ..TrunkSpec::new(arch::parse(name).unwrap()) };
    let heads = vec![HeadSpec::mlp("fc", classes, &hidden)];
    Network::new(gpu, NetworkSpec { trunk, channels: 3, heads, init: Init::HeNormal }, 0).unwrap()
}

#[test]
fn parameters_and_macs_are_the_published_ones() {
    let gpu = Gpu::open().unwrap();
    // torchvision's model cards: `num_params` and `_ops` at 224 x 224.
    for (name, params, gmacs) in
        [("resnet18", 11_689_512, 1.814), ("resnet34", 21_797_672, 3.664), ("resnet50", 25_557_032, 4.089)]
    {
        let net = network(&gpu, name, Stem::ImageNet, 1000, vec![]);
        assert_eq!(net.params().count(), params, "{name}");
        let macs = net.macs(224, 224) as f64 / 1e9;
        assert!((macs - gmacs).abs() < 0.001, "{name}: {macs}");
    }
    // Counted in networks made of torchvision's blocks: the deep ones at half their width, as Mesa's software driver binds no more than
    // 128 MiB, and the trunk of its segmentation networks (replace_stride_with_dilation = [False, True, True]).
    for (name, width, dilate, params, macs) in [
        ("resnet101", 0.5, 0, 11_678_728, 1_980_366_848),
        ("resnet152", 0.5, 0, 15_601_160, 2_908_422_144),
        ("resnet50", 1.0, 2, 25_557_032, 19_079_364_608),
    ] {
        let trunk = TrunkSpec { width, stem: Stem::ImageNet, dilate, ..TrunkSpec::new(arch::parse(name).unwrap()) };
        let heads = vec![HeadSpec::linear("fc", 1000)];
        let net = Network::new(&gpu, NetworkSpec { trunk, channels: 3, heads, init: Init::HeNormal }, 0).unwrap();
        assert_eq!((net.params().count(), net.macs(224, 224)), (params, macs), "{name}");
    }
    // 0.27 M and 1.7 M in He et al. 2016, table 6; exactly these with projection shortcuts and a bias in the last layer.
    for (name, params) in [("resnet20", 272_474), ("resnet110", 1_730_714)] {
        assert_eq!(network(&gpu, name, Stem::Small, 10, vec![]).params().count(), params, "{name}");
    }
}

#[test]
fn names_are_pytorchs() {
    let gpu = Gpu::open().unwrap();
    let net = network(&gpu, "resnet8", Stem::Small, 10, vec![32]);
    let names: Vec<String> = net.params().export(&gpu).unwrap().into_iter().map(|n| n.name).collect();
    for name in [
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "bn1.running_mean",
        "bn1.running_var",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.running_var",
        "layer3.0.bn2.bias",
        "heads.fc.0.weight",
        "heads.fc.2.bias",
    ] {
        assert!(names.iter().any(|n| n == name), "{name} is not among {names:?}");
    }
    let trunk = TrunkSpec { width: 0.03, stem: Stem::ImageNet, ..TrunkSpec::new(arch::parse("resnet50").unwrap()) };
    let heads = vec![HeadSpec::linear("fc", 10)];
    let net = Network::new(&gpu, NetworkSpec { trunk, channels: 3, heads, init: Init::HeNormal }, 0).unwrap();
    let shapes: Vec<_> = net.params().export(&gpu).unwrap().into_iter().map(|n| (n.name, n.shape)).collect();
    for (name, shape) in [
        ("layer1.0.conv1.weight", vec![4, 1, 1, 4]),
        ("layer1.0.downsample.0.weight", vec![16, 1, 1, 4]),
        ("layer3.5.conv2.weight", vec![8, 3, 3, 8]),
        ("layer4.2.conv3.weight", vec![64, 1, 1, 16]),
        ("layer4.2.bn3.running_mean", vec![64]),
        ("heads.fc.weight", vec![10, 64]),
    ] {
        assert!(
            shapes.iter().any(|s| *s == (name.to_string(), shape.clone())),
            "{name} {shape:?} is not among {shapes:?}"
        );
    }
}

#[test]
fn trunks_halve_the_image_at_each_stage() {
    let gpu = Gpu::open().unwrap();
    for (name, stem, size, want) in [
        ("resnet8", Stem::Small, 12, vec![[2, 12, 12, 16], [2, 6, 6, 32], [2, 3, 3, 64]]),
        ("resnet18", Stem::Small, 9, vec![[2, 9, 9, 64], [2, 5, 5, 128], [2, 3, 3, 256], [2, 2, 2, 512]]),
        ("resnet18", Stem::ImageNet, 33, vec![[2, 9, 9, 64], [2, 5, 5, 128], [2, 3, 3, 256], [2, 2, 2, 512]]),
    ] {
        let net = network(&gpu, name, stem, 7, vec![]);
        let x = Tensor::from_f32(&gpu, &vec![0.5; 2 * size * size * 3], &[2, size, size, 3]).unwrap();
        let out = net.forward(&gpu, &mut Tape::off(), Mode::Eval, &Var::constant(x)).unwrap();
        let shapes: Vec<&[usize]> = out.features.maps.iter().map(|m| m.value().shape()).collect();
        assert_eq!(shapes, want.iter().map(|s| &s[..]).collect::<Vec<_>>(), "{name}");
        assert_eq!(out.logits[0].value().shape(), [2, 7]);
        assert!(out.logits[0].value().to_f32(&gpu).unwrap().iter().all(|v| v.is_finite()));
    }
}

#[test]
fn parameters_of_several_arenas_do_not_mix_their_gradients() {
    let gpu = Gpu::open().unwrap();
    let net = network(&gpu, "resnet8", Stem::Small, 5, vec![]);
    let adaptors: Vec<Adaptor> = (0..2).map(|i| Adaptor::new(&gpu, "a", 64, 24, i).unwrap()).collect();
    let values = |seed, n| limbeck::kernels::case::values(seed, n);
    let x = Tensor::from_f32(&gpu, &values(1, 2 * 8 * 8 * 3), &[2, 8, 8, 3]).unwrap();
    let teacher = Tensor::from_f32(&gpu, &values(2, 2 * 2 * 2 * 24), &[2, 2, 2, 24]).unwrap();
    let step = || {
        let log = LossLog::new(&gpu, vec!["one".into(), "two".into()], 1).unwrap();
        let mut tape = Tape::new();
        let out = net.forward(&gpu, &mut tape, Mode::Eval, &Var::constant(x.clone())).unwrap();
        let mut losses = LossRecorder { gpu: &gpu, tape: &mut tape, log: &log };
        for (term, adaptor) in adaptors.iter().enumerate() {
            let map = (&out.features.maps[2], adaptor);
            FeatureLoss::Normalised.apply(&mut losses, term, 1.0, map, &teacher).unwrap();
        }
        tape.backward(&gpu).unwrap();
        let all = adaptors.iter().map(Adaptor::params).chain([net.params()]);
        all.flat_map(|p| p.export_grads(&gpu).unwrap()).collect::<Vec<_>>()
    };
    // A gradient is written over, not added to what the step before left.
    let (first, second) = (step(), step());
    assert!(first.iter().any(|g| g.name == "a.weight" && g.data.iter().any(|v| *v != 0.0)));
    assert!(first == second, "gradients of an earlier step came through");
}
