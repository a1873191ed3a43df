//! The first half of a step whose weights are not known beforehand: what each group of terms asks of the shared trunk.
//!
//! The trunk runs once. Each group of terms then has a tape of its own, which begins at the trunk's output: its backward pass
//! ends there, in a row of its own, so that the groups' gradients stand side by side. How far the trunk's own parameters would
//! be moved is only computed where it is asked for.

use std::collections::BTreeSet;

use crate::distill::{FeatureSite, TeacherOutputs};
use crate::gpu::Gpu;
use crate::kernels::gramian::GradientRows;
use crate::loss::{LossLog, LossRecorder};
use crate::nn::{Context, Features, Mode, Network};
use crate::params::Params;
use crate::tape::{Redirect, Tape, Var};
use crate::tensor::{GradTarget, Tensor};
use crate::train::heads::Heads;
use crate::train::inputs::{BatchSlot, Inputs};
use crate::train::terms::LossTerms;
use crate::{Error, Result};

/// Where the groups' gradients are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Nowhere: the losses' values are enough.
    Nowhere,
    /// At the trunk's output, one backward pass through the trunk (MGDA-UB: Sener & Koltun 2018, arXiv 1810.04650).
    Features,
    /// At the trunk's parameters, one backward pass through the trunk for each group.
    Parameters,
}

/// What takes part in a step.
pub(crate) struct BalancedStep<'a> {
    pub gpu: &'a Gpu,
    pub inputs: &'a Inputs,
    pub network: &'a Network,
    pub loss_terms: &'a LossTerms,
    /// The terms of each group.
    pub groups: &'a [Vec<usize>],
    pub level: Level,
    /// As in [`crate::train::step::Parts`].
    pub taught: Option<&'a [TeacherOutputs]>,
}

/// A step that is waiting for its weights.
pub(crate) struct PendingStep {
    trunk: Tape,
    /// The places of the trunk's output that somebody looks at, with the groups' gradients there.
    outputs: Vec<(Var, GradientRows)>,
    /// The groups' gradients of the trunk's parameters.
    shared: Option<GradientRows>,
    /// The groups' gradients of the heads' parameters.
    heads: GradientRows,
    /// Gradients of what is trained beside the network: the group, where they belong, and where they wait.
    beside: Vec<(usize, Tensor, GradientRows)>,
    /// `[groups, groups]`; not written at [`Level::Nowhere`].
    pub gramian: Tensor,
}

impl BalancedStep<'_> {
    fn groups(&self) -> usize {
        self.groups.len()
    }

    fn teach(&self, x: &Tensor) -> Result<Vec<TeacherOutputs>> {
        match self.taught {
            Some(taught) => Ok(taught.to_vec()),
            None => self.loss_terms.teach(self.gpu, x),
        }
    }

    /// Runs the trunk, the heads and the losses on the batch in `place`; losses go to `log`.
    pub(crate) fn run(&self, place: &BatchSlot, log: &LossLog) -> Result<PendingStep> {
        let gpu = self.gpu;
        let x = self.inputs.training_input(gpu, place)?;
        let taught = self.teach(&x)?;
        let mut trunk = Tape::new();
        let features = self.network.features(gpu, &mut trunk, Mode::Train, &Var::constant(x))?;
        let outputs = self.outputs(&features)?;
        let labels = self.inputs.training_labels(gpu, place)?;
        let mut run = Heads::new(self.network, Mode::Train);
        let head_grads = self.network.head_grads()?;
        let heads = GradientRows::new(gpu, self.groups(), head_grads.len())?;
        let mut beside = Vec::new();
        for (g, terms) in self.groups.iter().enumerate() {
            let mut tape = Tape::new();
            let to = heads.row(g, head_grads.shape())?;
            tape.redirect(Redirect { from: head_grads.clone(), to });
            for params in self.adaptors(terms) {
                let rows = GradientRows::new(gpu, 1, params.grads().len())?;
                let to = rows.row(0, params.grads().shape())?;
                tape.redirect(Redirect { from: params.grads().clone(), to });
                beside.push((g, params.grads().clone(), rows));
            }
            let leaves = self.leaves(&mut tape, &features, &outputs, g)?;
            let mut losses = LossRecorder { gpu, tape: &mut tape, log };
            self.loss_terms.apply(&mut losses, terms, &mut run, &leaves, &taught, &labels)?;
            drop(leaves);
            tape.backward(gpu)?;
        }
        let gramian = Tensor::empty(gpu, &[self.groups(), self.groups()])?;
        let mut shared = None;
        match self.level {
            Level::Nowhere => {}
            Level::Features => {
                for (i, (_, rows)) in outputs.iter().enumerate() {
                    rows.products(gpu, &GradTarget { tensor: gramian.clone(), accumulate: i > 0 })?;
                }
            }
            Level::Parameters => {
                let rows = self.trunk_rows(&trunk, &outputs)?;
                rows.products(gpu, &GradTarget::fresh(gramian.clone()))?;
                shared = Some(rows);
            }
        }
        Ok(PendingStep { trunk, outputs, shared, heads, beside, gramian })
    }

    /// What is trained beside the network for these terms.
    fn adaptors(&self, terms: &[usize]) -> Vec<&Params> {
        let terms: BTreeSet<usize> = terms.iter().copied().collect();
        self.loss_terms.adaptors().into_iter().filter(|(term, _)| terms.contains(term)).map(|(_, p)| p).collect()
    }

    /// The places of the trunk's output that take part. The pooled features are computed from the last map; where that is
    /// looked at itself, it stands for both.
    fn outputs(&self, features: &Features<Var>) -> Result<Vec<(Var, GradientRows)>> {
        let mut vars: Vec<Var> = self.stages(features).into_iter().map(|i| features.maps[i].clone()).collect();
        if !self.ends_in_map(features) {
            vars.push(features.pooled.clone());
        }
        vars.into_iter()
            .map(|var| {
                let rows = GradientRows::new(self.gpu, self.groups(), var.value().len())?;
                Ok((var, rows))
            })
            .collect()
    }

    /// The stages that are looked at.
    fn stages(&self, features: &Features<Var>) -> Vec<usize> {
        if self.network.looks_at_maps() {
            return (0..features.maps.len()).collect();
        }
        let stage = |tap: &FeatureSite| match tap {
            FeatureSite::Stage(i) if *i < features.maps.len() => Some(*i),
            _ => None,
        };
        self.loss_terms.tapped().iter().filter_map(stage).collect()
    }

    fn ends_in_map(&self, features: &Features<Var>) -> bool {
        self.stages(features).last().is_some_and(|i| i + 1 == features.maps.len())
    }

    /// The trunk's output as group `g` sees it: leaves of its own tape.
    fn leaves(
        &self,
        tape: &mut Tape,
        features: &Features<Var>,
        outputs: &[(Var, GradientRows)],
        g: usize,
    ) -> Result<Features<Var>> {
        let mut outputs = outputs.iter();
        let mut leaf = |tape: &mut Tape, var: &Var| {
            let none = || Error::Invalid("an output of the trunk has no place for its gradient".into());
            let (_, rows) = outputs.next().ok_or_else(none)?;
            tape.leaf_at(var.value().clone(), &rows.row(g, var.value().shape())?)
        };
        let mut maps: Vec<Var> = features.maps.iter().map(|m| Var::constant(m.value().clone())).collect();
        for i in self.stages(features) {
            maps[i] = leaf(tape, &features.maps[i])?;
        }
        let pooled = match maps.last() {
            Some(last) if self.ends_in_map(features) => {
                let mut ctx = Context { gpu: self.gpu, tape, params: self.network.params(), mode: Mode::Train };
                ctx.global_avg_pool(last)?
            }
            _ => leaf(tape, &features.pooled)?,
        };
        Ok(Features { pooled, maps, image: features.image })
    }

    /// Every group's way back through the trunk.
    fn trunk_rows(&self, trunk: &Tape, outputs: &[(Var, GradientRows)]) -> Result<GradientRows> {
        let from = self.network.shared_grads()?;
        let shared = GradientRows::new(self.gpu, self.groups(), from.len())?;
        for g in 0..self.groups() {
            let seeds = outputs.iter().map(|(var, rows)| Ok((var, rows.row(g, var.value().shape())?)));
            let seeds: Vec<(&Var, Tensor)> = seeds.collect::<Result<_>>()?;
            let seeds: Vec<(&Var, &Tensor)> = seeds.iter().map(|(var, row)| (*var, row)).collect();
            let to = shared.row(g, from.shape())?;
            trunk.retrace(self.gpu, &seeds, Redirect { from: from.clone(), to })?;
        }
        Ok(shared)
    }

    /// The second half: every gradient, with the groups weighted by `weights` `[groups]`, those of the heads and of what is
    /// trained beside the network by `own` `[groups]`.
    pub(crate) fn combine(&self, pending: PendingStep, weights: &Tensor, own: &Tensor) -> Result<()> {
        let (gpu, from) = (self.gpu, self.network.shared_grads()?);
        let PendingStep { mut trunk, outputs, shared, heads, beside, .. } = pending;
        match shared {
            Some(rows) => rows.combine(gpu, weights, &GradTarget::fresh(from))?,
            None => {
                for (var, rows) in outputs {
                    let sum = Tensor::empty(gpu, var.value().shape())?;
                    rows.combine(gpu, weights, &GradTarget::fresh(sum.clone()))?;
                    trunk.seed(gpu, &var, &sum)?;
                }
                let grads = trunk.backward(gpu)?;
                self.network.params().zero_untouched_in(gpu, &grads, &from)?;
            }
        }
        heads.combine(gpu, own, &GradTarget::fresh(self.network.head_grads()?))?;
        beside.iter().try_for_each(|(g, to, rows)| rows.combine_from(gpu, own, *g, &GradTarget::fresh(to.clone())))
    }

    /// The losses of the batch in `place` as the network now is; to `log`. No gradient, and the running statistics stay as
    /// they are.
    pub(crate) fn losses(&self, place: &BatchSlot, log: &LossLog) -> Result<()> {
        let gpu = self.gpu;
        let x = self.inputs.training_input(gpu, place)?;
        let taught = self.teach(&x)?;
        let mut tape = Tape::off();
        let labels = self.inputs.training_labels(gpu, place)?;
        let features = self.network.features(gpu, &mut tape, Mode::TrainNoStats, &Var::constant(x))?;
        let all: Vec<usize> = self.groups.iter().flatten().copied().collect();
        let mut losses = LossRecorder { gpu, tape: &mut tape, log };
        let mut run = Heads::new(self.network, Mode::TrainNoStats);
        self.loss_terms.apply(&mut losses, &all, &mut run, &features, &taught, &labels)
    }
}
