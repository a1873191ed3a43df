//! The device: the one handle through which everything reaches the GPU.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::{self, Profile};
use super::clock::Stamps;
use super::matrix;
use super::memory::NAN_BYTES;
use super::pipeline::{Cache, Kernel};
use super::pipeline_store::Store;
use super::pool::{Buffer, Pool, PoolStats};
use super::record::{Command, Recording, SLOT, SLOTS, View};
use super::tuned_variants::TunedVariants;
use super::warmup::WarmupDevices;
use super::wgsl::{Defines, Source};
use crate::{Error, Result};

/// What a device can do without: kernels have another form for adapters that have none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// 64-bit integers in shaders.
    Int64,
    /// Operations across the lanes of a subgroup.
    Subgroups,
}

/// How a device is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A part of the adapter's name; `WGPU_ADAPTER_NAME` is used where this is `None`.
    pub adapter: Option<String>,
    /// Compile shaders with bounds checks and bounded loops. Slower; for finding defects.
    pub checked: bool,
    /// Fill every buffer with NaN when it is handed out, so that a value nobody wrote cannot pass unseen.
    pub poison: bool,
    /// Take the variants that `limbeck bench --tune` found best on this adapter, where it was run, rather than the rules' alone.
    /// Another variant sums in another order, so results may differ in their last digits.
    pub tuned: bool,
    /// Open the adapter's cooperative matrices, where it has them in a form that kernels use and computes right with them
    /// (each device is tested when it is opened): [`Profile::matrix`] then says so, and forward convolutions multiply in f16
    /// and add in f32. Results change in the fourth digit, so this is never the default; wgpu calls the feature experimental.
    pub matrices: bool,
    /// Features to leave unused though the adapter has them, so that the forms for lesser adapters are run on any.
    pub without: Vec<Feature>,
}

impl Options {
    /// The defaults, overridden by `LIMBECK_CHECKED=1`, `LIMBECK_POISON=1` and `LIMBECK_MATRICES=1`; tuned variants unless
    /// `LIMBECK_TUNED=0`.
    pub fn from_env() -> Self {
        let set = |name| std::env::var(name).is_ok_and(|v| v != "0" && !v.is_empty());
        let tuned = std::env::var("LIMBECK_TUNED").map_or(true, |v| v != "0");
        let (checked, poison, matrices) = (set("LIMBECK_CHECKED"), set("LIMBECK_POISON"), set("LIMBECK_MATRICES"));
        Options { checked, poison, tuned, matrices, ..Options::default() }
    }
}

/// Counters of what a device has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GpuStats {
    /// Buffers.
    pub pool: PoolStats,
    /// Kernels compiled, or being compiled.
    pub pipelines: usize,
    /// Bind groups created.
    pub bind_groups: u64,
    /// Submissions made.
    pub submits: u64,
    /// Compute passes in them.
    pub passes: u64,
    /// Dispatches in those.
    pub dispatches: u64,
}

/// The part of [`GpuStats`] that submissions count.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    submits: u64,
    passes: u64,
    dispatches: u64,
}

/// A handle to an open device; clones share it.
#[derive(Clone)]
pub struct Gpu {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub profile: Profile,
    pub options: Options,
    pub pool: Arc<Pool>,
    cache: Cache,
    params: wgpu::Buffer,
    pub nan: Option<Arc<Buffer>>,
    pub recording: Mutex<Recording>,
    counts: Mutex<Counts>,
    stamps: Stamps,
    choices: TunedVariants,
    fault: Arc<Mutex<Option<Fault>>>,
}

/// The first thing the driver complained of.
#[derive(Debug, Clone)]
enum Fault {
    Lost(String),
    OutOfMemory,
    Invalid(String),
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.inner.profile)
    }
}

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
        if let Some(matrix) = options.matrices.then(|| matrix::of(&adapter, &profile)).flatten() {
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
        let choices = if options.tuned { TunedVariants::load(&profile) } else { TunedVariants::default() };
        let store = Store::open(&device, &adapter.get_info());
        let spares = WarmupDevices::new(adapter, &profile, features);
        let inner = Inner {
            device,
            queue,
            profile,
            pool: Arc::default(),
            cache: Cache::new(store, spares),
            params,
            nan: None,
            recording: Mutex::default(),
            counts: Mutex::default(),
            stamps: Stamps::default(),
            choices,
            fault,
            options: Options { poison: false, ..options.clone() },
        };
        let mut gpu = Gpu { inner: Arc::new(inner) };
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

    /// The adapter's limits and features.
    pub fn profile(&self) -> &Profile {
        &self.inner.profile
    }

    /// What has been done so far.
    pub fn stats(&self) -> GpuStats {
        let counts = *lock(&self.inner.counts);
        GpuStats {
            pool: self.inner.pool.stats(),
            pipelines: self.inner.cache.len(),
            bind_groups: lock(&self.inner.recording).groups_created,
            submits: counts.submits,
            passes: counts.passes,
            dispatches: counts.dispatches,
        }
    }

    /// The variants that were measured to be best here; empty unless [`Options::tuned`].
    pub fn choices(&self) -> &TunedVariants {
        &self.inner.choices
    }

    /// The name a measurement chose for a key, which is made only if anything was measured.
    pub(crate) fn choice(&self, key: impl FnOnce() -> String) -> Option<&str> {
        let choices = &self.inner.choices;
        if choices.is_empty() { None } else { choices.get(&key()) }
    }

    /// What [`Gpu::time`] works with.
    pub(super) fn timed(&self) -> (&wgpu::Device, &wgpu::Queue, &Stamps) {
        (&self.inner.device, &self.inner.queue, &self.inner.stamps)
    }

    pub(super) fn kernel(&self, source: Source, entry: &'static str, defines: &Defines) -> Result<Arc<Kernel>> {
        let inner = &self.inner;
        let kernel = inner.cache.get(&inner.device, &inner.profile, inner.options.checked, source, entry, defines)?;
        self.check("compiling a shader")?;
        Ok(kernel)
    }

    pub(super) fn record(
        &self,
        kernel: Arc<Kernel>,
        views: Vec<View>,
        words: &[u8],
        groups: [u32; 3],
        cost: u64,
    ) -> Result<()> {
        let mut recording = lock(&self.inner.recording);
        if recording.commands.len() >= SLOTS
            || recording.cost + cost > self.inner.profile.submit_budget() && recording.cost > 0
        {
            self.submit(&mut recording)?;
        }
        let group = recording.group(&self.inner.device, &self.inner.params, &kernel, &views);
        recording.note(&views);
        if let Some(capture) = recording.capturing() {
            capture.dispatch(&kernel, &views, words, groups, cost);
        }
        let slot = kernel.interface.params.is_some().then(|| {
            let at = recording.params.len();
            recording.params.extend_from_slice(words);
            recording.params.resize(at + SLOT as usize, 0);
            at as u32
        });
        recording.cost += cost;
        recording.commands.push(Command::Dispatch { kernel, group, slot, groups });
        Ok(())
    }

    /// Submits what is recorded, without waiting for it.
    pub fn flush(&self) -> Result<()> {
        self.submit(&mut lock(&self.inner.recording))
    }

    pub(super) fn submit(&self, recording: &mut Recording) -> Result<()> {
        if !recording.params.is_empty() {
            self.inner.queue.write_buffer(&self.inner.params, 0, &recording.params);
        }
        // An empty submission still carries pending uploads.
        self.execute(&recording.take())
    }

    /// Encodes `commands` and submits them: one compute pass for every row of dispatches without a copy between them.
    pub(super) fn execute(&self, commands: &[Command]) -> Result<()> {
        let (inner, mut done) = (&self.inner, Counts { submits: 1, ..Counts::default() });
        let mut encoder = inner.device.create_command_encoder(&Default::default());
        inner.stamps.open(&mut encoder);
        let mut at = 0;
        while at < commands.len() {
            if let Command::Copy { from, to } = &commands[at] {
                encoder.copy_buffer_to_buffer(&from.raw, from.offset, &to.raw, to.offset, from.size);
                at += 1;
                continue;
            }
            let mut pass = encoder.begin_compute_pass(&Default::default());
            done.passes += 1;
            while let Some(Command::Dispatch { kernel, group, slot, groups }) = commands.get(at) {
                pass.set_pipeline(kernel.pipeline()?);
                pass.set_bind_group(0, group, slot.as_slice());
                pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
                done.dispatches += 1;
                at += 1;
            }
        }
        inner.stamps.close(&mut encoder);
        inner.queue.submit([encoder.finish()]);
        inner.pool.submitted();
        let mut counts = lock(&inner.counts);
        counts.submits += done.submits;
        counts.passes += done.passes;
        counts.dispatches += done.dispatches;
        drop(counts);
        self.check("running a step")
    }

    /// Waits until everything submitted is done.
    pub fn wait(&self) -> Result<()> {
        let polled = self.inner.device.poll(wgpu::PollType::wait_indefinitely());
        self.check("waiting for the GPU")?;
        polled.map(|_| ()).map_err(|e| Error::DeviceLost { reason: e.to_string() })
    }

    pub(super) fn check(&self, doing: &str) -> Result<()> {
        match lock(&self.inner.fault).clone() {
            None => Ok(()),
            Some(Fault::Lost(reason)) => Err(Error::DeviceLost { reason }),
            Some(Fault::OutOfMemory) => Err(self.out_of_memory(doing)),
            Some(Fault::Invalid(message)) => Err(Error::Validation(message)),
        }
    }
}

/// Keeps the first fault; the next call that can fail reports it.
fn watch(device: &wgpu::Device, fault: &Arc<Mutex<Option<Fault>>>) {
    let (errors, lost) = (fault.clone(), fault.clone());
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let found = match error {
            wgpu::Error::OutOfMemory { .. } => Fault::OutOfMemory,
            wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                Fault::Invalid(description)
            }
        };
        lock(&errors).get_or_insert(found);
    }));
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            *lock(&lost) = Some(Fault::Lost(message));
        }
    });
}
