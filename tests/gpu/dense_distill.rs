//! The maps of a teacher's decoder and pyramid, and what a student's get of them.

use limbeck::distill::{Adaptor, BoxKd, Imitation, Whereabouts};
use limbeck::gpu::{Gpu, Options};
use limbeck::kernels::fcos::{Focal, Level, Part};
use limbeck::loss::{Detection, LossLog, LossRecorder};
use limbeck::nn::{HeadSpec, Init, Mode, Network, NetworkSpec, Outputs, TrunkSpec, arch};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::Tensor;
use std::collections::BTreeMap;

fn gpu() -> Gpu {
    Gpu::new(Options { poison: true, ..Options::from_env() }).unwrap()
}

/// The maps that are tapped are those the answers are made of, in training and frozen.
#[test]
fn answers_are_made_of_the_maps_that_heads_give_away() {
    let gpu = gpu();
    let trunk = TrunkSpec { width: 0.25, ..TrunkSpec::new(arch::parse("resnet8").unwrap()) };
    let heads = vec![HeadSpec::decoder("mask", 3, 8), HeadSpec::linear("number", 1), HeadSpec::detector("boxes", 2, 8)];
    let net = Network::new(&gpu, NetworkSpec { trunk, channels: 1, heads, init: Init::HeNormal }, 0).unwrap();
    let pixels: Vec<f32> = (0..2 * 9 * 10).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let x = Tensor::from_f32(&gpu, &pixels, &[2, 9, 10, 1]).unwrap();
    let params: BTreeMap<String, Vec<f32>> =
        net.params().export(&gpu).unwrap().into_iter().map(|p| (p.name, p.data)).collect();
    let linear = |map: &Tensor, name: &str| -> Vec<f32> {
        let (weight, bias) = (&params[&format!("{name}.weight")], &params[&format!("{name}.bias")]);
        let values = map.to_f32(&gpu).unwrap();
        let row = |f: &[f32]| -> Vec<f32> {
            let one = |(w, b): (&[f32], &f32)| w.iter().zip(f).map(|(w, f)| w * f).sum::<f32>() + b;
            weight.chunks(f.len()).zip(bias).map(one).collect()
        };
        values.chunks(map.columns()).flat_map(row).collect()
    };
    let check = |out: &Outputs<Tensor>| {
        let shapes = |k: usize| out.maps[k].levels.iter().map(|m| m.shape().to_vec()).collect::<Vec<_>>();
        assert_eq!(shapes(0), [vec![2, 9, 10, 8], vec![2, 5, 5, 8], vec![2, 3, 3, 8]]);
        assert_eq!((shapes(1), out.maps[1].decoder.is_some()), (Vec::new(), false));
        assert_eq!((shapes(2), out.maps[2].first), (shapes(0)[1..].to_vec(), 1));
        assert!(out.maps[2].decoder.is_none() && out.maps[2].level(0).is_none() && out.maps[2].level(1).is_some());
        // The finest map is as large as the image.
        let want = linear(out.maps[0].decoder.as_ref().unwrap(), "heads.mask.answers");
        let got = out.logits[0].to_f32(&gpu).unwrap();
        assert_eq!(out.maps[0].logits.as_ref().unwrap().to_f32(&gpu).unwrap(), got);
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs())), "{:?}", &got[..3]);
    };
    check(&net.freeze(&gpu).unwrap().infer(&gpu, &x).unwrap());
    let out = net.forward(&gpu, &mut Tape::off(), Mode::TrainNoStats, &Var::constant(x)).unwrap();
    let (trained, features) = (out.maps, out.features);
    let value = |v: &Var| v.value().clone();
    check(&Outputs {
        logits: out.logits.iter().map(value).collect(),
        maps: trained
            .iter()
            .map(|m| limbeck::nn::HeadMaps {
                levels: m.levels.iter().map(value).collect(),
                first: m.first,
                decoder: m.decoder.as_ref().map(value),
                logits: m.logits.as_ref().map(value),
            })
            .collect(),
        features: limbeck::nn::Features {
            pooled: value(&features.pooled),
            maps: features.maps.iter().map(value).collect(),
            image: features.image,
        },
    });
}

/// A loss by `x`, and its gradient.
fn loss_of(gpu: &Gpu, x: &Tensor, add: &dyn Fn(&mut LossRecorder, &Var) -> limbeck::Result<()>) -> (f64, Vec<f32>) {
    let (mut tape, mut log) = (Tape::new(), LossLog::new(gpu, vec!["loss".into()], 1).unwrap());
    let leaf = tape.leaf(x.clone());
    add(&mut LossRecorder { gpu, tape: &mut tape, log: &log }, &leaf).unwrap();
    log.advance();
    let grads = tape.backward(gpu).unwrap();
    (log.take(gpu).unwrap()[0][0].into(), grads.of(&leaf).unwrap().to_f32(gpu).unwrap())
}

/// An image without boxes as labels asks nothing of a detector by itself; its teacher's boxes and classes ask, and so do its features,
/// where the teacher sees something.
#[test]
fn images_without_boxes_are_taught_by_the_teachers() {
    let gpu = gpu();
    let levels = vec![Level { size: [4, 4], stride: 4.0 }, Level { size: [2, 2], stride: 8.0 }];
    let (images, places, columns) = (2, 20, 7);
    let numbers = |len: usize, step: usize| (0..len).map(|i| (i * step % 29) as f32 / 7.0 - 2.0).collect::<Vec<f32>>();
    let said =
        |step| Tensor::from_f32(&gpu, &numbers(images * places * columns, step), &[images, places, columns]).unwrap();
    let (z, taught) = (said(11), said(17));
    // Nobody has looked at the first image; in the second, nothing is.
    let mut rows = vec![0.0; images * 6];
    rows[5] = 3.0;
    let objects = Tensor::from_f32(&gpu, &rows, &[images, 1, 6]).unwrap();
    let of = |gradient: &[f32], image: usize| gradient[image * gradient.len() / 2..][..gradient.len() / 2].to_vec();
    let pulls = |values: &[f32]| values.iter().any(|v| *v != 0.0);
    for part in [Part::Classes(Focal { alpha: 0.25, gamma: 2.0 }), Part::Boxes, Part::Centre] {
        let detection = Detection { part, levels: levels.clone() };
        let (_, gradient) = loss_of(&gpu, &z, &|losses, z| {
            let (targets, norms) = detection.assign(losses.gpu, z, &objects)?;
            detection.apply(losses, 0, 1.0, z, (&targets, &norms))
        });
        assert!(!pulls(&of(&gradient, 0)), "{part:?}");
    }
    let (loss, gradient) =
        loss_of(&gpu, &z, &|losses, z| BoxKd { temperature: 2.0, boxes: 1.0 }.apply(losses, 0, 1.0, z, &taught));
    assert!(loss > 0.0);
    for image in 0..images {
        let own = of(&gradient, image);
        let column = |c: usize| own.iter().skip(c).step_by(columns).copied().collect::<Vec<f32>>();
        assert!((0..6).all(|c| pulls(&column(c))), "{image}: {own:?}");
        assert!(!pulls(&column(6)), "centre-ness is not taught");
    }
    let map = |step| Tensor::from_f32(&gpu, &numbers(images * 16 * 3, step), &[images, 4, 4, 3]).unwrap();
    let adaptor = Adaptor::new(&gpu, "adaptor", 3, 3, 0).unwrap();
    let imitation = Imitation::new(adaptor, 4.0, levels.clone());
    let seen = Whereabouts { objects: &objects, taught: &taught };
    let teacher = map(5);
    let (loss, gradient) = loss_of(&gpu, &map(3), &|losses, s| imitation.apply(losses, 0, 1.0, (s, &teacher), seen));
    assert!(loss > 0.0 && pulls(&of(&gradient, 0)) && !pulls(&of(&gradient, 1)));
    // A student's map twice as fine is pooled first, and a box is where it was: in the upper left quarter of the second image.
    rows[5] = 0.0;
    rows[6..].copy_from_slice(&[1.0, 1.0, 7.0, 7.0, 0.0, 1.0]);
    let objects = Tensor::from_f32(&gpu, &rows, &[images, 1, 6]).unwrap();
    let adaptor = Adaptor::new(&gpu, "adaptor", 3, 3, 0).unwrap();
    let imitation = Imitation::new(adaptor, 2.0, levels);
    let seen = Whereabouts { objects: &objects, taught: &taught };
    let fine = Tensor::from_f32(&gpu, &numbers(images * 64 * 3, 3), &[images, 8, 8, 3]).unwrap();
    let (_, gradient) = loss_of(&gpu, &fine, &|losses, s| imitation.apply(losses, 0, 1.0, (s, &teacher), seen));
    let pulled: Vec<usize> = (0..images * 64).filter(|i| pulls(&gradient[i * 3..i * 3 + 3])).collect();
    let quarter: Vec<usize> = (0..4).flat_map(|y| (0..4).map(move |x| 64 + y * 8 + x)).collect();
    assert_eq!(pulled, quarter);
}
