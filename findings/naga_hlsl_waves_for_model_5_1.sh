#!/bin/sh
# naga's HLSL writer writes wave operations and 64-bit integers for shader model 5.1, which has neither, without an error.
#
# Guess:     hlsl::Options name the shader model that is written for; the default is 5.1, that of Microsoft's older compiler.
#            WaveActiveSum and uint64_t begin with model 6.0, but are written for 5.1 as well. That the writer succeeds therefore does not
#            say that a shader can be compiled for the model that was asked for.
# Versions:  naga 30.0.1, Rust 1.90 or later, Linux x86_64.
# Behaviour: as guessed: the text for 5.1 is written without an error, and is that for 6.0 word for word.
# Output seen:
#   default: V5_1
#   5.1: const uint _e4 = WaveActiveSum(_e3);
#   5.1: x.Store(i*4, asuint(uint(((uint64_t(_e4) << 3u) >> 2u))));
#   the same for 6.0: true
#
# Usage: sh naga_hlsl_waves_for_model_5_1.sh     (builds naga in a temporary folder; removed afterwards)
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
use naga::back::hlsl;

const TEXT: &str = "
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) i: u32) {
    let s = subgroupAdd(x[i]);
    x[i] = u32((u64(s) << 3u) >> 2u);
}";

fn write(shader_model: hlsl::ShaderModel) -> Result<String, String> {
    let module = naga::front::wgsl::parse_str(TEXT).unwrap();
    let info =
        naga::valid::Validator::new(Default::default(), naga::valid::Capabilities::all()).validate(&module).unwrap();
    let (mut text, options) = (String::new(), hlsl::Options { shader_model, ..hlsl::Options::default() });
    let written = hlsl::Writer::new(&mut text, &options, &Default::default()).write(&module, &info, None);
    written.map(|_| text).map_err(|e| e.to_string())
}

fn main() {
    println!("default: {:?}", hlsl::Options::default().shader_model);
    let (old, new) = (write(hlsl::ShaderModel::V5_1), write(hlsl::ShaderModel::V6_0));
    match &old {
        Ok(text) => text.lines().filter(|l| l.contains("Wave") || l.contains("uint64_t")).for_each(|l| println!("5.1: {}", l.trim())),
        Err(error) => println!("5.1: {error}"),
    }
    println!("the same for 6.0: {}", old == new);
    let as_described = old == new && old.is_ok_and(|text| text.contains("WaveActiveSum") && text.contains("uint64_t"));
    std::process::exit(if as_described { 0 } else { 1 });
}
RUST
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2
cargo run --quiet --manifest-path "$folder/Cargo.toml"
