//! One training step, recorded the first time and replayed afterwards.
//!
//! Where the terms' weights are constants a step is one recording. Otherwise it is two: the first gives the losses and, where
//! the method wants it, the products of the groups' gradients; the weights are found on the processor; the second goes on
//! with them. Some dozen numbers cross over, no gradient does.

use crate::data::loader::Batch;
use crate::distill::TeacherOutputs;
use crate::gpu::{Gpu, Program, ReplayedStep};
use crate::loss::{LossLog, LossRecorder};
use crate::nn::{Mode, Network};
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;
use crate::train::balanced_step::{BalancedStep, Level};
use crate::train::balancing::Balancing;
use crate::train::cache::TeacherCache;
use crate::train::feed::{BatchSlot, Inputs};
use crate::train::heads::Heads;
use crate::train::state::ParamGroups;
use crate::train::terms::LossTerms;
use crate::{Error, Result};

/// What a step works on.
pub(crate) struct Parts<'a> {
    pub gpu: &'a Gpu,
    pub feed: &'a Inputs,
    pub network: &'a Network,
    pub objective: &'a LossTerms,
    pub trained: &'a ParamGroups<'a>,
    pub ledger: &'a LossLog,
    /// Networks that learn along.
    pub peers: &'a [Peer],
    /// What the teachers say of the batch, where that is known beforehand; otherwise they are asked in the step.
    pub taught: Option<&'a [TeacherOutputs]>,
}

/// A network that learns along with the student, each from the other (deep mutual learning: Zhang et al. 2018, arXiv 1706.00384).
pub(crate) struct Peer {
    pub network: Network,
    pub objective: LossTerms,
    pub ledger: LossLog,
}

/// Steps that follow one another in the same memory.
pub(crate) struct StepRecorder {
    place: BatchSlot,
    work: Work,
    /// The teachers' part, where it is a recording of its own, and where their answers lie.
    lessons: Option<(Program, Vec<TeacherOutputs>)>,
}

enum Work {
    Whole(ReplayedStep),
    Halves(Option<Box<Halves>>),
}

/// A step in two recordings, with what passes between them.
struct Halves {
    first: Program,
    second: Program,
    gramian: Tensor,
    weights: Tensor,
    own: Tensor,
    after: Option<(ReplayedStep, LossLog)>,
}

impl StepRecorder {
    /// For batches like this one, which it holds already.
    pub(crate) fn new(gpu: &Gpu, feed: &Inputs, batch: &Batch, tasks: &[usize], balanced: bool) -> Result<Self> {
        let work = if balanced { Work::Halves(None) } else { Work::Whole(ReplayedStep::default()) };
        Ok(StepRecorder { place: feed.place(gpu, batch, tasks)?, work, lessons: None })
    }

    /// Whether `batch` has the shape of the others.
    pub(crate) fn fits(&self, batch: &Batch) -> bool {
        self.place.fits(batch)
    }

    /// Takes the next batch.
    pub(crate) fn write(&self, gpu: &Gpu, batch: &Batch) -> Result<()> {
        self.place.write(gpu, batch)
    }

    /// Forgets what was recorded: something that was constant has changed.
    pub(crate) fn forget(&mut self) {
        self.work = match self.work {
            Work::Whole(_) => Work::Whole(ReplayedStep::default()),
            Work::Halves(_) => Work::Halves(None),
        };
    }

    /// A step on the batch at hand.
    pub(crate) fn run(&mut self, parts: &Parts, balancing: Option<&mut Balancing>) -> Result<()> {
        let place = &self.place;
        match (&mut self.work, balancing) {
            (Work::Whole(repeat), None) => repeat.run(parts.gpu, || parts.whole(place)),
            (Work::Halves(halves), Some(balancing)) => parts.halves(place, halves, balancing),
            _ => Err(Error::Invalid("a step was prepared for another way of balancing".into())),
        }
    }

    /// The teachers' answers about the batch at hand, which the place holds: from the cache if it has them, else from the teachers,
    /// and then kept.
    pub(crate) fn teach(
        &mut self,
        parts: &Parts,
        cache: &mut TeacherCache,
        batch: &Batch,
        open: &mut dyn FnMut(&mut TeacherCache, &[TeacherOutputs]) -> Result<()>,
    ) -> Result<Vec<TeacherOutputs>> {
        let gpu = parts.gpu;
        let place = &self.place;
        let ask = || {
            let x = parts.feed.training_input(gpu, place)?;
            parts.objective.teach(gpu, &x)
        };
        let (program, taught, fresh) = match self.lessons.take() {
            Some((program, taught)) => (program, taught, false),
            None => {
                let (program, taught) = gpu.capture(ask)?;
                (program, taught, true)
            }
        };
        open(cache, &taught)?;
        if !cache.find(gpu, batch, parts.objective, &taught)? {
            // A recording has just been run.
            if !fresh {
                program.replay()?;
            }
            cache.keep(gpu, batch, parts.objective, &taught)?;
        }
        self.lessons = Some((program, taught.clone()));
        Ok(taught)
    }

    /// How strongly each term pulls at the trunk's output: the products of the terms' gradients with each other,
    /// `[terms, terms]`. Changes nothing.
    pub(crate) fn probe(&self, parts: &Parts) -> Result<Vec<f64>> {
        let gpu = parts.gpu;
        let groups: Vec<Vec<usize>> = (0..parts.objective.terms().len()).map(|i| vec![i]).collect();
        let ledger = LossLog::new(gpu, parts.objective.names().to_vec(), 1)?;
        let statistics = parts.network.params().statistics();
        let kept = Tensor::empty(gpu, statistics.shape())?;
        kept.copy_from(gpu, statistics)?;
        let judged = parts.judge(&groups, Level::Features).run(&self.place, &ledger)?;
        statistics.copy_from(gpu, &kept)?;
        Ok(judged.gramian.to_f32(gpu)?.into_iter().map(f64::from).collect())
    }
}

impl Parts<'_> {
    fn judge<'a>(&'a self, groups: &'a [Vec<usize>], level: Level) -> BalancedStep<'a> {
        let Parts { gpu, feed, network, objective, taught, .. } = *self;
        BalancedStep { gpu, feed, network, objective, groups, level, taught }
    }

    /// Forward, losses, backward and update on the batch in `place`.
    fn whole(&self, place: &BatchSlot) -> Result<()> {
        let gpu = self.gpu;
        let x = self.feed.training_input(gpu, place)?;
        if !self.peers.is_empty() {
            return self.mutual(place, x);
        }
        // The teachers first: none of their activations then lies beside the student's.
        let taught = match self.taught {
            Some(taught) => taught.to_vec(),
            None => self.objective.teach(gpu, &x)?,
        };
        let mut tape = Tape::new();
        let features = self.network.features(gpu, &mut tape, Mode::Train, &Var::constant(x))?;
        let all: Vec<usize> = (0..self.objective.terms().len()).collect();
        let labels = self.feed.training_labels(gpu, place)?;
        let mut heads = Heads::new(self.network, Mode::Train);
        let mut losses = LossRecorder { gpu, tape: &mut tape, ledger: self.ledger };
        self.objective.apply(&mut losses, &all, &mut heads, &features, &taught, &labels)?;
        // The tape holds what the way back needs; the rest may go.
        drop((features, taught, heads, labels));
        let grads = tape.backward(gpu)?;
        self.network.params().zero_untouched(gpu, &grads)?;
        self.close()
    }

    /// The end of a step: everything takes its step, and methods keep what later steps need.
    fn close(&self) -> Result<()> {
        self.trained.apply(self.gpu)?;
        let peers = self.peers.iter().map(|p| &p.objective);
        std::iter::once(self.objective).chain(peers).try_for_each(|o| o.update_memory(self.gpu))
    }

    /// [`Parts::whole`] for networks that teach each other: each takes what the others say as given.
    fn mutual(&self, place: &BatchSlot, x: Tensor) -> Result<()> {
        let gpu = self.gpu;
        let peers = self.peers.iter().map(|p| (&p.network, &p.objective, &p.ledger));
        let all: Vec<_> = std::iter::once((self.network, self.objective, self.ledger)).chain(peers).collect();
        let labels = self.feed.training_labels(gpu, place)?;
        let mut runs = Vec::new();
        let mut said = Vec::new();
        for (network, ..) in &all {
            let mut tape = Tape::new();
            let features = network.features(gpu, &mut tape, Mode::Train, &Var::constant(x.clone()))?;
            let mut heads = Heads::new(network, Mode::Train);
            let all = 0..labels.len();
            let outputs = all.map(|k| heads.forward(gpu, &mut tape, k, &features)).collect::<Result<Vec<_>>>()?;
            said.push(TeacherOutputs::values(&outputs, &features));
            runs.push((tape, features, heads));
        }
        for (i, ((network, objective, ledger), (mut tape, features, mut heads))) in
            all.into_iter().zip(runs).enumerate()
        {
            let others: Vec<TeacherOutputs> =
                said.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, taught)| taught.clone()).collect();
            let chosen: Vec<usize> = (0..objective.terms().len()).collect();
            let mut losses = LossRecorder { gpu, tape: &mut tape, ledger };
            objective.apply_to(&mut losses, &chosen, &mut heads, &features, &others, &labels)?;
            drop((features, heads));
            let grads = tape.backward(gpu)?;
            network.params().zero_untouched(gpu, &grads)?;
        }
        self.close()
    }

    fn halves(&self, place: &BatchSlot, halves: &mut Option<Box<Halves>>, balancing: &mut Balancing) -> Result<()> {
        let gpu = self.gpu;
        let groups = balancing.groups().to_vec();
        let judge = self.judge(&groups, balancing.level());
        match halves {
            Some(h) => {
                h.first.replay()?;
                self.compute_weights(&h.gramian, (&h.weights, &h.own), balancing)?;
                h.second.replay()?;
            }
            None => {
                let (first, judged) = gpu.capture(|| judge.run(place, self.ledger))?;
                let gramian = judged.gramian.clone();
                let weights = Tensor::from_f32(gpu, &vec![1.0; groups.len()], &[groups.len()])?;
                let own = Tensor::from_f32(gpu, &vec![1.0; groups.len()], &[groups.len()])?;
                self.compute_weights(&gramian, (&weights, &own), balancing)?;
                let (second, ()) = gpu.capture(|| {
                    judge.combine(judged, &weights, &own)?;
                    self.close()
                })?;
                let after = match balancing.wants_losses_after() {
                    true => Some((ReplayedStep::default(), LossLog::new(gpu, self.objective.names().to_vec(), 1)?)),
                    false => None,
                };
                *halves = Some(Box::new(Halves { first, second, gramian, weights, own, after }));
            }
        }
        if let Some((repeat, ledger)) = halves.as_mut().and_then(|h| h.after.as_mut()) {
            ledger.prepare(gpu)?;
            repeat.run(gpu, || judge.losses(place, ledger))?;
            ledger.advance();
            let row = ledger.take(gpu)?.pop().unwrap_or_default();
            balancing.after(self.objective, &row)?;
        }
        Ok(())
    }

    /// Finds the groups' weights and puts them where the second half reads them.
    fn compute_weights(
        &self,
        gramian: &Tensor,
        (weights, own): (&Tensor, &Tensor),
        balancing: &mut Balancing,
    ) -> Result<()> {
        let gpu = self.gpu;
        let row = if balancing.wants_losses() { self.ledger.peek(gpu)? } else { Vec::new() };
        let products = match balancing.level() {
            Level::Nowhere => None,
            _ => Some(gramian.to_f32(gpu)?.into_iter().map(f64::from).collect()),
        };
        let found = balancing.compute_weights(self.objective, &row, products)?;
        weights.write_f32(gpu, &found)?;
        if balancing.scales_heads() {
            own.write_f32(gpu, &found)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
