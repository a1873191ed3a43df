//! What the GPU's side of the crate refuses: adapters, memory, launches, shaders, networks and stored networks. A table with a row
//! for each: what is tried, the kind of error it ends in, and words of the message. All share a device, which is as good afterwards.

use crate::refusal_table::{Row, answer, assert_refused};
use crate::support::*;
use crate::training::checkpoints::{card, rewrite};
use limbeck::checkpoint;
use limbeck::checkpoint::ModelCard;
use limbeck::gpu::{Gpu, Launch, Options, Source, View, devices};
use limbeck::kernels::contrast::{Contrast, contrast};
use limbeck::kernels::{LossOut, cross_entropy::cross_entropy, elementwise, fcos, pkt::pkt, vid::vid};
use limbeck::nn::{HeadSpec, Mode, Network, NetworkSpec, TrunkSpec};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::{GradTarget, Tensor};
use limbeck::{Result, defines};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

fn row<T>(name: impl Into<String>, tried: Result<T>, kind: &'static str, says: &[&str]) -> Row {
    let says = says.iter().map(|words| words.to_string()).collect();
    Row { name: name.into(), answer: answer(tried), kind, says }
}

#[test]
fn what_the_gpu_cannot_do_is_refused() {
    let gpu = gpu();
    let tables =
        [memory(&gpu), launches(&gpu), limits(&gpu), shaders(&gpu), networks(&gpu), stored(&gpu), losses(&gpu)];
    assert_refused(&tables.into_iter().flatten().collect::<Vec<_>>());
    as_good_as_before(&gpu);
}

fn memory(gpu: &Gpu) -> Vec<Row> {
    let profile = gpu.profile();
    let limit = profile.max_buffer.min(profile.max_binding);
    let mut rows: Vec<Row> = [limit + 1, limit + (1 << 30), u64::MAX / 2, u64::MAX - 100, u64::MAX]
        .map(|bytes| {
            row(
                format!("a buffer of {bytes} bytes"),
                gpu.alloc(bytes),
                "Limit",
                &["a buffer of", "_size", "train.batch"],
            )
        })
        .into();
    let unknown = Gpu::new(Options { adapter: Some("no such adapter".into()), ..Options::default() });
    // It is answered with the known ones.
    let known = devices();
    let mut says = vec!["no such adapter", "WGPU_ADAPTER_NAME"];
    says.extend(known.iter().map(|device| device.name.as_str()));
    rows.push(row("an adapter that is not there", unknown, "NoAdapter", &says));
    rows
}

const SCALE: Source = Source {
    name: "scale",
    text: "struct P { length: u32, factor: f32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn scale(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < p.length { y[id.x] = p.factor * x[id.x]; }
}",
};

fn scale(gpu: &Gpu) -> Launch<'_> {
    gpu.launch(SCALE, "scale", &defines! {}).unwrap()
}

/// Three numbers, and memory for three more.
fn vectors(gpu: &Gpu) -> (Tensor, Tensor) {
    (Tensor::from_f32(gpu, &[1.0, 2.0, 3.0], &[3]).unwrap(), Tensor::empty(gpu, &[3]).unwrap())
}

fn launches(gpu: &Gpu) -> Vec<Row> {
    let (x, y) = vectors(gpu);
    let own = |name, tried, says: &[&str]| row(name, tried, "Validation", &[&["scale/scale"], says].concat());
    let whole = || scale(gpu).bind("x", &x).bind("y", &y).u32("length", 3).f32("factor", 2.0);
    vec![
        own(
            "a binding left out",
            scale(gpu).bind("x", &x).u32("length", 3).f32("factor", 2.0).threads(3),
            &["`y`", "not bound"],
        ),
        own(
            "a parameter left out",
            scale(gpu).bind("x", &x).bind("y", &y).u32("length", 3).threads(3),
            &["`factor`", "not set"],
        ),
        own("an unknown binding", scale(gpu).bind("z", &x).threads(3), &["no buffer `z`"]),
        own("a parameter misspelt", scale(gpu).u32("lenght", 3).threads(3), &["no parameter `lenght`"]),
        own("a parameter of another type", scale(gpu).u32("factor", 3).threads(3), &["`factor`", "F32"]),
        own("a parameter that does not fit", scale(gpu).u32("length", 1 << 32).threads(3), &["`length`", "32 bits"]),
        row(
            "a copy between parts of different sizes",
            gpu.copy(&View { size: 8, ..x.view() }, &View { size: 4, ..y.view() }),
            "Validation",
            &["copy"],
        ),
        row(
            "an entry that the shader has not",
            gpu.launch(SCALE, "rescale", &defines! {}),
            "Shader",
            &["scale.wgsl", "rescale", "[\"scale\"]"],
        ),
        row(
            "more groups than the adapter allows",
            whole().grid([1 << 20, 1, 1]),
            "Limit",
            &["scale/scale", "max_compute_workgroups_per_dimension"],
        ),
    ]
}

const GREEDY: Source = Source {
    name: "greedy",
    text: "#define WORDS 16
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
var<workgroup> tile: array<f32, ${WORDS}>;
@compute @workgroup_size(64)
fn fill(@builtin(local_invocation_index) lane: u32) {
    tile[lane % 16u] = f32(lane);
    workgroupBarrier();
    y[lane] = tile[0];
}",
};

const WIDE: Source = Source {
    name: "wide",
    text: "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(${WIDTH})
fn fill(@builtin(local_invocation_index) lane: u32) { y[lane] = 1.0; }",
};

/// Kernels beyond the adapter's limits, refused before the driver sees them.
fn limits(gpu: &Gpu) -> Vec<Row> {
    let words = gpu.profile().max_workgroup_bytes / 4 + 1;
    let width = gpu.profile().max_invocations + 1;
    let (bytes, wide) = ((words * 4).to_string(), width.to_string());
    vec![
        row(
            "more workgroup memory than the adapter has",
            gpu.launch(GREEDY, "fill", &defines! { WORDS = words }),
            "Limit",
            &["greedy/fill", "workgroup memory", "max_compute_workgroup_storage_size", &bytes],
        ),
        row(
            "a wider workgroup than the adapter has",
            gpu.launch(WIDE, "fill", &defines! { WIDTH = width }),
            "Limit",
            &["wide/fill", "invocations", &wide],
        ),
    ]
}

/// Lines are those of the file, not of the text after imports and unrolling.
fn shaders(gpu: &Gpu) -> Vec<Row> {
    let own = |name: &'static str, text: &'static str, says: &[&str]| {
        let tried = gpu.launch(Source { name, text }, "main", &defines! {});
        row(format!("a shader with a fault in its {name}"), tried, "Shader", &[&[name], says].concat())
    };
    vec![
        own(
            "syntax",
            "#import shared/index
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1)
fn main() {
#for i in 0..3
    y[${i}] = 1.0;
#endfor
    let broken = ;
}",
            &["syntax.wgsl, line 8: ", "let broken"],
        ),
        own(
            "types",
            "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1)
fn main() {
    y[0] = 1u;
}",
            &["types.wgsl, line 4: "],
        ),
        own("directive", "\n#if UNKNOWN\n#endif\n", &["line 2: ", "UNKNOWN"]),
        own("import", "#import shared/nothing\n", &["line 1: ", "shared/nothing"]),
    ]
}

/// A network of a resnet8 and a linear head, with so many dilated stages.
fn dilated(stages: usize) -> NetworkSpec {
    let plain = spec("resnet8", 0.25, &[]);
    NetworkSpec {
        trunk: TrunkSpec { dilate: stages, ..plain.trunk },
        channels: 3,
        heads: vec![HeadSpec::linear("fc", 3)],
        ..plain
    }
}

fn networks(gpu: &Gpu) -> Vec<Row> {
    let network = Network::new(gpu, dilated(0), 0).unwrap();
    let forward = |mut tape: Tape, mode, shape: &[usize]| {
        let x = Tensor::from_f32(gpu, &vec![0.0; shape.iter().product()], shape).unwrap();
        network.forward(gpu, &mut tape, mode, &Var::constant(x)).map(drop)
    };
    vec![
        row(
            "training on a batch of one",
            forward(Tape::new(), Mode::Train, &[1, 8, 8, 3]),
            "Shape",
            &["at least 2 samples"],
        ),
        row("images of other channels", forward(Tape::off(), Mode::Eval, &[2, 8, 8, 1]), "Shape", &["3 channels"]),
        row("more dilated stages than halve", Network::new(gpu, dilated(3), 0), "Invalid", &["resnet8 has 3 stages"]),
    ]
}

/// Files of networks that are damaged, or hold another network than they say.
fn stored(gpu: &Gpu) -> Vec<Row> {
    let folder = tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.safetensors"), folder.path().join("bad.safetensors"));
    let network = Network::new(gpu, spec("resnet8", 0.25, &[]), 1).unwrap();
    let wide = Network::new(gpu, spec("resnet8", 0.5, &[]), 1).unwrap();
    checkpoint::save(gpu, &good, &network, &card(&network)).unwrap();
    let bytes = fs::read(&good).unwrap();
    let own = |name: &str, write: &dyn Fn(&Path), says: &[&str]| {
        write(&bad);
        row(name, checkpoint::load(gpu, &bad), "Checkpoint", &[&[bad.to_str().unwrap()], says].concat())
    };
    vec![
        own(
            "stored: a tensor is missing",
            &|bad| rewrite(&good, bad, |name, shape| (name != "layer2.0.bn1.running_var").then_some(shape)),
            &["layer2.0.bn1.running_var"],
        ),
        own(
            "stored: a tensor of another shape",
            &|bad| {
                rewrite(&good, bad, |name, shape| Some(if name == "conv1.weight" { vec![4, 9, 1, 1] } else { shape }))
            },
            &["conv1.weight", "[4, 9, 1, 1]", "[4, 1, 3, 3]"],
        ),
        own(
            "stored: a bit has changed",
            &|bad| fs::write(bad, [&bytes[..bytes.len() - 1], &[bytes[bytes.len() - 1] ^ 4]].concat()).unwrap(),
            &["is damaged", "hash"],
        ),
        own("stored: truncated", &|bad| fs::write(bad, &bytes[..bytes.len() - 100]).unwrap(), &["safetensors"]),
        own("stored: a page in its place", &|bad| fs::write(bad, b"<html>").unwrap(), &["safetensors"]),
        own(
            "stored: a wider network than its card says",
            &|bad| checkpoint::save(gpu, bad, &wide, &card(&network)).unwrap(),
            &["expected"],
        ),
        own(
            "stored: more dilated stages than there are",
            &|bad| checkpoint::save(gpu, bad, &network, &ModelCard { dilate: 7, ..card(&network) }).unwrap(),
            &["7 cannot be dilated"],
        ),
    ]
}

/// Losses whose parts do not fit each other.
fn losses(gpu: &Gpu) -> Vec<Row> {
    let made = |shape: &[usize]| Tensor::from_f32(gpu, &vec![0.5; shape.iter().product()], shape).unwrap();
    let [m, square, rho, short, shares] = [&[4, 3][..], &[4, 4], &[3], &[4, 2], &[4]].map(made);
    let labels = Tensor::from_u32(gpu, &[0; 4], &[4]).unwrap();
    let [grad, narrow] = [&m, &short].map(|like| GradTarget::fresh(Tensor::empty(gpu, like.shape()).unwrap()));
    let added = GradTarget { tensor: Tensor::empty(gpu, &[4, 4]).unwrap(), accumulate: true };
    let out = |grad, row_loss| LossOut { weight: 1.0, grad, row_loss };
    let entropy = |out| cross_entropy(gpu, &m, &labels, 0.0, out);
    let what = Contrast { anchors: &m, positives: &m, scores: &square, labels: &labels, classes: &shares, tau: 0.1 };
    vec![
        row("too few shares", entropy(out(None, &rho)), "Shape", &["cross_entropy: row_loss is [3], expected [4]"]),
        row("a gradient of another shape", entropy(out(Some(&narrow), &shares)), "Shape", &["the gradient is [4, 2]"]),
        row("pkt, added", pkt(gpu, &square, &square, out(Some(&added), &shares)), "Invalid", &["only be written"]),
        row("vid, one gradient", vid(gpu, (&m, &m, &rho), out(Some(&grad), &shares), None), "Invalid", &["together"]),
        row("contrast, one gradient", contrast(gpu, what, out(Some(&grad), &shares), None), "Invalid", &["together"]),
        row("no detector's output", fcos::teach(gpu, &m, 0.5), "Shape", &["[4, 3] is no detector's output"]),
        row("no targets", fcos::norms(gpu, &m), "Shape", &["targets is [4, 3]"]),
    ]
}

/// None of what was refused did any harm, and what is just within the limits goes through.
fn as_good_as_before(gpu: &Gpu) {
    let x = Tensor::from_f32(gpu, &[1.0, -2.0], &[2]).unwrap();
    assert_eq!(elementwise::relu(gpu, &x).unwrap().to_f32(gpu).unwrap(), [1.0, 0.0]);
    let (x, y) = vectors(gpu);
    scale(gpu).bind("x", &x).bind("y", &y).u32("length", 3).f32("factor", 2.0).threads(3).unwrap();
    assert_eq!(y.to_f32(gpu).unwrap(), [2.0, 4.0, 6.0]);
    gpu.launch(GREEDY, "fill", &defines! {}).unwrap();
    let y = Tensor::empty(gpu, &[64]).unwrap();
    gpu.launch(WIDE, "fill", &defines! { WIDTH = 64 }).unwrap().bind("y", &y).threads(64).unwrap();
    assert_eq!(y.to_f32(gpu).unwrap(), [1.0; 64]);
    assert!(Network::new(gpu, dilated(2), 0).is_ok());
}
