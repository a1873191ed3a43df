//! Writes every kernel in every form as SPIR-V, as wgpu hands them to a Vulkan driver: what `./x gpus` has compiled for GPUs that are not there.
//!
//! `cargo run --release --example spirv -- FOLDER`. The folder gets a file for each pipeline and `index.tsv`: file, kernel and defines,
//! entry point, binding of the parameters (−1: none), bindings of the storage buffers, bytes of workgroup memory.

use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use limbeck::gpu::parse;
use limbeck::kernels::TABLE;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: spirv FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let (mut index, mut seen) = (String::new(), HashSet::new());
    for permutation in TABLE.iter().flat_map(|kernel| (kernel.permutations)()) {
        let module = parse(permutation.source, &permutation.defines)?;
        let defines: String = permutation.defines.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        for entry in module.entries() {
            let words = spv::write_vec(&module.naga, &module.info, &options(), Some(&compute(&entry)))?;
            // Defines that an entry point does not look at give it the same text again.
            if !seen.insert(words.clone()) {
                continue;
            }
            let interface = module.interface(&entry)?;
            let file = format!("{:04}.spv", seen.len());
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            std::fs::write(folder.join(&file), bytes)?;
            let params = interface.params.as_ref().map_or(-1, |(binding, _)| i64::from(*binding));
            let buffers: Vec<String> = interface.bindings.iter().map(|b| b.index.to_string()).collect();
            let (buffers, memory) = (buffers.join(","), interface.workgroup_bytes);
            writeln!(index, "{file}\t{}{defines}\t{entry}\t{params}\t{buffers}\t{memory}", permutation.source.name)?;
        }
    }
    std::fs::write(folder.join("index.tsv"), index)?;
    println!("{} pipelines", seen.len());
    Ok(())
}

fn compute(entry: &str) -> spv::PipelineOptions {
    spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: entry.into() }
}

/// As wgpu 30 writes trusted shaders whose workgroup memory it leaves as it is, for Vulkan 1.3.
fn options() -> spv::Options<'static> {
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
