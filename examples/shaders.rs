//! Writes every kernel in every form as wgpu hands them to a driver, for compilers that are tried without a GPU.
//!
//! `cargo run --release --example shaders -- FOLDER spirv` for Vulkan (`./x gpus`), `… hlsl` for Direct3D 12 (`./x dxc`). The folder gets a
//! file for each pipeline and `index.tsv`: file, kernel and defines, entry point, binding of the parameters (−1: none), bindings of the
//! storage buffers, bytes of workgroup memory, and for HLSL the least shader model that has what the kernel uses.

use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use limbeck::gpu::{Module, parse};
use limbeck::kernels::TABLE;
use naga::back::hlsl::ShaderModel;
use naga::back::{hlsl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

const USAGE: &str = "usage: shaders FOLDER spirv|hlsl";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, form] = arguments.as_slice() else { return Err(USAGE.into()) };
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder)?;
    let (mut index, mut seen) = (String::new(), HashSet::new());
    for permutation in TABLE.iter().flat_map(|kernel| (kernel.permutations)()) {
        let module = parse(permutation.source, &permutation.defines)?;
        let defines: String = permutation.defines.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        for entry in module.entries() {
            let (bytes, name, model) = match form.as_str() {
                "spirv" => (spirv(&module, &entry)?, entry.clone(), ""),
                "hlsl" => match least_model(&module) {
                    Some(model) => {
                        let (text, name) = hlsl(&module, &entry, model)?;
                        (text, name, model.to_str())
                    }
                    None => continue,
                },
                _ => return Err(USAGE.into()),
            };
            // Defines that an entry point does not look at give it the same text again.
            if !seen.insert(bytes.clone()) {
                continue;
            }
            let interface = module.interface(&entry)?;
            let file = format!("{:04}.{form}", seen.len());
            std::fs::write(folder.join(&file), bytes)?;
            let params = interface.params.as_ref().map_or(-1, |(binding, _)| i64::from(*binding));
            let buffers: Vec<String> = interface.bindings.iter().map(|b| b.index.to_string()).collect();
            let (buffers, memory) = (buffers.join(","), interface.workgroup_bytes);
            let kernel = permutation.source.name;
            writeln!(index, "{file}\t{kernel}{defines}\t{name}\t{params}\t{buffers}\t{memory}\t{model}")?;
        }
    }
    std::fs::write(folder.join("index.tsv"), index)?;
    println!("{} pipelines", seen.len());
    Ok(())
}

fn spirv(module: &Module, entry: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pipeline = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: entry.into() };
    let words = spv::write_vec(&module.naga, &module.info, &spirv_options(), Some(&pipeline))?;
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// As wgpu 30 writes trusted shaders whose workgroup memory it leaves as it is, for Vulkan 1.3.
fn spirv_options() -> spv::Options<'static> {
    let unchecked = BoundsCheckPolicy::Unchecked;
    spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::empty(),
        capabilities: None,
        bounds_check_policies: BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        ..spv::Options::default()
    }
}

/// The least shader model in which wgpu 30 offers what the module uses; `None` where none does.
fn least_model(module: &Module) -> Option<ShaderModel> {
    let (waves, halves) = (Capabilities::SUBGROUP.union(Capabilities::SHADER_INT64), Capabilities::SHADER_FLOAT16);
    let models = [
        (Capabilities::empty(), ShaderModel::V5_1),
        (waves, ShaderModel::V6_0),
        (waves.union(halves), ShaderModel::V6_2),
    ];
    let valid = |with| Validator::new(ValidationFlags::all(), with).validate(&module.naga).is_ok();
    models.into_iter().find(|(with, _)| valid(*with)).map(|(_, model)| model)
}

/// As wgpu 30 writes trusted shaders whose workgroup memory it leaves as it is, but for the numbers of registers; and what the entry point
/// is called there, for HLSL has functions of its own by some names.
fn hlsl(module: &Module, entry: &str, model: ShaderModel) -> Result<(Vec<u8>, String), Box<dyn Error>> {
    let options = hlsl::Options {
        shader_model: model,
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: false,
        restrict_indexing: false,
        force_loop_bounding: false,
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((naga::ShaderStage::Compute, entry.into())) };
    let mut text = String::new();
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(&module.naga, &module.info, None)?;
    let name = written.entry_point_names.into_iter().next().ok_or("no entry point was written")??;
    Ok((text.into_bytes(), name))
}
