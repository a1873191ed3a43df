//! Buffers that return to a pool when dropped. After the first step of a loop every shape is known, so the pool hands
//! out the same buffers in the same order and nothing is allocated any more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the pool has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes of all buffers that exist.
    pub allocated: u64,
    /// Bytes of the buffers in use now.
    pub in_use: u64,
    /// The most bytes ever in use.
    pub peak: u64,
    /// Buffers created.
    pub created: u64,
    /// Requests served by a returned buffer.
    pub reused: u64,
}

/// Who writes a buffer. Uploads are written by the queue *before* the commands recorded so far, so a buffer that those
/// commands still use must not be handed out for an upload: the two kinds have free lists of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Compute,
    Upload,
}

/// A GPU buffer; dropping it returns it to the pool.
#[derive(Debug)]
pub struct Buffer {
    raw: Option<wgpu::Buffer>,
    id: u64,
    size: u64,
    kind: Kind,
    pool: Arc<Pool>,
}

impl Buffer {
    pub(super) fn raw(&self) -> &wgpu::Buffer {
        match &self.raw {
            Some(raw) => raw,
            None => unreachable!("a buffer is emptied only while it is dropped"),
        }
    }

    /// A number that belongs to this buffer's memory alone.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Capacity in bytes, at least what was asked for.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.pool.give(raw, self.id, self.size, self.kind);
        }
    }
}

/// By class, then by id. The lowest id is handed out first, so the same requests from the same state get the same
/// buffers, and bind groups cached in one step serve the next.
type Free = HashMap<(u64, Kind), BTreeMap<u64, wgpu::Buffer>>;

#[derive(Debug, Default)]
struct State {
    free: Free,
    /// Upload buffers returned since the last submission.
    resting: Vec<(u64, wgpu::Buffer, u64)>,
    stats: PoolStats,
    next_id: u64,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

impl Pool {
    /// A panic while the lock was held cannot leave the lists inconsistent, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The class a request of `bytes` falls in: exact to 256 bytes when small, to an eighth of a power of two above.
    pub(super) fn class_of(bytes: u64) -> u64 {
        let bytes = bytes.max(1);
        let step = (bytes.next_power_of_two() / 16).max(256);
        bytes.div_ceil(step) * step
    }

    /// A returned buffer of this class, if there is one.
    pub(super) fn take(self: &Arc<Self>, size: u64, kind: Kind) -> Option<Buffer> {
        let mut state = self.lock();
        let (id, raw) = state.free.get_mut(&(size, kind))?.pop_first()?;
        state.stats.reused += 1;
        state.grow(size);
        Some(Buffer { raw: Some(raw), id, size, kind, pool: self.clone() })
    }

    /// Takes a new buffer under the pool's care.
    pub(super) fn adopt(self: &Arc<Self>, raw: wgpu::Buffer, size: u64, kind: Kind) -> Buffer {
        let mut state = self.lock();
        state.next_id += 1;
        state.stats.created += 1;
        state.stats.allocated += size;
        state.grow(size);
        Buffer { raw: Some(raw), id: state.next_id, size, kind, pool: self.clone() }
    }

    fn give(&self, raw: wgpu::Buffer, id: u64, size: u64, kind: Kind) {
        let mut state = self.lock();
        state.stats.in_use -= size;
        match kind {
            Kind::Compute => {
                state.free.entry((size, kind)).or_default().insert(id, raw);
            }
            Kind::Upload => state.resting.push((size, raw, id)),
        }
    }

    /// After a submission, returned upload buffers may be written again.
    pub(super) fn submitted(&self) {
        let mut state = self.lock();
        for (size, raw, id) in std::mem::take(&mut state.resting) {
            state.free.entry((size, Kind::Upload)).or_default().insert(id, raw);
        }
    }

    /// Forgets all returned buffers, so that their memory can be freed.
    pub(super) fn trim(&self) {
        let mut state = self.lock();
        let bytes: u64 = state.free.iter().map(|((size, _), list)| size * list.len() as u64).sum();
        state.free.clear();
        state.stats.allocated -= bytes;
    }

    pub(super) fn stats(&self) -> PoolStats {
        self.lock().stats
    }
}

impl State {
    fn grow(&mut self, size: u64) {
        self.stats.in_use += size;
        self.stats.peak = self.stats.peak.max(self.stats.in_use);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_at_most_an_eighth() {
        assert_eq!(Pool::class_of(0), 256);
        assert_eq!(Pool::class_of(257), 512);
        for bytes in (1..200u64).map(|i| i * i * i * 7 + 4096) {
            let class = Pool::class_of(bytes);
            assert!(class >= bytes && class - bytes <= bytes / 8, "{bytes} -> {class}");
        }
    }
}
