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
    arena: Option<ArenaId>,
    pool: Arc<Pool>,
}

/// The memory of one recorded program: see [`Pool::open_arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ArenaId(u64);

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

    /// Whose memory it is, if it was handed out while a program was recorded.
    pub(super) fn arena(&self) -> Option<ArenaId> {
        self.arena
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.pool.give(raw, self.id, self.size, self.kind, self.arena);
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
    arenas: HashMap<ArenaId, Arena>,
    /// The arena that requests of this thread are served from.
    recording: Option<(ThreadId, ArenaId)>,
    stats: PoolStats,
    next_id: u64,
}

#[derive(Debug, Default)]
struct Arena {
    free: Free,
    /// The program is complete: nothing is handed out any more.
    sealed: bool,
}

/// How much larger than the request a buffer of an arena may be. A program holds its memory for good, so it is worth more
/// there to let a buffer serve a smaller request than to have one of each size; much larger ones are soon needed again.
const SLACK: u64 = 2;

impl Arena {
    /// The smallest returned buffer that `size` bytes fit in, and its size.
    fn fit(&mut self, size: u64) -> Option<(u64, u64, wgpu::Buffer)> {
        let fits = self.free.iter().filter(|((class, _), l)| (size..=SLACK * size).contains(class) && !l.is_empty());
        let class = *fits.map(|(class, _)| class).min_by_key(|class| class.0)?;
        let (id, raw) = self.free.get_mut(&class)?.pop_first()?;
        Some((id, class.0, raw))
    }
}

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
        let arena = state.arena_for(kind);
        let own = arena.and_then(|id| state.arenas.get_mut(&id)?.fit(size));
        if let Some((id, size, raw)) = own {
            state.stats.reused += 1;
            state.grow(size);
            return Some(Buffer { raw: Some(raw), id, size, kind, arena, pool: self.clone() });
        }
        let (id, raw) = state.free.get_mut(&(size, kind))?.pop_first()?;
        state.stats.reused += 1;
        state.grow(size);
        Some(Buffer { raw: Some(raw), id, size, kind, arena, pool: self.clone() })
    }

    /// Takes a new buffer under the pool's care.
    pub(super) fn adopt(self: &Arc<Self>, raw: wgpu::Buffer, size: u64, kind: Kind) -> Buffer {
        let mut state = self.lock();
        let arena = state.arena_for(kind);
        state.next_id += 1;
        state.stats.created += 1;
        state.stats.allocated += size;
        state.grow(size);
        Buffer { raw: Some(raw), id: state.next_id, size, kind, arena, pool: self.clone() }
    }

    fn give(&self, raw: wgpu::Buffer, id: u64, size: u64, kind: Kind, arena: Option<ArenaId>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(arena) = arena.and_then(|id| state.arenas.get_mut(&id)) {
            arena.free.entry((size, kind)).or_default().insert(id, raw);
            if !arena.sealed {
                state.stats.in_use -= size;
            }
            return;
        }
        state.stats.in_use -= size;
        match kind {
            Kind::Compute => {
                state.free.entry((size, kind)).or_default().insert(id, raw);
            }
            Kind::Upload => state.resting.push((size, raw, id)),
        }
    }

    /// From now on, whatever this thread asks for that kernels write belongs to a new arena: it comes from the free lists
    /// or is new, and returns to the arena, not to the pool. A program that is replayed writes this memory each time, so
    /// nobody else may hold any of it, however briefly the recording used it.
    pub(super) fn open_arena(&self) -> ArenaId {
        let mut state = self.lock();
        state.next_id += 1;
        let id = ArenaId(state.next_id);
        state.arenas.insert(id, Arena::default());
        state.recording = Some((thread::current().id(), id));
        id
    }

    /// Ends the recording; the arena's memory is now kept for the program.
    pub(super) fn seal_arena(&self, id: ArenaId) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.recording = None;
        let Some(arena) = state.arenas.get_mut(&id) else { return };
        arena.sealed = true;
        let kept = bytes_of(&arena.free);
        state.grow(kept);
    }

    /// Gives the arena's memory to everybody: the program is gone, or was never finished.
    pub(super) fn release_arena(&self, id: ArenaId) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.recording.is_some_and(|(_, open)| open == id) {
            state.recording = None;
        }
        let Some(arena) = state.arenas.remove(&id) else { return };
        if arena.sealed {
            state.stats.in_use -= bytes_of(&arena.free);
        }
        for (class, list) in arena.free {
            state.free.entry(class).or_default().extend(list);
        }
    }

    /// Forgets the peak: it starts anew from what is in use now.
    pub(super) fn reset_peak(&self) {
        let mut state = self.lock();
        state.stats.peak = state.stats.in_use;
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
    /// Uploads inside a recording are constants of the program, which holds them itself.
    fn arena_for(&self, kind: Kind) -> Option<ArenaId> {
        let (thread, id) = self.recording?;
        (kind == Kind::Compute && thread == thread::current().id()).then_some(id)
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
