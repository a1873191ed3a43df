//! Buffers that return to a pool when dropped. After the first step of a loop every shape is known, so the pool hands
//! out the same buffers in the same order and nothing is allocated any more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// What the pool has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes of all buffers that exist.
    pub allocated: u64,
    /// Bytes of the buffers in use now; what a recorded program keeps for itself counts as used.
    pub in_use: u64,
    /// The most bytes in use at one time.
    pub peak: u64,
    /// The most bytes of all buffers, in use or waiting, at one time. While a step is recorded it runs on buffers that are
    /// freed before the program gets memory of its own; they count here.
    pub peak_allocated: u64,
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
    /// A program's own memory, of just the size it needs. It serves nobody else, so it does not wait for the next request
    /// but is freed.
    Program,
}

/// A GPU buffer; dropping it returns it to the pool.
#[derive(Debug)]
pub struct Buffer {
    raw: Option<wgpu::Buffer>,
    id: u64,
    size: u64,
    kind: Kind,
    loan: Option<(RecordingId, u64)>,
    pool: Arc<Pool>,
}

/// One recording of a step: see [`Pool::begin_recording`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordingId(u64);

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

    /// Which loan this is, if it was handed out to the step that `recording` records.
    pub(super) fn loan_of(&self, recording: RecordingId) -> Option<u64> {
        self.loan.filter(|(to, _)| *to == recording).map(|(_, loan)| loan)
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
    /// The thread whose step is recorded.
    recording: Option<(ThreadId, RecordingId)>,
    stats: PoolStats,
    next_id: u64,
}

/// How much larger than the request a buffer may be while a step is recorded. All that waits is freed afterwards, so it is
/// worth more there to let a buffer serve a smaller request than to create one; much larger ones are soon needed again.
const SLACK: u64 = 2;

fn bytes_of(free: &Free) -> u64 {
    free.iter().map(|((size, _), list)| size * list.len() as u64).sum()
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
        let mut guard = self.lock();
        let state = &mut *guard;
        let loan = state.lend(kind);
        let size = if loan.is_some() { state.fit(size, kind)? } else { size };
        let (id, raw) = state.free.get_mut(&(size, kind))?.pop_first()?;
        state.stats.reused += 1;
        state.grow(size);
        Some(Buffer { raw: Some(raw), id, size, kind, loan, pool: self.clone() })
    }

    /// Takes a new buffer under the pool's care.
    pub(super) fn adopt(self: &Arc<Self>, raw: wgpu::Buffer, size: u64, kind: Kind) -> Buffer {
        let mut state = self.lock();
        let loan = state.lend(kind);
        state.next_id += 1;
        let stats = &mut state.stats;
        stats.created += 1;
        stats.allocated += size;
        stats.peak_allocated = stats.peak_allocated.max(stats.allocated);
        state.grow(size);
        Buffer { raw: Some(raw), id: state.next_id, size, kind, loan, pool: self.clone() }
    }

    fn give(&self, raw: wgpu::Buffer, id: u64, size: u64, kind: Kind) {
        let mut state = self.lock();
        state.stats.in_use -= size;
        match kind {
            Kind::Compute => {
                state.free.entry((size, kind)).or_default().insert(id, raw);
            }
            Kind::Upload => state.resting.push((size, raw, id)),
            Kind::Program => state.stats.allocated -= size,
        }
    }

    /// From now on, what this thread asks for that kernels write is marked as the recorded step's own.
    pub(super) fn begin_recording(&self) -> RecordingId {
        let mut state = self.lock();
        state.next_id += 1;
        let id = RecordingId(state.next_id);
        state.recording = Some((thread::current().id(), id));
        id
    }

    /// Ends it, unless another has begun since.
    pub(super) fn end_recording(&self, id: RecordingId) {
        self.lock().recording.take_if(|(_, open)| *open == id);
    }

    /// Forgets the peaks: they start anew from what there is now.
    pub(super) fn reset_peak(&self) {
        let mut state = self.lock();
        state.stats.peak = state.stats.in_use;
        state.stats.peak_allocated = state.stats.allocated;
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
        state.stats.allocated -= bytes_of(&state.free);
        state.free.clear();
    }

    pub(super) fn stats(&self) -> PoolStats {
        self.lock().stats
    }
}

impl State {
    /// A number for what is about to be handed out, if a recorded step asks for it. Uploads inside a recording are constants
    /// of the program, which holds them itself.
    fn lend(&mut self, kind: Kind) -> Option<(RecordingId, u64)> {
        let (thread, id) = self.recording?;
        if kind != Kind::Compute || thread != thread::current().id() {
            return None;
        }
        self.next_id += 1;
        Some((id, self.next_id))
    }

    /// The smallest class of returned buffers that `size` bytes fit in.
    fn fit(&self, size: u64, kind: Kind) -> Option<u64> {
        let lists = self
            .free
            .iter()
            .filter(|((class, of), list)| *of == kind && (size..=SLACK * size).contains(class) && !list.is_empty());
        lists.map(|((class, _), _)| *class).min()
    }

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
