//! The heads of a student in one step: each runs once a tape, and its running statistics take a batch once.

use std::collections::{BTreeMap, BTreeSet};

use crate::Result;
use crate::gpu::Gpu;
use crate::loss::{Assigned, LossRecorder};
use crate::nn::{Features, HeadOutputs, Mode, Network};
use crate::tape::{Tape, Var};

/// The heads of a network in one step.
pub(crate) struct Heads<'a> {
    network: &'a Network,
    /// Those that have run before, on whatever tape: running statistics take a batch once.
    seen: BTreeSet<usize>,
    mode: Mode,
    said: BTreeMap<usize, HeadOutputs<Var>>,
    /// Of detectors, by head.
    pub(crate) assigned: BTreeMap<usize, Assigned>,
}

impl<'a> Heads<'a> {
    /// In training, or for a look.
    pub(crate) fn new(network: &'a Network, mode: Mode) -> Self {
        Heads { network, seen: BTreeSet::new(), mode, said: BTreeMap::new(), assigned: BTreeMap::new() }
    }

    /// What head `k` says, which runs on the losses' tape unless it has already.
    pub(crate) fn run(
        &mut self,
        losses: &mut LossRecorder,
        k: usize,
        features: &Features<Var>,
    ) -> Result<HeadOutputs<Var>> {
        if let Some(said) = self.said.get(&k) {
            return Ok(said.clone());
        }
        self.forward(losses.gpu, losses.tape, k, features)
    }

    /// Runs head `k` on `tape`.
    pub(crate) fn forward(
        &mut self,
        gpu: &Gpu,
        tape: &mut Tape,
        k: usize,
        features: &Features<Var>,
    ) -> Result<HeadOutputs<Var>> {
        let first = self.seen.insert(k);
        let mode = if first { self.mode } else { Mode::TrainNoStats };
        let said = self.network.head(gpu, tape, mode, k, features)?;
        self.said.insert(k, said.clone());
        Ok(said)
    }

    /// Forgets what the heads said: what follows is on another tape.
    pub(crate) fn forget(&mut self) {
        self.said.clear();
    }
}
