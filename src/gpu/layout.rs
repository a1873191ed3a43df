//! Where a program's temporaries lie: those that are never alive together share memory.
//!
//! The largest is placed first, each in the tightest gap that is free for as long as it lives; where there is none, a new
//! buffer of just its size begins. So buffers are as large as the largest temporary in them, later ones lie side by side
//! inside the early ones, and no size limit is met that a temporary of its own would not have met. One big buffer for all
//! would be tighter still, but a dispatch may not read one part of a buffer and write another.

use std::cmp::Reverse;
use std::collections::HashSet;

/// Where bindings may begin.
const ALIGN: u64 = 256;

/// A temporary: its size, and the first and last command that uses it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub bytes: u64,
    pub first: usize,
    pub last: usize,
}

impl Need {
    fn meets(&self, other: &Need) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The sizes of the buffers, and for each temporary its buffer and where it begins there.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub slots: Vec<u64>,
    pub places: Vec<(usize, u64)>,
}

/// Pairs of temporaries (the lower index first) that must lie in different buffers.
pub(super) type Apart = HashSet<(usize, usize)>;

/// A buffer in the making.
struct Slot {
    bytes: u64,
    /// Which temporary, and where it begins.
    tenants: Vec<(usize, u64)>,
}

impl Slot {
    /// The tightest gap that temporary `i` fits in: its bytes and where it begins.
    fn gap(&self, i: usize, needs: &[Need], apart: &Apart) -> Option<(u64, u64)> {
        let mut beside: Vec<(u64, u64)> = Vec::new();
        for &(j, at) in &self.tenants {
            if needs[i].meets(&needs[j]) {
                if apart.contains(&(i.min(j), i.max(j))) {
                    return None;
                }
                beside.push((at, at + needs[j].bytes));
            }
        }
        beside.sort_unstable();
        beside.push((self.bytes, self.bytes));
        let (mut free, mut best) = (0, None);
        for (from, to) in beside {
            // Neighbours of this one need not be alive together, and may overlap each other.
            if from >= free + needs[i].bytes && best.is_none_or(|(gap, _)| from - free < gap) {
                best = Some((from - free, free));
            }
            free = free.max(to.next_multiple_of(ALIGN));
        }
        best
    }
}

/// Places all of `needs`. The same needs are always placed alike.
pub(super) fn lay_out(needs: &[Need], apart: &Apart) -> Layout {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|&i| (Reverse(needs[i].bytes), needs[i].first));
    let mut slots: Vec<Slot> = Vec::new();
    let mut places = vec![(0, 0); needs.len()];
    for i in order {
        let gaps = slots.iter().enumerate();
        let gaps = gaps.filter_map(|(s, slot)| slot.gap(i, needs, apart).map(|(gap, at)| (gap, s, at)));
        let (s, at) = match gaps.min() {
            Some((_, s, at)) => (s, at),
            None => {
                slots.push(Slot { bytes: needs[i].bytes.next_multiple_of(ALIGN), tenants: Vec::new() });
                (slots.len() - 1, 0)
            }
        };
        slots[s].tenants.push((i, at));
        places[i] = (s, at);
    }
    Layout { slots: slots.iter().map(|s| s.bytes).collect(), places }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(bytes: u64, first: usize, last: usize) -> Need {
        Need { bytes, first, last }
    }

    #[test]
    fn what_is_never_alive_together_shares() {
        let one_after_the_other = [need(1000, 0, 1), need(600, 2, 3), need(900, 4, 9)];
        assert_eq!(lay_out(&one_after_the_other, &Apart::new()).slots, [1024]);
        // Two small ones side by side where a large one was; the last command of one and the first of another may not share.
        let beside = [need(1024, 0, 1), need(512, 2, 4), need(512, 3, 5), need(256, 5, 6)];
        let layout = lay_out(&beside, &Apart::new());
        assert_eq!((layout.slots, layout.places[3].1), (vec![1024], 0), "{:?}", layout.places);
        let apart = lay_out(&beside, &Apart::from([(1, 2)]));
        assert_eq!(apart.slots, [1024, 512]);
        assert!(lay_out(&[], &Apart::new()).slots.is_empty());
    }

    /// Random lives: nobody is written over while alive, and nobody lies outside a buffer or where a binding may not begin.
    #[test]
    fn nobody_overlaps_while_alive() {
        let mut state = 1u64;
        let mut draw = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for _ in 0..50 {
            let needs: Vec<Need> = (0..80)
                .map(|_| {
                    let first = draw(100) as usize;
                    need(16 * (1 + draw(4) * draw(500)), first, first + draw(20) as usize)
                })
                .collect();
            let meet = |i: usize, j: usize| needs[i].meets(&needs[j]);
            let pairs: Vec<(usize, usize)> = (0..80).flat_map(|i| (i + 1..80).map(move |j| (i, j))).collect();
            let apart: Apart = pairs.iter().copied().filter(|&(i, j)| meet(i, j) && draw(10) == 0).collect();
            let Layout { slots, places } = lay_out(&needs, &apart);
            for (need, (s, at)) in needs.iter().zip(&places) {
                assert!(at % ALIGN == 0 && at + need.bytes <= slots[*s]);
            }
            for (i, j) in pairs.into_iter().filter(|&(i, j)| meet(i, j)) {
                let ((s, a), (t, b)) = (places[i], places[j]);
                let disjoint = a + needs[i].bytes <= b || b + needs[j].bytes <= a;
                assert!(s != t || disjoint && !apart.contains(&(i, j)), "{:?} {:?}", needs[i], needs[j]);
            }
            let all: u64 = needs.iter().map(|n| n.bytes).sum();
            assert!(2 * slots.iter().sum::<u64>() < all, "nothing was shared");
        }
    }
}
