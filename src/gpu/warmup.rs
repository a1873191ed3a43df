//! Kernels compiled side by side on Mesa's software driver.
//!
//! llvmpipe translates a kernel for the processor where it is first dispatched, one after the other on the thread of the device's
//! queue, while the other processors wait: the greater part of the time to a first step. So before a kernel is built, it is
//! dispatched, over no workgroups, on a spare device, of which each building thread has one. What that leaves in Mesa's cache on
//! disk, the device that computes finds there. Where that cache is not to be seen, there are no spares.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::adapter::Profile;
use super::lock::lock;
use super::view::SLOT;
use super::wait::poll;

/// Bytes of a buffer that stands for whatever a kernel works on: a few of its values at least, and a dispatch's parameters.
const STAND_IN: u64 = 16 * SLOT;

/// A device that only compiles.
struct Spare {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// One for each binding of the kernels so far.
    buffers: Vec<wgpu::Buffer>,
}

/// The spare devices of one adapter.
pub(super) struct WarmupDevices {
    adapter: wgpu::Adapter,
    features: wgpu::Features,
    free: Mutex<Vec<Spare>>,
}

impl WarmupDevices {
    /// Spares with `features` beside a device of `adapter`; `None` where they would be of no use.
    pub fn new(adapter: &wgpu::Adapter, profile: &Profile, features: wgpu::Features) -> Option<Arc<Self>> {
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let alone = std::thread::available_parallelism().map_or(1, usize::from) < 2;
        let llvmpipe = profile.backend == "vulkan" && profile.name.starts_with("llvmpipe");
        if alone || !llvmpipe || profile.matrix.is_some() || !keeps(variable, |path| path.is_dir()) {
            return None;
        }
        Some(Arc::new(WarmupDevices { adapter: adapter.clone(), features, free: Mutex::default() }))
    }

    /// Compiles what `build` makes for a device, whose only bind group has `entries`. Whatever goes wrong is passed over: the
    /// device that computes says so.
    pub fn compile(
        &self,
        entries: &[wgpu::BindGroupLayoutEntry],
        build: impl FnOnce(&wgpu::Device, &wgpu::BindGroupLayout) -> wgpu::ComputePipeline,
    ) {
        let free = lock(&self.free).pop();
        let Some(mut spare) = free.or_else(|| self.open()) else { return };
        spare.compile(entries, build);
        lock(&self.free).push(spare);
    }

    fn open(&self) -> Option<Spare> {
        let request = self.adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("limbeck, compiling"),
            required_features: self.features,
            required_limits: self.adapter.limits(),
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(request).ok()?;
        device.on_uncaptured_error(Arc::new(|_| ()));
        Some(Spare { device, queue, buffers: Vec::new() })
    }
}

impl Spare {
    fn compile(
        &mut self,
        entries: &[wgpu::BindGroupLayoutEntry],
        build: impl FnOnce(&wgpu::Device, &wgpu::BindGroupLayout) -> wgpu::ComputePipeline,
    ) {
        let device = &self.device;
        while self.buffers.len() < entries.len() {
            self.buffers.push(device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: STAND_IN,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::UNIFORM,
                mapped_at_creation: false,
            }));
        }
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries });
        let pipeline = build(device, &layout);
        let dynamic = |entry: &wgpu::BindGroupLayoutEntry| {
            matches!(entry.ty, wgpu::BindingType::Buffer { has_dynamic_offset: true, .. })
        };
        let bind = |(entry, buffer): (&wgpu::BindGroupLayoutEntry, _)| wgpu::BindGroupEntry {
            binding: entry.binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: 0,
                size: wgpu::BufferSize::new(if dynamic(entry) { SLOT } else { STAND_IN }),
            }),
        };
        let bound: Vec<_> = entries.iter().zip(&self.buffers).map(bind).collect();
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &bound };
        let group = device.create_bind_group(&descriptor);
        let offsets: &[u32] = if entries.iter().any(dynamic) { &[0] } else { &[] };
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, offsets);
        pass.dispatch_workgroups(0, 0, 0);
        drop(pass);
        self.queue.submit([encoder.finish()]);
        // Whoever is told that a pipeline is ready finds it compiled.
        let _ = poll(device, || ());
    }
}

/// Whether Mesa keeps what it compiles: in a directory that it makes where it is opened, unless it is told not to.
fn keeps(variable: impl Fn(&str) -> Option<PathBuf>, exists: impl Fn(&Path) -> bool) -> bool {
    let set = |name| variable(name).is_some_and(|v| ["1", "true", "yes", "y"].iter().any(|yes| v == Path::new(yes)));
    let own = variable("MESA_SHADER_CACHE_DIR").or_else(|| variable("MESA_GLSL_CACHE_DIR"));
    let user = || variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    let root = own.or_else(user);
    let kept = |root: PathBuf| ["mesa_shader_cache", "mesa_shader_cache_db"].iter().any(|dir| exists(&root.join(dir)));
    !set("MESA_SHADER_CACHE_DISABLE") && !set("MESA_GLSL_CACHE_DISABLE") && root.is_some_and(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_looked_for_where_mesa_has_it() {
        let keeps = |pairs: &'static [(&str, &str)], there: &'static str| {
            let variable = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v));
            keeps(variable, |path| path == Path::new(there))
        };
        assert!(keeps(&[("HOME", "/home/a")], "/home/a/.cache/mesa_shader_cache"));
        assert!(keeps(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "/c")], "/c/mesa_shader_cache_db"));
        assert!(!keeps(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "/c")], "/home/a/.cache/mesa_shader_cache"));
        assert!(keeps(&[("HOME", "/home/a"), ("MESA_SHADER_CACHE_DIR", "/m")], "/m/mesa_shader_cache"));
        assert!(!keeps(&[("HOME", "/a"), ("MESA_SHADER_CACHE_DISABLE", "true")], "/a/.cache/mesa_shader_cache"));
        assert!(keeps(&[("HOME", "/a"), ("MESA_SHADER_CACHE_DISABLE", "0")], "/a/.cache/mesa_shader_cache"));
        assert!(!keeps(&[], "/.cache/mesa_shader_cache"));
    }
}
