//! Pipelines, compiled when first used and kept.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use super::adapter::Profile;
use super::builders::Builders;
use super::compiling::Compiling;
use super::expr::Defines;
use super::lock::lock;
use super::pipeline_store::Store;
use super::reflect::{self, Interface};
use super::warmup::WarmupDevices;
use super::wgsl::Source;
use crate::{Error, Result};

/// An entry point of one permutation of a shader.
#[derive(Debug)]
pub(super) struct Kernel {
    pub id: u64,
    pub name: String,
    pub interface: Interface,
    pub layout: wgpu::BindGroupLayout,
    /// Filled by the thread that builds it; `None` if that could not be done.
    pipeline: Arc<OnceLock<Option<wgpu::ComputePipeline>>>,
}

impl Kernel {
    /// The pipeline; waits for it while it is being built.
    pub(super) fn pipeline(&self) -> Result<&wgpu::ComputePipeline> {
        let failed = || Error::Validation(format!("kernel {}: its pipeline could not be built", self.name));
        self.pipeline.wait().as_ref().ok_or_else(failed)
    }
}

/// Owes somebody a pipeline: says that there is none if it is dropped without one, so that nobody waits for ever.
struct Promise(Arc<OnceLock<Option<wgpu::ComputePipeline>>>);

impl Drop for Promise {
    fn drop(&mut self) {
        let _ = self.0.set(None);
    }
}

/// Name and text of the source, entry, defines. An embedder's shader may have the name of one of ours; where the text lies
/// tells them apart without hashing it at every launch.
type Key = (&'static str, (usize, usize), &'static str, Defines);

/// Every kernel of a device, and what builds them. Dropped, it keeps for the next run what the driver compiled.
pub(super) struct Cache {
    kernels: Mutex<HashMap<Key, Arc<Kernel>>>,
    builders: Builders,
    store: Option<Store>,
    spares: Option<Arc<WarmupDevices>>,
    compiling: Compiling,
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.builders.wait();
        if let Some(store) = &self.store {
            store.save();
        }
    }
}

impl Cache {
    pub(super) fn new(store: Option<Store>, spares: Option<Arc<WarmupDevices>>, compiling: Compiling) -> Self {
        Cache { kernels: Mutex::default(), builders: Builders::default(), store, spares, compiling }
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.kernels).len()
    }

    /// The kernel `entry` of `source` with `defines`. If it is new, it is parsed and checked now, and built meanwhile.
    pub(super) fn get(
        &self,
        device: &wgpu::Device,
        profile: &Profile,
        checked: bool,
        source: Source,
        entry: &'static str,
        defines: &Defines,
    ) -> Result<Arc<Kernel>> {
        let text = (source.text.as_ptr() as usize, source.text.len());
        let key = (source.name, text, entry, defines.clone());
        let mut kernels = lock(&self.kernels);
        if let Some(kernel) = kernels.get(&key) {
            return Ok(kernel.clone());
        }
        let id = kernels.len() as u64;
        let kernel = Arc::new(self.compile(device, profile, checked, source, entry, defines, id)?);
        kernels.insert(key, kernel.clone());
        Ok(kernel)
    }

    fn compile(
        &self,
        device: &wgpu::Device,
        profile: &Profile,
        checked: bool,
        source: Source,
        entry: &'static str,
        defines: &Defines,
        id: u64,
    ) -> Result<Kernel> {
        let module = reflect::parse(source, defines)?;
        let interface = module.interface(entry)?;
        let name = format!("{}/{entry}", source.name);
        check_limits(&name, &interface, profile)?;
        let entries: Vec<_> = layout_entries(&interface);
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&name), entries: &entries });
        let kernel = Kernel { id, name: name.clone(), interface, layout: layout.clone(), pipeline: Arc::default() };
        let (device, promise) = (device.clone(), Promise(kernel.pipeline.clone()));
        let cache = self.store.as_ref().map(|s| s.cache.clone());
        let spares = self.spares.clone();
        let asked = self.compiling.ask(&name);
        self.builders.run(move || {
            asked.begin();
            if let Some(spares) = spares {
                let module = module.naga.clone();
                spares.compile(&entries, |device, layout| build(device, &name, module, entry, layout, checked, None));
            }
            let built = build(&device, &name, module.naga, entry, &layout, checked, cache.as_ref());
            let _ = promise.0.set(Some(built));
        });
        Ok(kernel)
    }
}

/// The slow part: the driver's form of the shader, and the driver's work on it.
fn build(
    device: &wgpu::Device,
    name: &str,
    module: naga::Module,
    entry: &str,
    layout: &wgpu::BindGroupLayout,
    checked: bool,
    cache: Option<&wgpu::PipelineCache>,
) -> wgpu::ComputePipeline {
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(name),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Naga(Cow::Owned(module)) };
    let shader = if checked {
        device.create_shader_module(descriptor)
    } else {
        // SAFETY: every kernel bounds its own accesses by the sizes in its parameters; the test suite runs all of them
        // in checked mode with outputs poisoned, and each loop has a finite bound.
        unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
    };
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout: Some(&pipeline_layout),
        module: &shader,
        entry_point: Some(entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache,
    })
}

fn layout_entries(interface: &Interface) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    };
    let storage =
        |b: &reflect::Binding| entry(b.index, wgpu::BufferBindingType::Storage { read_only: b.read_only }, false);
    let params = interface.params.iter().map(|(index, _)| entry(*index, wgpu::BufferBindingType::Uniform, true));
    params.chain(interface.bindings.iter().map(storage)).collect()
}

fn check_limits(name: &str, interface: &Interface, profile: &Profile) -> Result<()> {
    let invocations: u32 = interface.workgroup_size.iter().product();
    let checks = [
        (
            "storage buffers",
            interface.bindings.len() as u32,
            profile.max_storage_buffers,
            "max_storage_buffers_per_shader_stage",
        ),
        (
            "bytes of workgroup memory",
            interface.workgroup_bytes,
            profile.max_workgroup_bytes,
            "max_compute_workgroup_storage_size",
        ),
        ("invocations a group", invocations, profile.max_invocations, "max_compute_invocations_per_workgroup"),
        ("bytes of parameters", interface.params_size, super::view::SLOT as u32, "parameter slot"),
    ];
    for (what, needed, limit, limit_name) in checks {
        if needed > limit {
            return Err(Error::Limit {
                what: format!("kernel {name} ({what})"),
                needed: needed.into(),
                limit: limit.into(),
                name: limit_name,
                hint: "Use a smaller variant of the kernel",
            });
        }
    }
    Ok(())
}
