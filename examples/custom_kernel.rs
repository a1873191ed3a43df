//! An operation of your own: SiLU (Elfwing et al. 2017) in WGSL with its gradient, on the tape beside limbeck's.
//!
//! `cargo run --release --example custom_kernel`

use limbeck::gpu::{Defines, Gpu, Source};
use limbeck::kernels::{case::values, elementwise};
use limbeck::tape::{Tape, Var};
use limbeck::tensor::{GradTarget, Tensor};
use limbeck::{Error, Result};

/// Bindings and parameters are read from this text and bound by name; an entry point has those that it uses.
const SILU: &str = "
#import shared/index
struct Params { length: u32, accumulate: u32 }
struct Here {
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// y = x σ(x)
@compute @workgroup_size(64) fn silu(here: Here) {
    let i = folded_index(here.wid, here.groups, here.lane, 64u);
    if i < p.length { out[i] = x[i] / (1.0 + exp(-x[i])); }
}

// dx (+)= dy · σ(x) (1 + x (1 − σ(x)))
@compute @workgroup_size(64) fn silu_grad(here: Here) {
    let i = folded_index(here.wid, here.groups, here.lane, 64u);
    if i >= p.length { return; }
    let s = 1.0 / (1.0 + exp(-x[i]));
    out[i] = select(0.0, out[i], p.accumulate != 0u) + dy[i] * s * (1.0 + x[i] * (1.0 - s));
}";

/// Records one dispatch; nothing runs until a value is asked for.
fn launch(gpu: &Gpu, entry: &'static str, x: &Tensor, dy: Option<&Tensor>, out: &GradTarget) -> Result<()> {
    let launch = gpu.launch(Source { name: "silu", text: SILU }, entry, &Defines::new())?;
    let launch = launch.u32("length", x.len()).u32("accumulate", out.accumulate.into());
    let launch = launch.bind("x", x).bind("out", &out.tensor);
    dy.into_iter().fold(launch, |launch, dy| launch.bind("dy", dy)).threads(x.len())
}

/// The operation: run the kernel, then push the output with what turns its gradient into the input's.
fn silu(gpu: &Gpu, tape: &mut Tape, x: &Var) -> Result<Var> {
    let y = Tensor::empty(gpu, x.value().shape())?;
    launch(gpu, "silu", x.value(), None, &GradTarget::fresh(y.clone()))?;
    let (input, slot) = (x.value().clone(), x.slot());
    Ok(tape.push(y, move |gpu, dy, grads| match grads.target(gpu, &slot)? {
        Some(dx) => launch(gpu, "silu_grad", &input, Some(dy), &dx),
        None => Ok(()),
    }))
}

fn main() -> Result<()> {
    let (gpu, x) = (Gpu::open()?, values(1, 1000));
    // L = Σ silu(silu(x)): two nodes in a row, and the gradient that comes in from above is 1.
    let forward = |tape: &mut Tape, shift: f32| {
        let moved: Vec<f32> = x.iter().map(|x| x + shift).collect();
        let leaf = tape.leaf(Tensor::from_f32(&gpu, &moved, &[x.len()])?);
        let inner = silu(&gpu, tape, &leaf)?;
        Ok::<_, Error>((silu(&gpu, tape, &inner)?, leaf))
    };
    let mut tape = Tape::new();
    let (y, leaf) = forward(&mut tape, 0.0)?;
    tape.target(&gpu, &y)?.map_or(Ok(()), |dy| elementwise::fill(&gpu, &dy.tensor, 1.0))?;
    let grads = tape.backward(&gpu)?;
    let dx = grads.of(&leaf).map_or(Ok(Vec::new()), |dx| dx.to_f32(&gpu))?;
    // The same by central differences of the forward pass.
    let (above, below) = (forward(&mut Tape::off(), 0.01)?.0, forward(&mut Tape::off(), -0.01)?.0);
    let differences = above.value().to_f32(&gpu)?.into_iter().zip(below.value().to_f32(&gpu)?);
    let worst = dx.iter().zip(differences).map(|(dx, (a, b))| (dx - (a - b) / 0.02).abs()).fold(0.0, f32::max);
    println!("{} gradients of silu(silu(x)) by WGSL and by differences: at most {worst:.1e} apart", dx.len());
    if dx.len() == x.len() && worst < 1e-3 { Ok(()) } else { Err(Error::Invalid("the gradient is wrong".into())) }
}
