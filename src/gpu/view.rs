//! Parts of buffers, and the sizes that all who hand them on agree about.

use std::sync::Arc;

use super::pool::Buffer;

/// Bytes of one dispatch's parameters in the shared uniform buffer (the largest offset alignment wgpu allows).
pub(super) const SLOT: u64 = 256;
/// Bytes of NaN that poisoned buffers are filled from.
pub(super) const NAN_BYTES: u64 = 1 << 20;

/// A part of a buffer, as a kernel sees it.
#[derive(Debug, Clone)]
pub struct View {
    /// The memory.
    pub buffer: Arc<Buffer>,
    /// First byte; a multiple of 256.
    pub offset: u64,
    /// Bytes; a multiple of 4.
    pub size: u64,
}

impl View {
    /// The whole of `buffer`.
    pub fn whole(buffer: &Arc<Buffer>) -> Self {
        View { buffer: buffer.clone(), offset: 0, size: buffer.size() }
    }
}

/// A [`View`] that does not keep the buffer from returning to the pool: commands run in the order in which memory was
/// handed out, so whoever gets it next writes after they have read.
#[derive(Debug, Clone)]
pub(super) struct Region {
    pub raw: wgpu::Buffer,
    pub offset: u64,
    pub size: u64,
}

impl Region {
    pub(super) fn of(view: &View) -> Self {
        Region { raw: view.buffer.raw().clone(), offset: view.offset, size: view.size }
    }
}
