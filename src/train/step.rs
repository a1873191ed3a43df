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
#[cfg(feature = "train")]
use crate::train::cache::TeacherCache;
use crate::train::heads::Heads;
use crate::train::inputs::{BatchSlot, Inputs};
use crate::train::learner::Learner;
use crate::train::terms::{LossTerms, Term};
use crate::{Error, Result};

/// What a step works on.
pub(crate) struct Parts<'a> {
    pub gpu: &'a Gpu,
    pub inputs: &'a Inputs,
    /// One, or several that learn from each other (deep mutual learning: Zhang et al. 2018, arXiv 1706.00384).
    pub learners: &'a [Learner],
    /// What the teachers say of the batch, where that is known beforehand; otherwise they are asked in the step.
    pub taught: Option<&'a [TeacherOutputs]>,
}

/// Steps that follow one another in the same memory: the first is recorded, later ones are replayed.
pub(crate) struct RecordedStep {
    place: BatchSlot,
    work: Work,
    /// The teachers' part, where it is a recording of its own, and where their answers lie.
    #[cfg(feature = "train")]
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

impl RecordedStep {
    /// For batches like this one, which it holds already.
    pub(crate) fn new(gpu: &Gpu, inputs: &Inputs, batch: &Batch, tasks: &[usize], balanced: bool) -> Result<Self> {
        let work = if balanced { Work::Halves(None) } else { Work::Whole(ReplayedStep::default()) };
        Ok(RecordedStep {
            place: inputs.place(gpu, batch, tasks)?,
            work,
            #[cfg(feature = "train")]
            lessons: None,
        })
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
    fn forget(&mut self) {
        self.work = match self.work {
            Work::Whole(_) => Work::Whole(ReplayedStep::default()),
            Work::Halves(_) => Work::Halves(None),
        };
    }

    /// Lets `learners` take a step on the batch at hand at this learning rate; `taught` as in [`Parts`].
    pub(crate) fn take(
        &mut self,
        (gpu, inputs): (&Gpu, &Inputs),
        learners: &mut [Learner],
        taught: Option<&[TeacherOutputs]>,
        lr: f32,
    ) -> Result<()> {
        // Each of them is asked, so nothing ends at the first that has changed.
        if learners.iter_mut().fold(false, |any, learner| std::mem::take(&mut learner.changed) | any) {
            self.forget();
        }
        learners.iter_mut().try_for_each(|learner| learner.prepare(gpu, lr))?;
        // The weights are found while the learners are read.
        let mut balancing = learners.first_mut().and_then(|first| first.balancing.take());
        let done = self.run(&Parts { gpu, inputs, learners, taught }, balancing.as_mut());
        if let Some(first) = learners.first_mut() {
            first.balancing = balancing;
        }
        done?;
        learners.iter_mut().for_each(|learner| learner.log.advance());
        Ok(())
    }

    fn run(&mut self, parts: &Parts, balancing: Option<&mut Balancing>) -> Result<()> {
        let place = &self.place;
        match (&mut self.work, balancing) {
            (Work::Whole(repeat), None) => repeat.run(parts.gpu, || parts.whole(place)),
            (Work::Halves(halves), Some(balancing)) => parts.halves(place, halves, balancing),
            _ => Err(Error::Invalid("a step was prepared for another way of balancing".into())),
        }
    }

    /// The teachers' answers about the batch at hand, which the place holds: from the cache if it has them, else from the teachers,
    /// and then kept.
    #[cfg(feature = "train")]
    pub(crate) fn teach(
        &mut self,
        parts: &Parts,
        cache: &mut TeacherCache,
        batch: &Batch,
        open: &mut dyn FnMut(&mut TeacherCache, &[TeacherOutputs]) -> Result<()>,
    ) -> Result<Vec<TeacherOutputs>> {
        let (gpu, terms) = (parts.gpu, &parts.only()?.terms);
        let place = &self.place;
        let ask = || {
            let x = parts.inputs.training_input(gpu, place)?;
            terms.teach(gpu, &x)
        };
        let (program, taught, fresh) = match self.lessons.take() {
            Some((program, taught)) => (program, taught, false),
            None => {
                let (program, taught) = gpu.capture(ask)?;
                (program, taught, true)
            }
        };
        open(cache, &taught)?;
        if !cache.find(gpu, batch, terms, &taught)? {
            // A recording has just been run.
            if !fresh {
                program.replay()?;
            }
            cache.keep(gpu, batch, terms, &taught)?;
        }
        self.lessons = Some((program, taught.clone()));
        Ok(taught)
    }

    /// Scales the terms of `learner` that are to be scaled, as soon as the labels of the batch at hand let it: before its first step, else
    /// during the first epoch. Gives the products of the terms' gradients as in [`RecordedStep::probe`], if they had to be computed or are
    /// `wanted`.
    pub(crate) fn measure(
        &mut self,
        (gpu, inputs): (&Gpu, &Inputs),
        learner: &mut Learner,
        taught: Option<&[TeacherOutputs]>,
        wanted: bool,
    ) -> Result<Option<Vec<f64>>> {
        let scale = learner.wants_scales();
        if !scale && !wanted {
            return Ok(None);
        }
        // What is to be recorded again does not lie in memory beside the measurement.
        if learner.changed {
            self.forget();
        }
        let mut products = self.probe(gpu, inputs, (&learner.network, &learner.terms), taught)?;
        if scale {
            learner.scale(&mut products);
        }
        Ok(Some(products))
    }

    /// How strongly each term of `terms` pulls at the output of the trunk of `network`: the products of the terms' gradients with each
    /// other, `[terms, terms]`. Changes nothing that training reads.
    pub(crate) fn probe(
        &self,
        gpu: &Gpu,
        inputs: &Inputs,
        (network, terms): (&Network, &LossTerms),
        taught: Option<&[TeacherOutputs]>,
    ) -> Result<Vec<f64>> {
        let groups: Vec<Vec<usize>> = (0..terms.terms().len()).map(|i| vec![i]).collect();
        let log = LossLog::new(gpu, terms.names().to_vec(), 1)?;
        let statistics = network.params().statistics();
        let kept = Tensor::empty(gpu, statistics.shape())?;
        kept.copy_from(gpu, statistics)?;
        let (loss_terms, groups, level) = (terms, groups.as_slice(), Level::Features);
        let balanced = BalancedStep { gpu, inputs, network, loss_terms, groups, level, taught };
        let pending = balanced.run(&self.place, &log)?;
        statistics.copy_from(gpu, &kept)?;
        Ok(pending.gramian.to_f32(gpu)?.into_iter().map(f64::from).collect())
    }
}

/// Lets learners take their steps: the first step on batches of one size is recorded, later ones are replayed.
#[derive(Default)]
pub struct StepRecorder {
    recorded: Option<RecordedStep>,
}

impl StepRecorder {
    /// Lets `learners` take a step at this learning rate on `batch`, one of `inputs`: one learner, or several that learn from each other
    /// ([`LossTerms::mutual`]). Always the same learners and inputs, which step by no other recorder. Before the first step of each epoch
    /// belongs [`Learner::begin_epoch`].
    ///
    /// Methods with `cap` or `normalize` are measured against the labels before the first step whose batch has labels of the task, which
    /// takes as long as some steps; after the first epoch it is no longer tried ([`Learner::unscaled`]).
    ///
    /// # Errors
    /// [`Error::Invalid`] for learners that cannot take a step together, and for a head of a task that `inputs` does not have;
    /// [`Error::NonFinite`] where a loss is not finite, some steps later, as losses are read for many steps at once.
    pub fn step(&mut self, gpu: &Gpu, inputs: &Inputs, batch: &Batch, learners: &mut [Learner], lr: f32) -> Result<()> {
        check(learners)?;
        let mut own = match self.recorded.take() {
            Some(own) if own.fits(batch) => {
                own.write(gpu, batch)?;
                own
            }
            _ => {
                let first = &learners[0];
                RecordedStep::new(gpu, inputs, batch, &inputs.tasks_of(&first.network)?, first.balancing.is_some())?
            }
        };
        learners.iter_mut().filter(|learner| learner.log.full()).try_for_each(|learner| learner.flush(gpu))?;
        if let [learner] = learners {
            own.measure((gpu, inputs), learner, None, false)?;
        }
        own.take((gpu, inputs), learners, None, lr)?;
        self.recorded = Some(own);
        Ok(())
    }
}

/// Refuses learners that cannot take a step together.
fn check(learners: &[Learner]) -> Result<()> {
    let tasks = |learner: &Learner| -> Vec<String> {
        learner.network.spec().heads.iter().map(|head| head.task.clone()).collect()
    };
    let message = match learners {
        [] => "a step needs a learner",
        [_] => return Ok(()),
        [first, rest @ ..] if rest.iter().any(|learner| tasks(learner) != tasks(first)) => {
            "learners that take a step together need heads for the same tasks, in the same order"
        }
        all if all.iter().any(|learner| learner.terms.teachers().len() + 1 != all.len()) => {
            "each of several learners learns from all others: make their terms by LossTerms::mutual"
        }
        all if all.iter().any(|learner| learner.terms.terms().iter().any(Term::is_scaled)) => {
            "cap and normalize do not go with learners that learn from each other: begin with MethodConfig::published"
        }
        all if all.iter().any(|learner| learner.balancing.is_some()) => {
            "learners that learn from each other cannot be balanced"
        }
        _ => return Ok(()),
    };
    Err(Error::Invalid(message.into()))
}

impl Parts<'_> {
    /// The one learner of a step that is balanced, or whose teachers are asked.
    fn only(&self) -> Result<&Learner> {
        match self.learners {
            [learner] => Ok(learner),
            all => Err(Error::Invalid(format!("{} learners in a step for one", all.len()))),
        }
    }

    /// Forward, losses, backward and update on the batch in `place`. Learners that teach each other take what the others say as given.
    fn whole(&self, place: &BatchSlot) -> Result<()> {
        let gpu = self.gpu;
        let x = self.inputs.training_input(gpu, place)?;
        // The teachers first: none of their activations then lies beside the student's.
        let mut taught = match (self.learners, self.taught) {
            (_, Some(taught)) => taught.to_vec(),
            ([learner], None) => learner.terms.teach(gpu, &x)?,
            _ => Vec::new(),
        };
        let mut runs = Vec::new();
        for learner in self.learners {
            let mut tape = Tape::new();
            let features = learner.network.features(gpu, &mut tape, Mode::Train, &Var::constant(x.clone()))?;
            runs.push((tape, features, Heads::new(&learner.network, Mode::Train)));
        }
        drop(x);
        let mut labels = self.inputs.training_labels(gpu, place)?;
        let mut said = Vec::new();
        if self.learners.len() > 1 {
            for (tape, features, heads) in &mut runs {
                let all = 0..labels.len();
                let outputs = all.map(|k| heads.forward(gpu, tape, k, features)).collect::<Result<Vec<_>>>()?;
                said.push(TeacherOutputs::values(&outputs, features));
            }
        }
        for (i, (learner, (mut tape, features, mut heads))) in self.learners.iter().zip(runs).enumerate() {
            let others = said.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, taught)| taught.clone());
            taught.extend(others);
            let all: Vec<usize> = (0..learner.terms.terms().len()).collect();
            let mut losses = LossRecorder { gpu, tape: &mut tape, log: &learner.log };
            learner.terms.apply_to(&mut losses, &all, &mut heads, &features, &taught, &labels)?;
            // The tape holds what the way back needs; the rest may go.
            drop((features, heads));
            taught.clear();
            if i + 1 == self.learners.len() {
                labels.clear();
                said.clear();
            }
            let grads = tape.backward(gpu)?;
            learner.network.params().zero_untouched(gpu, &grads)?;
        }
        self.close()
    }

    /// The end of a step: everything takes its step, and methods keep what later steps need.
    fn close(&self) -> Result<()> {
        self.learners.iter().try_for_each(|learner| learner.apply(self.gpu))
    }

    fn halves(&self, place: &BatchSlot, halves: &mut Option<Box<Halves>>, balancing: &mut Balancing) -> Result<()> {
        let (gpu, inputs, taught) = (self.gpu, self.inputs, self.taught);
        let Learner { network, terms: loss_terms, log, .. } = self.only()?;
        let groups = balancing.groups().to_vec();
        let (groups, level) = (groups.as_slice(), balancing.level());
        let balanced = BalancedStep { gpu, inputs, network, loss_terms, groups, level, taught };
        match halves {
            Some(h) => {
                h.first.replay()?;
                self.compute_weights(&h.gramian, (&h.weights, &h.own), balancing)?;
                h.second.replay()?;
            }
            None => {
                let (first, pending) = gpu.capture(|| balanced.run(place, log))?;
                let gramian = pending.gramian.clone();
                let weights = Tensor::from_f32(gpu, &vec![1.0; groups.len()], &[groups.len()])?;
                let own = Tensor::from_f32(gpu, &vec![1.0; groups.len()], &[groups.len()])?;
                self.compute_weights(&gramian, (&weights, &own), balancing)?;
                let (second, ()) = gpu.capture(|| {
                    balanced.combine(pending, &weights, &own)?;
                    self.close()
                })?;
                let after = match balancing.wants_losses_after() {
                    true => Some((ReplayedStep::default(), LossLog::new(gpu, loss_terms.names().to_vec(), 1)?)),
                    false => None,
                };
                *halves = Some(Box::new(Halves { first, second, gramian, weights, own, after }));
            }
        }
        if let Some((repeat, log)) = halves.as_mut().and_then(|h| h.after.as_mut()) {
            log.prepare(gpu)?;
            repeat.run(gpu, || balanced.losses(place, log))?;
            log.advance();
            let row = log.take(gpu)?.pop().unwrap_or_default();
            balancing.after(loss_terms, &row)?;
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
        let (gpu, learner) = (self.gpu, self.only()?);
        let row = if balancing.wants_losses() { learner.log.peek(gpu)? } else { Vec::new() };
        let products = match balancing.level() {
            Level::Nowhere => None,
            _ => Some(gramian.to_f32(gpu)?.into_iter().map(f64::from).collect()),
        };
        let found = balancing.compute_weights(&learner.terms, &row, products)?;
        weights.write_f32(gpu, &found)?;
        if balancing.scales_heads() {
            own.write_f32(gpu, &found)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
