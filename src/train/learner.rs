//! A network that learns: what it minimises, the log of its losses, and the optimizers of everything that is trained.

use crate::balance::BalanceConfig;
use crate::gpu::Gpu;
use crate::loss::LossLog;
use crate::nn::Network;
use crate::optim::{Optimizer, Rule};
use crate::params::Params;
use crate::train::average::WeightAverage;
use crate::train::balancing::Balancing;
use crate::train::terms::{LossTerms, Term};
use crate::{Error, Result};

/// Steps whose losses the log holds: reading them waits for the GPU.
pub(crate) const LOG_STEPS: usize = 16;

/// A network that learns, with the terms of its loss, the log of their values, and what is trained beside it.
///
/// [`StepRecorder::step`](crate::train::StepRecorder::step) lets one take a step, or several that learn from each other.
pub struct Learner {
    pub(crate) network: Network,
    pub(crate) terms: LossTerms,
    pub(crate) log: LossLog,
    pub(crate) optimizer: Optimizer,
    /// What methods train beside the network: adaptors.
    pub(crate) extra: Vec<ParamGroup>,
    /// The moving average of the network's weights, where it is kept.
    pub(crate) average: Option<WeightAverage>,
    /// How the tasks are balanced; `None`: by their weights alone.
    pub(crate) balancing: Option<Balancing>,
    /// Something that a recorded step holds as a constant has changed.
    pub(super) changed: bool,
    /// What the terms' weights were multiplied by for their strength beside the labels; 0 where that could not be told yet. Empty until
    /// something is measured.
    pub(crate) scales: Vec<f32>,
    /// Whether an epoch is under way in which terms are still scaled.
    scaling: bool,
    /// The terms' values summed over the steps since [`Learner::mean_losses`] was asked, and how many those are.
    totals: (Vec<f64>, usize),
    /// The same of the epoch under way.
    epoch: (Vec<f64>, usize),
}

/// What is trained beside a network, with an optimizer of its own.
pub(crate) struct ParamGroup {
    pub params: Params,
    pub optimizer: Optimizer,
    /// Its learning rate in that of the network.
    pub lr_factor: f32,
}

impl Learner {
    /// A network that is to minimise `terms` by steps of `rule`; gradients are shortened to a norm of `clip_norm` at most.
    ///
    /// # Errors
    /// GPU errors.
    pub fn new(gpu: &Gpu, network: Network, terms: LossTerms, rule: Rule, clip_norm: Option<f32>) -> Result<Self> {
        let group = |params: Params| {
            Ok(ParamGroup { optimizer: Optimizer::new(gpu, &params, rule, clip_norm)?, params, lr_factor: 1.0 })
        };
        let extra = terms.adaptors().into_iter().map(|(_, params)| group(params.clone())).collect::<Result<_>>()?;
        Ok(Learner {
            optimizer: Optimizer::new(gpu, network.params(), rule, clip_norm)?,
            log: LossLog::new(gpu, terms.names().to_vec(), LOG_STEPS)?,
            network,
            terms,
            extra,
            average: None,
            balancing: None,
            changed: false,
            scales: Vec::new(),
            scaling: true,
            totals: Default::default(),
            epoch: Default::default(),
        })
    }

    /// The same with a learning rate of what is trained beside the network that is `factor` times that of the network.
    pub fn with_adaptor_lr_factor(mut self, factor: f64) -> Self {
        self.extra.iter_mut().for_each(|group| group.lr_factor = factor as f32);
        self
    }

    /// The same with the exponential moving average of the network's weights: [`Learner::averaged`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for a decay that is not at least 0 and below 1.
    pub fn with_average(mut self, gpu: &Gpu, decay: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&decay) {
            return Err(Error::Invalid(format!(
                "the decay of an average is {decay}; it must be at least 0 and below 1"
            )));
        }
        self.average = Some(WeightAverage::new(gpu, &self.network, decay)?);
        Ok(self)
    }

    /// The network with the moving average of the weights, where it is kept.
    pub fn averaged(&self) -> Option<&Network> {
        self.average.as_ref().map(|average| &average.network)
    }

    /// The same with its tasks, or all its terms, balanced anew at each step; what the method draws hangs on `seed`. For a learner that
    /// learns alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings that the method does not have.
    pub fn balanced(mut self, config: &BalanceConfig, seed: u64) -> Result<Self> {
        let tasks: Vec<&str> = self.network.spec().heads.iter().map(|head| head.task.as_str()).collect();
        self.balancing = Balancing::new(config, &self.terms, &tasks, seed)?;
        Ok(self)
    }

    /// The network, as it now is.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, when nothing more is to be learnt.
    pub fn into_network(self) -> Network {
        self.network
    }

    /// What it minimises.
    pub fn terms(&self) -> &LossTerms {
        &self.terms
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// Learned values beside the network.
    #[cfg(feature = "train")]
    pub(crate) fn count_extra(&self) -> usize {
        self.extra.iter().map(|group| group.params.count()).sum()
    }

    /// Makes ready for epoch number `epoch`, from 0, of so many: warm-ups, what is annealed, and methods of balancing that go by epochs.
    /// In the first epoch of this learner methods with `cap` or `normalize` are measured.
    ///
    /// # Errors
    /// As [`Learner::mean_losses`].
    pub fn begin_epoch(&mut self, gpu: &Gpu, epoch: usize, epochs: usize) -> Result<()> {
        self.advance(epoch, epochs);
        self.flush(gpu)?;
        let (sums, steps) = std::mem::take(&mut self.epoch);
        if let Some(balancing) = self.balancing.as_mut().filter(|_| steps > 0) {
            let means: Vec<f64> = sums.iter().map(|sum| sum / steps as f64).collect();
            balancing.end_epoch(&self.terms, &means)?;
        }
        Ok(())
    }

    /// Lets warm-ups and what is annealed go on to epoch number `epoch`, from 0, of so many.
    pub(crate) fn advance(&mut self, epoch: usize, epochs: usize) {
        self.changed |= self.terms.advance(epoch, epochs);
        self.scaling = epoch == 0 || self.scales.is_empty();
    }

    /// The terms with `cap` or `normalize` that could not be measured so far, as no batch had labels of their task, or as the method itself
    /// had no gradient: they count with the weight they were given. Empty before the first step.
    pub fn unscaled(&self) -> Vec<&str> {
        let all = self.terms.names().iter().zip(&self.scales);
        all.filter(|(_, scale)| **scale == 0.0).map(|(name, _)| name.as_str()).collect()
    }

    /// Whether there are terms to be scaled whose scale is not known.
    pub(crate) fn wants_scales(&self) -> bool {
        let open = match self.scales.as_slice() {
            [] => self.terms.terms().iter().any(Term::is_scaled),
            known => known.contains(&0.0),
        };
        self.scaling && open
    }

    /// Scales the terms by the products of their gradients ([`LossTerms::scales`]); `products` are then those of the scaled terms.
    pub(crate) fn scale(&mut self, products: &mut [f64]) {
        self.scales.resize(self.terms.names().len(), 0.0);
        let mut found = self.terms.scales(products);
        let known = found.iter_mut().zip(&self.scales).filter(|(_, known)| **known != 0.0);
        known.for_each(|(scale, _)| *scale = 0.0);
        self.scales.iter_mut().zip(&found).for_each(|(known, scale)| *known += scale);
        self.terms.scale(&found);
        self.changed |= found.iter().any(|scale| ![0.0, 1.0].contains(scale));
        let by = |i: usize| if found[i] == 0.0 { 1.0 } else { f64::from(found[i]) };
        for (i, product) in products.iter_mut().enumerate() {
            *product *= by(i / found.len()) * by(i % found.len());
        }
    }

    /// Goes on with scales that were found before.
    #[cfg(feature = "train")]
    pub(crate) fn restore_scales(&mut self, scales: &[f32]) {
        self.terms.scale(scales);
        self.scales = scales.to_vec();
    }

    /// Begins a step: what changes from step to step is written.
    pub(crate) fn prepare(&mut self, gpu: &Gpu, lr: f32) -> Result<()> {
        self.log.prepare(gpu)?;
        self.optimizer.prepare(gpu, lr)?;
        self.average.iter().try_for_each(|average| average.prepare(gpu, self.optimizer.steps()))?;
        self.extra.iter_mut().try_for_each(|group| group.optimizer.prepare(gpu, lr * group.lr_factor))
    }

    /// Each term's name and its mean over the steps since the last call; nothing where there was no step. Waits for the GPU.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where a loss is not finite.
    pub fn mean_losses(&mut self, gpu: &Gpu) -> Result<Vec<(String, f64)>> {
        self.flush(gpu)?;
        let (sums, steps) = std::mem::take(&mut self.totals);
        if steps == 0 {
            return Ok(Vec::new());
        }
        Ok(self.terms.names().iter().cloned().zip(sums.into_iter().map(|sum| sum / steps as f64)).collect())
    }

    /// Adds what the log holds to the totals.
    pub(crate) fn flush(&mut self, gpu: &Gpu) -> Result<()> {
        if self.log.is_empty() {
            return Ok(());
        }
        let last = self.steps();
        let rows = self.take_losses(gpu, |later| format!("step {}", last - later as u64))?;
        for (sums, steps) in [&mut self.totals, &mut self.epoch] {
            sums.resize(self.terms.names().len(), 0.0);
            *steps += rows.len();
        }
        for row in &rows {
            for (sums, _) in [&mut self.totals, &mut self.epoch] {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
            }
        }
        Ok(())
    }

    /// The terms' values of the steps that the log holds, which it then no longer does. Waits for the GPU.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for the first that is not finite; `at(n)` names the step after which n more were logged.
    pub(crate) fn take_losses(&mut self, gpu: &Gpu, at: impl Fn(usize) -> String) -> Result<Vec<Vec<f32>>> {
        let rows = self.log.take(gpu)?;
        for (i, row) in rows.iter().enumerate() {
            if let Some((value, name)) = row.iter().zip(self.terms.names()).find(|(value, _)| !value.is_finite()) {
                let (what, at) = (format!("the loss {name}"), at(rows.len() - 1 - i));
                return Err(Error::NonFinite { what, value: *value, at });
            }
        }
        Ok(rows)
    }

    /// Ends a step, the same dispatches each time: everything moves along its gradient, and methods keep what later steps need.
    pub(crate) fn apply(&self, gpu: &Gpu) -> Result<()> {
        self.optimizer.apply(gpu, self.network.params())?;
        self.average.iter().try_for_each(|average| average.apply(gpu, &self.network))?;
        self.extra.iter().try_for_each(|group| group.optimizer.apply(gpu, &group.params))?;
        self.terms.update_memory(gpu)
    }
}
