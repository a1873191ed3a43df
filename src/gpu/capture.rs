//! A program in the making: commands as plain data, and how long each temporary lives.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::thread::{self, ThreadId};

use super::layout::{Apart, Need};
use super::pipeline::Kernel;
use super::pool::{Buffer, RecordingId};
use super::view::{Region, View};

/// Memory that a command uses.
pub(super) enum Operand {
    /// It was there before, or was uploaded.
    Lasting(Region),
    /// A part of what the step itself asked for, by its number among [`Capture::own`].
    Own { number: usize, offset: u64, size: u64 },
}

/// One command as it was recorded.
pub(super) enum Step {
    Dispatch { kernel: Arc<Kernel>, storage: Vec<Operand>, words: Vec<u8>, groups: [u32; 3], cost: u64 },
    Copy { from: Operand, to: Operand },
}

/// Memory that the step asked for.
pub(super) struct Own {
    /// Still there when the recording ends if somebody kept it.
    pub buffer: Weak<Buffer>,
    need: Need,
    /// Read before any command wrote it.
    read_first: bool,
}

impl Own {
    /// How much is needed, and for how long. What is read before it is written may carry something over from one replay to
    /// the next, so nobody else may have it in between.
    pub(super) fn need(&self) -> Need {
        match self.read_first {
            true => Need { first: 0, last: usize::MAX, ..self.need },
            false => self.need,
        }
    }
}

pub(super) struct Capture {
    thread: ThreadId,
    pub id: RecordingId,
    pub steps: Vec<Step>,
    /// What was there before, and uploads: kept for as long as the program lives.
    pub held: HashMap<u64, Arc<Buffer>>,
    pub own: Vec<Own>,
    /// Numbers in `own`, by loan: one memory may be lent several times.
    numbers: HashMap<u64, usize>,
    /// What some dispatch binds together and writes, at least one of the two.
    pub apart: Apart,
}

impl Capture {
    /// A recording of this thread.
    pub(super) fn new(id: RecordingId) -> Self {
        Capture {
            thread: thread::current().id(),
            id,
            steps: Vec::new(),
            held: HashMap::new(),
            own: Vec::new(),
            numbers: HashMap::new(),
            apart: Apart::new(),
        }
    }

    /// Whether it records this thread: others may use the device meanwhile, and none of that belongs to the program.
    pub(super) fn is_mine(&self) -> bool {
        self.thread == thread::current().id()
    }

    /// Notes that the next command uses `view`.
    fn operand(&mut self, view: &View, writes: bool) -> Operand {
        let Some(loan) = view.buffer.loan_of(self.id) else {
            self.held.entry(view.buffer.id()).or_insert_with(|| view.buffer.clone());
            return Operand::Lasting(Region::of(view));
        };
        let now = self.steps.len();
        let number = *self.numbers.entry(loan).or_insert_with(|| {
            let need = Need { bytes: 0, first: now, last: now };
            self.own.push(Own { buffer: Arc::downgrade(&view.buffer), need, read_first: !writes });
            self.own.len() - 1
        });
        let need = &mut self.own[number].need;
        need.last = now;
        need.bytes = need.bytes.max(view.offset + view.size);
        Operand::Own { number, offset: view.offset, size: view.size }
    }

    fn operands(&mut self, views: &[(&View, bool)]) -> Vec<Operand> {
        let operands: Vec<Operand> = views.iter().map(|(view, writes)| self.operand(view, *writes)).collect();
        for (i, (a, (_, a_writes))) in operands.iter().zip(views).enumerate() {
            for (b, (_, b_writes)) in operands.iter().zip(views).take(i) {
                if let (Operand::Own { number: a, .. }, Operand::Own { number: b, .. }, true) =
                    (a, b, *a_writes || *b_writes)
                {
                    self.apart.insert((*a.min(b), *a.max(b)));
                }
            }
        }
        operands
    }

    pub(super) fn copy(&mut self, from: &View, to: &View) {
        let mut both = self.operands(&[(from, false), (to, true)]);
        if let (Some(to), Some(from)) = (both.pop(), both.pop()) {
            self.steps.push(Step::Copy { from, to });
        }
    }

    pub(super) fn dispatch(&mut self, kernel: &Arc<Kernel>, views: &[View], words: &[u8], groups: [u32; 3], cost: u64) {
        let writes = kernel.interface.bindings.iter().map(|b| !b.read_only);
        let storage = self.operands(&views.iter().zip(writes).collect::<Vec<_>>());
        self.steps.push(Step::Dispatch { kernel: kernel.clone(), storage, words: words.to_vec(), groups, cost });
    }
}
