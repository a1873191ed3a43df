//! How much memory is held: every allocation of these tests is counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Measurements that can be under way at a time.
const SLOTS: usize = 3;

static HELD: AtomicUsize = AtomicUsize::new(0);
/// The most that was held since each measurement began, and which are under way.
static MOST: [AtomicUsize; SLOTS] = [const { AtomicUsize::new(0) }; SLOTS];
static USED: [AtomicBool; SLOTS] = [const { AtomicBool::new(false) }; SLOTS];

fn taken(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    for most in &MOST {
        most.fetch_max(held, Ordering::Relaxed);
    }
}

fn given(bytes: usize) {
    HELD.fetch_sub(bytes, Ordering::Relaxed);
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there while it moves.
        taken(size);
        // SAFETY: as the caller promises.
        let moved = unsafe { System.realloc(place, layout, size) };
        given(if moved.is_null() { size } else { layout.size() });
        moved
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        given(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

/// What `work` gives, and the most bytes that were held meanwhile beyond what was held before. Tests that run beside it count, too, so it is
/// never too little.
pub fn most_during<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let slot = loop {
        let free = |used: &AtomicBool| !used.swap(true, Ordering::Relaxed);
        match USED.iter().position(free) {
            Some(slot) => break slot,
            None => std::thread::yield_now(),
        }
    };
    let before = HELD.load(Ordering::Relaxed);
    MOST[slot].store(before, Ordering::Relaxed);
    let value = work();
    let most = MOST[slot].load(Ordering::Relaxed).saturating_sub(before);
    USED[slot].store(false, Ordering::Relaxed);
    (value, most)
}

#[test]
fn what_is_held_is_counted() {
    let ((), most) = most_during(|| drop(std::hint::black_box(vec![1u8; 3 << 20])));
    assert!(most >= 3 << 20, "{most}");
    let (grown, most) = most_during(|| {
        let mut grown = vec![1u8; 1 << 20];
        grown.resize(5 << 20, 2);
        std::hint::black_box(grown)
    });
    assert!(most >= 5 << 20 && grown.len() == 5 << 20, "{most}");
}
