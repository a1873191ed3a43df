//! The device: the one handle through which everything reaches the GPU.

use std::sync::{Arc, Mutex};

use super::adapter::{Feature, Profile};
use super::compiling::Compiling;
use super::expr::Defines;
use super::lock::lock;
use super::pipeline::{Cache, Kernel};
use super::pool::{Buffer, Pool, PoolStats};
use super::provoke::Provoked;
use super::record::{Command, Recording, SLOTS};
use super::stamps::Stamps;
use super::tuned_variants::TunedVariants;
use super::view::{SLOT, View};
use super::wait::poll;
use super::wgsl::Source;
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
    /// Open the adapter's cooperative matrices, where it has them in a form that kernels use and computes right with them
    /// (each device is tested when it is opened): [`Profile::matrix`] then says so, and forward convolutions multiply in f16
    /// and add in f32. Results change in the fourth digit, so this is never the default; wgpu calls the feature experimental.
    pub matrices: bool,
    /// Features to leave unused though the adapter has them, so that the forms for lesser adapters are run on any.
    pub without: Vec<Feature>,
    /// What is compiled is told here, for whoever wants to look.
    pub compiling: Compiling,
    /// What the device is to meet, for tests.
    #[cfg(feature = "selftest")]
    pub fault: Option<super::provoke::DeviceFault>,
}

impl Options {
    /// The defaults, overridden by `LIMBECK_CHECKED=1`, `LIMBECK_POISON=1` and `LIMBECK_MATRICES=1`; tuned variants unless
    /// `LIMBECK_TUNED=0`. With the feature `selftest`, also the fault that `LIMBECK_GPU_FAULT` names.
    pub fn from_env() -> Self {
        let set = |name| std::env::var(name).is_ok_and(|v| v != "0" && !v.is_empty());
        let tuned = std::env::var("LIMBECK_TUNED").map_or(true, |v| v != "0");
        let (checked, poison, matrices) = (set("LIMBECK_CHECKED"), set("LIMBECK_POISON"), set("LIMBECK_MATRICES"));
        Options {
            checked,
            poison,
            tuned,
            matrices,
            #[cfg(feature = "selftest")]
            fault: std::env::var("LIMBECK_GPU_FAULT").ok().as_deref().and_then(super::provoke::DeviceFault::parse),
            ..Options::default()
        }
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
    tuned: TunedVariants,
    fault: Arc<Mutex<Option<Fault>>>,
    pub provoked: Provoked,
}

/// What a device is opened with.
pub(super) struct Parts {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    /// The parameters of a submission's dispatches.
    pub params: wgpu::Buffer,
    pub fault: Arc<Mutex<Option<Fault>>>,
    pub cache: Cache,
    pub tuned: TunedVariants,
}

/// The first thing the driver complained of.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    Lost(String),
    OutOfMemory,
    Invalid(String),
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.inner.profile)
    }
}

impl Gpu {
    pub(super) fn of(parts: Parts, profile: Profile, options: Options) -> Gpu {
        let Parts { device, queue, params, fault, cache, tuned } = parts;
        let (pool, stamps, nan) = (Arc::default(), Stamps::default(), None);
        let (recording, counts) = (Mutex::default(), Mutex::default());
        #[cfg(feature = "selftest")]
        let provoked = Provoked::new(options.fault);
        #[cfg(not(feature = "selftest"))]
        let provoked = Provoked::default();
        let inner = Inner {
            device,
            queue,
            profile,
            options,
            pool,
            cache,
            params,
            nan,
            recording,
            counts,
            stamps,
            tuned,
            fault,
            provoked,
        };
        Gpu { inner: Arc::new(inner) }
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
        &self.inner.tuned
    }

    /// The name a measurement chose for a key, which is made only if anything was measured.
    pub(crate) fn choice(&self, key: impl FnOnce() -> String) -> Option<&str> {
        let choices = &self.inner.tuned;
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
        inner.provoked.submit(&inner.device);
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
        // One that is lost already has nothing to wait for.
        self.check("waiting for the GPU")?;
        let polled = poll(&self.inner.device, || self.inner.provoked.wait());
        self.check("waiting for the GPU")?;
        polled.map_err(|reason| Error::DeviceLost { reason })
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
