//! Buffers: handed out, written, copied and read back.

use std::sync::Arc;

use super::device::Gpu;
use super::lock::lock;
use super::pool::{Buffer, Kind, Pool};
use super::record::Command;
use super::view::{NAN_BYTES, Region, View};
use crate::{Error, Result};

/// Buffer writes a submission may carry: some drivers keep a slot for each.
const WRITES: u32 = 64;

impl Gpu {
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
                self.copy(&from, &View { buffer: buffer.clone(), offset: at, size })?;
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
        let raw = self.create_or_trim(size)?;
        Ok(self.inner.pool.adopt(raw, size, kind))
    }

    /// A new buffer of exactly `size` bytes, a multiple of 256 and no more than some buffer had before, for a program.
    pub(super) fn obtain_for_program(&self, size: u64) -> Result<Arc<Buffer>> {
        let raw = self.create_or_trim(size)?;
        Ok(Arc::new(self.inner.pool.adopt(raw, size, Kind::Program)))
    }

    fn create_or_trim(&self, size: u64) -> Result<wgpu::Buffer> {
        if let Some(raw) = self.create(size) {
            return Ok(raw);
        }
        // Buffers that only wait in the pool are memory too: give them back and try once more.
        self.trim()?;
        self.wait()?;
        self.create(size).ok_or_else(|| self.out_of_memory("allocating a buffer"))
    }

    /// A new buffer; `None` where the device has no memory for it.
    fn create(&self, size: u64) -> Option<wgpu::Buffer> {
        let device = &self.inner.device;
        if self.inner.provoked.allocate() {
            return None;
        }
        let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let raw = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        pollster::block_on(scope.pop()).is_none().then_some(raw)
    }

    /// A buffer holding `bytes` (padded with zeros to a multiple of 4).
    pub fn upload(&self, bytes: &[u8]) -> Result<Arc<Buffer>> {
        let buffer = Arc::new(self.obtain(bytes.len() as u64, Kind::Upload)?);
        self.queue_write(&buffer, 0, bytes)?;
        Ok(buffer)
    }

    /// Writes `bytes` (padded with zeros to a multiple of 4) over the front of `view`, after everything recorded so far and
    /// before everything recorded later. Never waits for the GPU: the bytes are copied aside at once, and from there by the
    /// GPU, in its turn. So the next batch can be written while the last step still runs.
    ///
    /// # Errors
    /// [`Error::Shape`] where they do not fit; [`Error::Invalid`] while a step is recorded (see [`Gpu::capture`]).
    pub fn write(&self, view: &View, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 > view.size {
            return Err(Error::Shape(format!("{} bytes written to memory of {}", bytes.len(), view.size)));
        }
        self.not_in_capture("a write", "write before the step, and again before each replay")?;
        {
            let mut recording = lock(&self.inner.recording);
            // The queue writes before the next submission: what is recorded and uses this memory must go first.
            if recording.uses(view.buffer.id()) {
                self.submit(&mut recording)?;
            }
        }
        self.queue_write(&view.buffer, view.offset, bytes)
    }

    fn queue_write(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        let whole = bytes.len() & !3;
        let mut last = [0; 4];
        last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
        let rest = if whole < bytes.len() { &last[..] } else { &[] };
        for (at, part) in [(0, &bytes[..whole]), (whole as u64, rest)] {
            if part.is_empty() {
                continue;
            }
            self.inner.queue.write_buffer(buffer.raw(), offset + at, part);
            let mut recording = lock(&self.inner.recording);
            recording.writes += 1;
            if recording.writes >= WRITES {
                self.submit(&mut recording)?;
            }
        }
        Ok(())
    }

    /// Records a copy; `from` and `to` have the same size and lie in different buffers.
    pub fn copy(&self, from: &View, to: &View) -> Result<()> {
        if from.size != to.size || from.buffer.id() == to.buffer.id() {
            return Err(Error::Validation("a copy needs two buffers and one size".into()));
        }
        let mut recording = lock(&self.inner.recording);
        recording.note([from, to]);
        recording.commands.push(Command::Copy { from: Region::of(from), to: Region::of(to) });
        if let Some(capture) = recording.capturing() {
            capture.copy(from, to);
        }
        Ok(())
    }

    /// The bytes of `view`; submits what is recorded and waits for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] while a step is recorded; [`Error::DeviceLost`].
    pub fn read(&self, view: &View) -> Result<Vec<u8>> {
        self.not_in_capture("reading a value back", "read after the step")?;
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

    /// Frees the memory of buffers that wait in the pool. What a [`super::Program`] keeps stays.
    pub fn trim(&self) -> Result<()> {
        self.flush()?;
        lock(&self.inner.recording).forget_groups();
        self.inner.pool.trim();
        Ok(())
    }

    /// Lets the peaks of [`super::PoolStats`] start anew from what is in use now, so that those of one piece of work can be told.
    pub fn reset_peak(&self) {
        self.inner.pool.reset_peak();
    }

    pub(super) fn out_of_memory(&self, doing: &str) -> Error {
        Error::OutOfMemory { doing: doing.into(), in_use: self.inner.pool.stats().in_use >> 20 }
    }
}
