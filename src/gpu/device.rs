//! The device: the one handle through which everything reaches the GPU.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::{self, Profile};
use super::choices::Choices;
use super::clock::Stamps;
use super::pipeline::{Cache, Kernel};
use super::pool::{Buffer, Kind, Pool, PoolStats};
use super::record::{Command, Recording, SLOT, SLOTS, View};
use super::wgsl::{Defines, Source};
use crate::{Error, Result};

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
}

impl Options {
    /// The defaults, overridden by `LIMBECK_CHECKED=1` and `LIMBECK_POISON=1`; tuned variants unless `LIMBECK_TUNED=0`.
    pub fn from_env() -> Self {
        let set = |name| std::env::var(name).is_ok_and(|v| v != "0" && !v.is_empty());
        let tuned = std::env::var("LIMBECK_TUNED").map_or(true, |v| v != "0");
        Options { adapter: None, checked: set("LIMBECK_CHECKED"), poison: set("LIMBECK_POISON"), tuned }
    }
}

/// Counters of what a device has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GpuStats {
    /// Buffers.
    pub pool: PoolStats,
    /// Pipelines compiled.
    pub pipelines: usize,
    /// Bind groups created.
    pub bind_groups: u64,
    /// Submissions made.
    pub submits: u64,
    /// Dispatches recorded.
    pub dispatches: u64,
}

/// A handle to an open device; clones share it.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    profile: Profile,
    options: Options,
    pool: Arc<Pool>,
    cache: Cache,
    params: wgpu::Buffer,
    nan: Option<Arc<Buffer>>,
    recording: Mutex<Recording>,
    counts: Mutex<(u64, u64)>,
    stamps: Stamps,
    choices: Choices,
    fault: Arc<Mutex<Option<Fault>>>,
}

/// The first thing the driver complained of.
#[derive(Debug, Clone)]
enum Fault {
    Lost(String),
    OutOfMemory,
    Invalid(String),
}

const NAN_BYTES: u64 = 1 << 20;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
        let (adapter, profile) = adapter::choose(name.as_deref())?;
        let features = adapter.features()
            & (wgpu::Features::SUBGROUP
                | wgpu::Features::SHADER_F16
                | wgpu::Features::SHADER_INT64
                | wgpu::Features::TIMESTAMP_QUERY);
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("limbeck"),
            required_features: features,
            required_limits: adapter.limits(),
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
        let choices = if options.tuned { Choices::load(&profile) } else { Choices::default() };
        let inner = Inner {
            device,
            queue,
            profile,
            pool: Arc::default(),
            cache: Cache::default(),
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
        let (submits, dispatches) = *lock(&self.inner.counts);
        GpuStats {
            pool: self.inner.pool.stats(),
            pipelines: self.inner.cache.len(),
            bind_groups: lock(&self.inner.recording).groups_created,
            submits,
            dispatches,
        }
    }

    /// The variants that were measured to be best here; empty unless [`Options::tuned`].
    pub fn choices(&self) -> &Choices {
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

    /// A buffer of at least `bytes` bytes with unspecified content.
    ///
    /// # Errors
    /// [`Error::Limit`] beyond the adapter's largest buffer, [`Error::OutOfMemory`].
    pub fn alloc(&self, bytes: u64) -> Result<Arc<Buffer>> {
        let buffer = Arc::new(self.obtain(bytes, Kind::Compute)?);
        if let (true, Some(nan)) = (self.inner.options.poison, &self.inner.nan) {
            let mut at = 0;
            while at < buffer.size() {
                let size = NAN_BYTES.min(buffer.size() - at);
                let from = View { buffer: nan.clone(), offset: 0, size };
                self.push(Command::Copy { from, to: View { buffer: buffer.clone(), offset: at, size } })?;
                at += size;
            }
        }
        Ok(buffer)
    }

    fn obtain(&self, bytes: u64, kind: Kind) -> Result<Buffer> {
        let profile = &self.inner.profile;
        let limits =
            [(profile.max_buffer, "max_buffer_size"), (profile.max_binding, "max_storage_buffer_binding_size")];
        // Sizes near 2^64 have no class: rounding them up would wrap to zero.
        let size = if bytes > profile.max_buffer { bytes } else { Pool::class_of(bytes) };
        for (limit, name) in limits {
            if size > limit {
                let what = format!("a buffer of {} MiB", bytes >> 20);
                return Err(Error::Limit {
                    what,
                    needed: size,
                    limit,
                    name,
                    hint: "Lower train.batch or the network's width",
                });
            }
        }
        if let Some(buffer) = self.inner.pool.take(size, kind) {
            return Ok(buffer);
        }
        let raw = match self.create(size) {
            Some(raw) => raw,
            None => {
                // Buffers that only wait in the pool are memory too: give them back and try once more.
                self.trim()?;
                self.wait()?;
                self.create(size).ok_or_else(|| self.out_of_memory("allocating a buffer"))?
            }
        };
        Ok(self.inner.pool.adopt(raw, size, kind))
    }

    /// A new buffer; `None` where the device has no memory for it.
    fn create(&self, size: u64) -> Option<wgpu::Buffer> {
        let device = &self.inner.device;
        let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let raw = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        pollster::block_on(scope.pop()).is_none().then_some(raw)
    }

    fn out_of_memory(&self, doing: &str) -> Error {
        Error::OutOfMemory { doing: doing.into(), in_use: self.inner.pool.stats().in_use >> 20 }
    }

    /// A buffer holding `bytes` (padded with zeros to a multiple of 4).
    pub fn upload(&self, bytes: &[u8]) -> Result<Arc<Buffer>> {
        let buffer = self.obtain(bytes.len() as u64, Kind::Upload)?;
        let whole = bytes.len() & !3;
        self.inner.queue.write_buffer(buffer.raw(), 0, &bytes[..whole]);
        if whole < bytes.len() {
            let mut last = [0; 4];
            last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            self.inner.queue.write_buffer(buffer.raw(), whole as u64, &last);
        }
        Ok(Arc::new(buffer))
    }

    /// Records a copy; `from` and `to` have the same size and lie in different buffers.
    pub fn copy(&self, from: &View, to: &View) -> Result<()> {
        if from.size != to.size || from.buffer.id() == to.buffer.id() {
            return Err(Error::Validation("a copy needs two buffers and one size".into()));
        }
        self.push(Command::Copy { from: from.clone(), to: to.clone() })
    }

    fn push(&self, command: Command) -> Result<()> {
        lock(&self.inner.recording).commands.push(command);
        Ok(())
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

    fn submit(&self, recording: &mut Recording) -> Result<()> {
        let commands = std::mem::take(&mut recording.commands);
        let (inner, mut dispatches) = (&self.inner, 0);
        if !recording.params.is_empty() {
            inner.queue.write_buffer(&inner.params, 0, &recording.params);
        }
        let mut encoder = inner.device.create_command_encoder(&Default::default());
        inner.stamps.open(&mut encoder);
        let mut at = 0;
        while at < commands.len() {
            if let Command::Copy { from, to } = &commands[at] {
                encoder.copy_buffer_to_buffer(from.buffer.raw(), from.offset, to.buffer.raw(), to.offset, from.size);
                at += 1;
                continue;
            }
            let mut pass = encoder.begin_compute_pass(&Default::default());
            while let Some(Command::Dispatch { kernel, group, slot, groups }) = commands.get(at) {
                pass.set_pipeline(&kernel.pipeline);
                pass.set_bind_group(0, group, slot.as_slice());
                pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
                dispatches += 1;
                at += 1;
            }
        }
        inner.stamps.close(&mut encoder);
        // An empty submission still carries pending uploads.
        inner.queue.submit([encoder.finish()]);
        inner.pool.submitted();
        recording.params.clear();
        recording.cost = 0;
        let mut counts = lock(&inner.counts);
        *counts = (counts.0 + 1, counts.1 + dispatches);
        drop(counts);
        self.check("running a step")
    }

    /// The bytes of `view`; submits what is recorded and waits for it.
    pub fn read(&self, view: &View) -> Result<Vec<u8>> {
        let staging = self.inner.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: view.size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.flush()?;
        let mut encoder = self.inner.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(view.buffer.raw(), view.offset, &staging, 0, view.size);
        self.inner.queue.submit([encoder.finish()]);
        let (send, receive) = std::sync::mpsc::channel();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            let _ = send.send(result);
        });
        self.wait()?;
        let lost = |reason: String| Error::DeviceLost { reason };
        receive.recv().map_err(|e| lost(e.to_string()))?.map_err(|e| lost(e.to_string()))?;
        let range = staging.slice(..).get_mapped_range().map_err(|e| lost(e.to_string()))?;
        Ok(range.to_vec())
    }

    /// Waits until everything submitted is done.
    pub fn wait(&self) -> Result<()> {
        let polled = self.inner.device.poll(wgpu::PollType::wait_indefinitely());
        self.check("waiting for the GPU")?;
        polled.map(|_| ()).map_err(|e| Error::DeviceLost { reason: e.to_string() })
    }

    /// Frees the memory of buffers that wait in the pool.
    pub fn trim(&self) -> Result<()> {
        self.flush()?;
        lock(&self.inner.recording).forget_groups();
        self.inner.pool.trim();
        Ok(())
    }

    fn check(&self, doing: &str) -> Result<()> {
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
