//! Checkpoints speak PyTorch, come back as they were, and say what does not fit.

use super::{SGD, steps};
use crate::support::*;
use limbeck::checkpoint;
use limbeck::checkpoint::ModelCard;
use limbeck::checkpoint::TaskCard;
use limbeck::nn::{HeadSpec, Network, NetworkSpec, TrunkSpec};
use std::collections::HashMap;
use std::path::Path;
use tempfile::tempdir;

pub fn card(network: &Network) -> ModelCard {
    let spec = network.spec();
    let task = |h: &HeadSpec| TaskCard {
        name: h.task.clone(),
        kind: limbeck::data::TaskKind::Class,
        classes: (0..h.outputs).map(|c| c.to_string()).collect(),
        moments: None,
        counts: None,
    };
    let limbeck::nn::HeadKind::Pooled { hidden } = &spec.heads[0].kind else { panic!("a perceptron was expected") };
    ModelCard {
        schema: ModelCard::SCHEMA,
        arch: "resnet8".into(),
        width: spec.trunk.width,
        imagenet_stem: false,
        dilate: spec.trunk.dilate,
        head: hidden.clone(),
        decoder: 0,
        tasks: spec.heads.iter().map(task).collect(),
        image: [12, 12, 1],
        letterbox: false,
        mean: vec![0.25],
        std: vec![0.5],
        stage: "joint".into(),
        seed: 9,
        epoch: 4,
        val_score: Some(0.75),
    }
}

/// Stores the tensors of `from` again, each as `change` wants it.
pub fn rewrite(from: &Path, to: &Path, change: impl Fn(&str, Vec<usize>) -> Option<Vec<usize>>) {
    let bytes = std::fs::read(from).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata: HashMap<String, String> = header.metadata().clone().unwrap();
    // Without the hash, as of an earlier version, so that it is not the hash that refuses it.
    for text in metadata.values_mut() {
        let card = text.strip_prefix("{\"hash\":\"").and_then(|rest| rest.get(18..)).unwrap();
        *text = format!("{{{card}");
    }
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let views = all.iter().filter_map(|(name, view)| {
        let shape = change(name, view.shape().to_vec())?;
        Some((name.to_string(), safetensors::tensor::TensorView::new(view.dtype(), shape, view.data()).unwrap()))
    });
    std::fs::write(to, safetensors::serialize(views.collect::<Vec<_>>(), Some(metadata)).unwrap()).unwrap();
}

#[test]
fn checkpoints_speak_pytorch_and_come_back_as_they_were() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let sample = batch(&gpu, 16);
    let path = folder.path().join("net.safetensors");
    for (hidden, names) in [(vec![], ["heads.first", "heads.second"]), (vec![24], ["heads.first.0", "heads.first.2"])] {
        let network = Network::new(&gpu, spec("resnet8", 1.0, &hidden), 11).unwrap();
        steps(&gpu, &network, &sample, SGD, 2);
        checkpoint::save(&gpu, &path, &network, &card(&network)).unwrap();
        let (loaded, read) = checkpoint::load(&gpu, &path).unwrap();
        assert_eq!(read, card(&network));
        assert_eq!(loaded.params().export(&gpu).unwrap(), network.params().export(&gpu).unwrap());
        let bytes = std::fs::read(&path).unwrap();
        let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let shape = |name: &str| stored.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")).shape().to_vec();
        assert_eq!(shape("conv1.weight"), [16, 1, 3, 3]);
        assert_eq!(shape("bn1.running_mean"), [16]);
        assert_eq!(shape("bn1.running_var"), [16]);
        assert_eq!(shape("layer1.0.conv2.weight"), [16, 16, 3, 3]);
        assert_eq!(shape("layer2.0.conv1.weight"), [32, 16, 3, 3]);
        assert_eq!(shape("layer2.0.downsample.0.weight"), [32, 16, 1, 1]);
        assert_eq!(shape("layer2.0.downsample.1.bias"), [32]);
        for name in names {
            let inputs = if name.ends_with(".2") { 24 } else { 64 };
            let outputs = if name.ends_with(".0") { 24 } else { 10 };
            assert_eq!(shape(&format!("{name}.weight")), [outputs, inputs]);
            assert_eq!(shape(&format!("{name}.bias")), [outputs]);
        }
    }
}

/// Dilation is nowhere in the weights, so the card must say it; cards from before it was there say none.
#[test]
fn a_checkpoint_remembers_dilated_stages() {
    let (gpu, folder) = (gpu(), tempdir().unwrap());
    let path = folder.path().join("net.safetensors");
    let plain = spec("resnet8", 0.25, &[]);
    for dilate in [0, 1, 2] {
        let trunk = TrunkSpec { dilate, ..plain.trunk };
        let network = Network::new(&gpu, NetworkSpec { trunk, ..plain.clone() }, 11).unwrap();
        checkpoint::save(&gpu, &path, &network, &card(&network)).unwrap();
        let (loaded, read) = checkpoint::load(&gpu, &path).unwrap();
        assert_eq!((loaded.spec().trunk, read), (trunk, card(&network)));
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let text = &header.metadata().as_ref().unwrap()["limbeck"];
        assert_eq!(text.contains("dilate"), dilate > 0, "{text}");
    }
}
