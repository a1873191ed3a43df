#!/bin/sh
# naga writes the `!=` of floats for SPIR-V as a comparison that is false for NaN, and for Metal and Direct3D as one that is true.
#
# Guess:     `x != x` is how shaders ask for NaN. IEEE 754, MSL and HLSL have it true for NaN; SPIR-V has both forms. naga's SPIR-V writer
#            takes OpFOrdNotEqual (182), which is false where an operand is NaN, rather than OpFUnordNotEqual (183): one WGSL text asks
#            different things of Vulkan than of the others. WGSL allows both, since implementations may take it that there is no NaN.
# Versions:  naga 30.0.1, Rust 1.90 or later, Linux x86_64.
# Behaviour: as guessed. On Mesa's lavapipe and SwiftShader such a test is false for NaN.
# Output seen:
#   SPIR-V: opcode 182
#   MSL:    x[i] = (v != v) ? 1.0 : 0.0;
#   HLSL:   x.Store(i*4, asuint(((v != v) ? 1.0 : 0.0)));
#
# Usage: sh naga_not_equal_of_nan.sh     (builds naga in a temporary folder; removed afterwards)
# Exit:  0: as described. 1: the behaviour has changed. 2: naga could not be built.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "writes"
version = "0.0.0"
edition = "2021"

[dependencies]
naga = { version = "=30.0.1", features = ["wgsl-in", "spv-out", "msl-out", "hlsl-out"] }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use naga::back::{hlsl, msl, spv};

const TEXT: &str = "
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) i: u32) {
    let v = x[i];
    x[i] = select(0.0, 1.0, v != v);
}";

fn main() {
    let module = naga::front::wgsl::parse_str(TEXT).unwrap();
    let info = naga::valid::Validator::new(Default::default(), Default::default()).validate(&module).unwrap();
    let words = spv::write_vec(&module, &info, &spv::Options::default(), None).unwrap();
    let (mut at, mut found) = (5, Vec::new());
    while at < words.len() {
        // The comparisons of floats are 180 to 191.
        found.extend(Some(words[at] & 0xffff).filter(|op| (180..=191).contains(op)));
        at += (words[at] >> 16) as usize;
    }
    let (metal, _) = msl::write_string(&module, &info, &Default::default(), &Default::default()).unwrap();
    let (mut direct3d, options) = (String::new(), hlsl::Options::default());
    hlsl::Writer::new(&mut direct3d, &options, &Default::default()).write(&module, &info, None).unwrap();
    found.iter().for_each(|op| println!("SPIR-V: opcode {op}"));
    let lines = |text: &str| text.lines().filter(|l| l.contains("v != v")).map(|l| l.trim().to_string()).collect::<Vec<_>>();
    lines(&metal).iter().for_each(|l| println!("MSL:    {l}"));
    lines(&direct3d).iter().for_each(|l| println!("HLSL:   {l}"));
    let as_described = found == [182] && lines(&metal).len() == 1 && lines(&direct3d).len() == 1;
    std::process::exit(if as_described { 0 } else { 1 });
}
RUST
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2
cargo run --quiet --manifest-path "$folder/Cargo.toml"
