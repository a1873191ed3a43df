//! What a stage minimises: labels for every task, and teachers where it distils.

mod teachers;

#[cfg(feature = "train")]
pub(crate) use teachers::DistillPlan;

use std::collections::BTreeSet;

use crate::distill::{DistillInput, DistillLoss, FeatureSite, TeacherOutputs, TeacherSite};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::loss::{Assigned, LabelLoss, LossRecorder};
use crate::nn::{Features, Network};
use crate::params::Params;
use crate::tape::Var;
use crate::tasks::TaskObjective;
use crate::tensor::Tensor;
use crate::train::heads::Heads;
use crate::train::inputs::Inputs;
use crate::train::teacher_set::Teacher;
use crate::{Error, Result};

/// The terms of a learner's loss: each task's losses on labels, and each method against each teacher.
pub struct LossTerms {
    terms: Vec<Term>,
    names: Vec<String>,
    teachers: Vec<Teacher>,
    /// What each teacher is to keep of its features.
    kept: Vec<Vec<TeacherSite>>,
    /// Where the student is tapped.
    tapped: BTreeSet<FeatureSite>,
}

/// One term: a task's labels, or one method against one teacher of the task.
pub(crate) struct Term {
    /// The task, by its head in the student.
    pub task: usize,
    /// Its weight in the total.
    pub factor: f32,
    /// The same after the warm-up, the part of it that the epoch has, and the warm-up in epochs.
    full: f32,
    part: f32,
    warmup: f64,
    /// The task's weight among the tasks, whatever else weighs the term.
    task_weight: f32,
    /// How it is scaled at the first step to the size of the loss on the labels.
    scaling: Scaling,
    kind: Kind,
}

/// How a term is scaled, as soon as there are labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scaling {
    /// It has its weight.
    None,
    /// A weight of 1 pulls as hard as the labels.
    Normalize,
    /// Of this weight, it pulls no harder than the labels.
    Cap(f32),
}

enum Kind {
    Labels(Box<dyn LabelLoss>),
    Taught { loss: Box<dyn DistillLoss>, teacher: usize, head: usize },
}

impl Term {
    /// Whether it is scaled as soon as there are labels.
    pub fn is_scaled(&self) -> bool {
        self.scaling != Scaling::None
    }

    /// Whether it is the task's own loss.
    pub fn is_labels(&self) -> bool {
        matches!(self.kind, Kind::Labels(_))
    }
}

impl LossTerms {
    /// The labels of the tasks of the heads of `network`, with equal weights and each kind's usual loss.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a head of a task that the data of `inputs` does not have.
    pub fn labels(gpu: &Gpu, inputs: &Inputs, network: &Network) -> Result<Self> {
        let [h, w, _] = inputs.image();
        Self::of_objectives(gpu, &inputs.objectives(network)?, &network.detector_levels([h, w]))
    }

    /// Labels alone; `levels` are those of the network's detectors.
    pub(crate) fn of_objectives(gpu: &Gpu, objectives: &[TaskObjective], levels: &[Level]) -> Result<Self> {
        let mut made = LossTerms {
            terms: Vec::new(),
            names: Vec::new(),
            teachers: Vec::new(),
            kept: Vec::new(),
            tapped: BTreeSet::new(),
        };
        for (task, objective) in objectives.iter().enumerate() {
            made.push_labels(gpu, task, objective, objective.weight, levels)?;
        }
        Ok(made)
    }

    fn push_labels(
        &mut self,
        gpu: &Gpu,
        task: usize,
        objective: &TaskObjective,
        factor: f32,
        levels: &[Level],
    ) -> Result<()> {
        for (name, loss) in objective.losses(gpu, levels)? {
            self.names.push(format!("{}/{name}", objective.task.name));
            let kind = Kind::Labels(loss);
            let task_weight = objective.weight;
            let (full, part, warmup, scaling) = (factor, 1.0, 0.0, Scaling::None);
            self.terms.push(Term { task, factor, full, part, warmup, task_weight, scaling, kind });
        }
        Ok(())
    }

    /// The terms' names: `task/ce`, `task/kd`, ….
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The terms.
    pub(crate) fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Each term's weight in the total.
    #[cfg(feature = "train")]
    pub(crate) fn factors(&self) -> Vec<f32> {
        self.terms.iter().map(|t| t.factor).collect()
    }

    /// Multiplies the terms' weights; where `by` is 0 they stay.
    pub(crate) fn scale(&mut self, by: &[f32]) {
        for (term, by) in self.terms.iter_mut().zip(by).filter(|(_, by)| **by != 0.0) {
            term.full *= by;
            // As at the beginning of an epoch, so that a resumed run has the same bits.
            term.factor = term.full * term.part;
        }
    }

    #[cfg(test)]
    pub(crate) fn scale_methods(&mut self, scaling: Scaling) {
        self.terms.iter_mut().filter(|t| !t.is_labels()).for_each(|t| t.scaling = scaling);
    }

    /// The factors that make each normalised term of weight 1 pull as hard at the trunk's output as its task's loss on the
    /// labels with weight 1, and each capped one no harder; 1 for the other terms, and 0 where it cannot be told, as one of the two
    /// does not pull at all. `products` are those of the terms' weighted gradients.
    pub(crate) fn scales(&self, products: &[f64]) -> Vec<f32> {
        let pull = |i: usize| {
            let factor = f64::from(self.terms[i].factor);
            if factor > 0.0 { products[i * (self.terms.len() + 1)].max(0.0).sqrt() / factor } else { 0.0 }
        };
        // A task's labels may be learnt by several losses, whose gradients add up.
        let labels = |task: usize| {
            let own: Vec<usize> = (0..self.terms.len()).filter(|i| self.is_label_of(*i, task)).collect();
            let row = |i: usize| own.iter().map(move |j| products[i * self.terms.len() + *j]).sum::<f64>();
            let size: f64 = own.iter().map(|i| row(*i)).sum();
            let factor = own.first().map_or(0.0, |i| f64::from(self.terms[*i].factor));
            if factor > 0.0 { size.max(0.0).sqrt() / factor } else { 0.0 }
        };
        let one = |(i, term): (usize, &Term)| match (labels(term.task), pull(i)) {
            _ if term.scaling == Scaling::None => 1.0,
            (labels, own) if labels > 0.0 && own > 0.0 => match term.scaling {
                Scaling::Cap(weight) => (labels / (own * f64::from(weight))).min(1.0) as f32,
                _ => (labels / own) as f32,
            },
            _ => 0.0,
        };
        self.terms.iter().enumerate().map(one).collect()
    }

    fn is_label_of(&self, term: usize, task: usize) -> bool {
        self.terms[term].task == task && self.terms[term].is_labels()
    }

    /// Where the student is tapped.
    pub(crate) fn tapped(&self) -> &BTreeSet<FeatureSite> {
        &self.tapped
    }

    /// What is trained beside the network, by the term it belongs to.
    pub(crate) fn adaptors(&self) -> Vec<(usize, &Params)> {
        let mut all = Vec::new();
        for (i, term) in self.terms.iter().enumerate() {
            if let Kind::Taught { loss, .. } = &term.kind {
                all.extend(loss.params().into_iter().map(|params| (i, params)));
            }
        }
        all
    }

    /// The hashes of the teachers' files.
    #[cfg(feature = "train")]
    pub(crate) fn fingerprints(&self) -> Vec<String> {
        self.teachers.iter().map(|t| format!("{:016x}", t.file_hash)).collect()
    }

    /// The teachers.
    pub(crate) fn teachers(&self) -> &[Teacher] {
        &self.teachers
    }

    /// What each teacher is asked for beside its logits.
    #[cfg(feature = "train")]
    pub(crate) fn kept(&self) -> &[Vec<TeacherSite>] {
        &self.kept
    }

    /// Makes ready for an epoch, counted from 0, of so many; true where a recorded step must be recorded again.
    pub(crate) fn advance(&mut self, epoch: usize, epochs: usize) -> bool {
        let progress = epoch as f64 / epochs.saturating_sub(1).max(1) as f64;
        let mut changed = false;
        for term in &mut self.terms {
            // The first epoch has a part of it already, as in mdistiller.
            let part = if term.warmup > 0.0 { ((epoch + 1) as f64 / term.warmup).min(1.0) } else { 1.0 };
            term.part = part as f32;
            let factor = term.full * term.part;
            changed |= factor != term.factor;
            term.factor = factor;
            if let Kind::Taught { loss, .. } = &mut term.kind {
                changed |= loss.advance(progress);
            }
        }
        changed
    }

    /// Lets every method keep of the step what later ones need.
    pub(crate) fn update_memory(&self, gpu: &Gpu) -> Result<()> {
        self.terms.iter().try_for_each(|term| match &term.kind {
            Kind::Taught { loss, .. } => loss.update_memory(gpu),
            Kind::Labels(_) => Ok(()),
        })
    }

    /// What every teacher says of `x`. One after the other, each keeping only what is asked for, so that no more than one
    /// teacher's activations exist at a time.
    pub(crate) fn teach(&self, gpu: &Gpu, x: &Tensor) -> Result<Vec<TeacherOutputs>> {
        let one = |(teacher, spots): (&Teacher, &Vec<TeacherSite>)| match &teacher.network {
            Some(network) => TeacherOutputs::keep(network.infer(gpu, x)?, spots),
            None => Err(Error::Invalid("a network that is trained along does not teach by itself".into())),
        };
        self.teachers.iter().zip(&self.kept).map(one).collect()
    }

    /// The losses on labels: the term's number, its task, and the task's weight.
    pub(crate) fn label_terms(&self) -> impl Iterator<Item = (usize, usize, f32)> {
        let labels = self.terms.iter().enumerate().filter(|(_, term)| term.is_labels());
        labels.map(|(i, term)| (i, term.task, term.task_weight))
    }

    /// Adds the losses on labels of what the heads say, `logits[head]`, none of which asks for a gradient.
    pub(crate) fn judge_labels(&self, losses: &mut LossRecorder, logits: &[Var], labels: &[Tensor]) -> Result<()> {
        let mut assigned: Vec<Assigned> = logits.iter().map(|_| None).collect();
        for (i, term) in self.terms.iter().enumerate() {
            if let Kind::Labels(loss) = &term.kind {
                loss.apply(losses, i, 1.0, &logits[term.task], &labels[term.task], &mut assigned[term.task])?;
            }
        }
        Ok(())
    }

    /// Adds the terms `chosen` of a batch: the student's `features`, what its teachers said of it, `labels[head]`.
    pub(crate) fn apply(
        &self,
        losses: &mut LossRecorder,
        chosen: &[usize],
        heads: &mut Heads,
        features: &Features<Var>,
        taught: &[TeacherOutputs],
        labels: &[Tensor],
    ) -> Result<()> {
        heads.forget();
        self.apply_to(losses, chosen, heads, features, taught, labels)
    }

    /// [`LossTerms::apply`] with the logits of those heads that have run already.
    pub(crate) fn apply_to(
        &self,
        losses: &mut LossRecorder,
        chosen: &[usize],
        heads: &mut Heads,
        features: &Features<Var>,
        taught: &[TeacherOutputs],
        labels: &[Tensor],
    ) -> Result<()> {
        for &i in chosen {
            let term = &self.terms[i];
            let said = heads.run(losses, term.task, features)?;
            match &term.kind {
                Kind::Labels(loss) => {
                    let assigned = heads.assigned.entry(term.task).or_default();
                    loss.apply(losses, i, term.factor, &said.logits, &labels[term.task], assigned)?;
                }
                Kind::Taught { loss, teacher, head } => {
                    let given = DistillInput {
                        logits: &said.logits,
                        features,
                        maps: &said.maps,
                        labels: &labels[term.task],
                        teacher: &taught[*teacher],
                        head: *head,
                    };
                    loss.apply(losses, i, term.factor, &given)?;
                }
            }
        }
        Ok(())
    }
}
