//! Opening a device: its adapter, its features, the buffers it starts with.

use std::sync::{Arc, Mutex};

use super::adapter::{self, Feature, Profile};
use super::device::{Fault, Gpu, Options, Parts};
use super::lock::lock;
use super::matrix;
use super::pipeline::Cache;
use super::pipeline_store::Store;
use super::record::SLOTS;
use super::tuned_variants::TunedVariants;
use super::view::{NAN_BYTES, SLOT};
use super::warmup::WarmupDevices;
use crate::{Error, Result};

impl Gpu {
    /// Opens the best adapter with [`Options::from_env`].
    pub fn open() -> Result<Gpu> {
        Gpu::new(Options::from_env())
    }

    /// Opens a device.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with what to install, or [`Error::Device`] where the driver refuses.
    pub fn new(options: Options) -> Result<Gpu> {
        let name = options.adapter.clone().or_else(|| std::env::var("WGPU_ADAPTER_NAME").ok());
        let (adapter, mut profile) = adapter::choose(name.as_deref())?;
        for feature in &options.without {
            profile.leave_out(*feature);
        }
        if let Some(matrix) = options.matrices.then(|| adapter::matrices(&adapter, &profile)).flatten() {
            let opened = Gpu::with(&adapter, Profile { matrix: Some(matrix), ..profile.clone() }, &options);
            // A driver that computes wrong or fails may have lost this device: another is opened, without.
            if let Some(gpu) = opened.ok().filter(|gpu| matrix::agrees(gpu, matrix).unwrap_or(false)) {
                return Ok(gpu);
            }
        }
        Gpu::with(&adapter, profile, &options)
    }

    /// Opens `adapter`, with the cooperative matrices that `profile` names.
    fn with(adapter: &wgpu::Adapter, profile: Profile, options: &Options) -> Result<Gpu> {
        let (mut features, mut experimental) = (wgpu::Features::empty(), wgpu::ExperimentalFeatures::disabled());
        if profile.matrix.is_some() {
            features |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            // SAFETY: the caller asked for what wgpu calls experimental. Matrices are loaded from and stored to workgroup
            // memory alone, whole and within its bounds, and by all invocations of a subgroup.
            experimental = unsafe { wgpu::ExperimentalFeatures::enabled() };
        }
        features |= adapter.features()
            & (wgpu::Features::SUBGROUP
                | wgpu::Features::SHADER_F16
                | wgpu::Features::SHADER_INT64
                | wgpu::Features::PIPELINE_CACHE
                | wgpu::Features::TIMESTAMP_QUERY);
        for feature in &options.without {
            features.remove(match feature {
                Feature::Int64 => wgpu::Features::SHADER_INT64,
                Feature::Subgroups => wgpu::Features::SUBGROUP,
            });
        }
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("limbeck"),
            required_features: features,
            required_limits: adapter.limits(),
            experimental_features: experimental,
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(request)
            .map_err(|e| Error::Device { adapter: profile.name.clone(), message: e.to_string() })?;
        let fault = Arc::new(Mutex::new(None));
        watch(&device, &fault);
        let params = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: SLOT * SLOTS as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let tuned = if options.tuned { TunedVariants::load(&profile) } else { TunedVariants::default() };
        let store = Store::open(&device, &adapter.get_info());
        let spares = WarmupDevices::new(adapter, &profile, features);
        let cache = Cache::new(store, spares, options.compiling.clone());
        let parts = Parts { device, queue, params, fault, cache, tuned };
        let mut gpu = Gpu::of(parts, profile, Options { poison: false, ..options.clone() });
        if options.poison {
            let ones = vec![0xff_u8; NAN_BYTES as usize];
            let nan = gpu.upload(&ones)?;
            if let Some(inner) = Arc::get_mut(&mut gpu.inner) {
                inner.nan = Some(nan);
                inner.options.poison = true;
            }
        }
        Ok(gpu)
    }
}

/// Keeps the first fault; the next call that can fail reports it.
fn watch(device: &wgpu::Device, fault: &Arc<Mutex<Option<Fault>>>) {
    let (errors, lost) = (fault.clone(), fault.clone());
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| match error {
        // Where wgpu cannot go on without the memory it gives up the device first, which says less.
        wgpu::Error::OutOfMemory { .. } => *lock(&errors) = Some(Fault::OutOfMemory),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            lock(&errors).get_or_insert(Fault::Invalid(description));
        }
    }));
    device.set_device_lost_callback(move |_, message| {
        let reason = if message.is_empty() { "the driver gave no reason".into() } else { message };
        let mut fault = lock(&lost);
        // What is done on a lost device is invalid, and may have been told of before.
        if !matches!(*fault, Some(Fault::OutOfMemory)) {
            *fault = Some(Fault::Lost(reason));
        }
    });
}
