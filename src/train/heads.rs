//! The heads of a student in one step: each runs once a tape, and its running statistics take a batch once.

use std::collections::{BTreeMap, BTreeSet};

use super::supervision::Assigned;
use crate::Result;
use crate::gpu::Gpu;
use crate::loss::Losses;
use crate::nn::{Features, Mode, Network};
use crate::tape::{Tape, Var};

/// The heads of a network in one step.
pub(super) struct Heads<'a> {
    network: &'a Network,
    /// Those that have run before, on whatever tape: running statistics take a batch once.
    seen: BTreeSet<usize>,
    mode: Mode,
    logits: BTreeMap<usize, Var>,
    /// Of detectors, by head.
    pub(super) assigned: BTreeMap<usize, Assigned>,
}

impl<'a> Heads<'a> {
    /// In training, or for a look.
    pub(super) fn new(network: &'a Network, mode: Mode) -> Self {
        Heads { network, seen: BTreeSet::new(), mode, logits: BTreeMap::new(), assigned: BTreeMap::new() }
    }

    /// The logits of head `k`, which runs on the losses' tape unless it has already.
    pub(super) fn run(&mut self, losses: &mut Losses, k: usize, features: &Features<Var>) -> Result<Var> {
        if let Some(z) = self.logits.get(&k) {
            return Ok(z.clone());
        }
        self.forward(losses.gpu, losses.tape, k, features)
    }

    /// Runs head `k` on `tape`.
    pub(super) fn forward(&mut self, gpu: &Gpu, tape: &mut Tape, k: usize, features: &Features<Var>) -> Result<Var> {
        let first = self.seen.insert(k);
        let mode = if first { self.mode } else { Mode::Look };
        let z = self.network.head(gpu, tape, mode, k, features)?;
        self.logits.insert(k, z.clone());
        Ok(z)
    }

    /// Forgets what the heads said: what follows is on another tape.
    pub(super) fn forget(&mut self) {
        self.logits.clear();
    }
}
