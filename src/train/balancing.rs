//! The balancing of a stage: which terms form a group, and a method that weights the groups.

use super::config::{BalanceConfig, BalanceLevel, Over};
use super::judge::Level;
use super::objective::Objective;
use crate::balance::{self, Balancer, Gramian, Needs, Seen};
use crate::{Error, Result};

/// A method at work on a stage's groups of terms.
pub(super) struct Balancing {
    balancer: Balancer,
    groups: Vec<Vec<usize>>,
    names: Vec<String>,
    level: Level,
    rescale: bool,
    /// Steps weighed so far.
    step: u64,
    /// The groups' weights, summed over the steps since [`Balancing::take_means`].
    sums: Vec<f64>,
    count: usize,
}

/// Everything a resumed run needs.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct BalanceState {
    state: Vec<f64>,
    step: u64,
    sums: Vec<f64>,
    count: usize,
}

impl Balancing {
    /// `None` where all weights are constants: nothing is to be balanced then.
    pub(super) fn new(
        config: &BalanceConfig,
        objective: &Objective,
        tasks: &[&str],
        seed: u64,
    ) -> Result<Option<Self>> {
        let Some(method) = balance::method(&config.method) else { return Ok(None) };
        let terms = objective.terms();
        let of_task =
            |task: usize| terms.iter().enumerate().filter(move |(_, t)| t.task == task).map(|(i, _)| i).collect();
        let (groups, names): (Vec<Vec<usize>>, Vec<String>) = match config.over {
            Over::Tasks => tasks.iter().enumerate().map(|(k, name)| (of_task(k), name.to_string())).unzip(),
            Over::Terms => objective.names().iter().enumerate().map(|(i, name)| (vec![i], name.clone())).unzip(),
        };
        let level = match (method.needs, config.level) {
            (Needs::Gramian, BalanceLevel::Parameters) => Level::Parameters,
            (Needs::Gramian, BalanceLevel::Features) => Level::Features,
            _ => Level::Nowhere,
        };
        let balancer = Balancer::new(method, &config.settings, groups.len(), seed)?;
        let sums = vec![0.0; groups.len()];
        let rescale = config.rescale;
        Ok(Some(Balancing { balancer, groups, names, level, rescale, step: 0, sums, count: 0 }))
    }

    pub(super) fn groups(&self) -> &[Vec<usize>] {
        &self.groups
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }

    pub(super) fn wants_losses(&self) -> bool {
        self.balancer.method().needs != Needs::Nothing
    }

    pub(super) fn wants_losses_after(&self) -> bool {
        self.balancer.method().after
    }

    pub(super) fn scales_heads(&self) -> bool {
        self.balancer.method().heads
    }

    /// The groups' losses from the terms' values.
    fn losses(&self, objective: &Objective, row: &[f32]) -> Result<Vec<f64>> {
        for (value, name) in row.iter().zip(objective.names()) {
            if !value.is_finite() {
                return Err(Error::NonFinite {
                    what: format!("the loss {name}"),
                    value: *value,
                    at: "balancing".into(),
                });
            }
        }
        let term = |i: &usize| row.get(*i).map_or(0.0, |v| f64::from(*v) * f64::from(objective.terms()[*i].factor));
        Ok(self.groups.iter().map(|terms| terms.iter().map(term).sum()).collect())
    }

    /// The weights of this step's groups, from the terms' values and the products of the groups' gradients.
    pub(super) fn weigh(&mut self, objective: &Objective, row: &[f32], products: Option<Vec<f64>>) -> Result<Vec<f32>> {
        let losses = self.losses(objective, row)?;
        let gramian = products.map(Gramian::new).transpose()?;
        let seen = Seen { step: self.step, losses: &losses, gramian: gramian.as_ref() };
        let mut weights = self.balancer.weights(&seen)?;
        let size: f64 = weights.iter().map(|w| w.abs()).sum();
        if self.rescale && size > 0.0 {
            let scale = weights.len() as f64 / size;
            weights.iter_mut().for_each(|w| *w *= scale);
        }
        self.step += 1;
        self.count += 1;
        self.sums.iter_mut().zip(&weights).for_each(|(sum, w)| *sum += w);
        Ok(weights.into_iter().map(|w| w as f32).collect())
    }

    /// The terms' values after the update, on the same batch.
    pub(super) fn after(&mut self, objective: &Objective, row: &[f32]) -> Result<()> {
        let losses = self.losses(objective, row)?;
        self.balancer.after(&losses)
    }

    /// Closes an epoch in which the terms' means were `means`, and gives the groups' mean weights by their names.
    pub(super) fn end_epoch(&mut self, objective: &Objective, means: &[f64]) -> Result<Vec<(String, f64)>> {
        let term = |i: &usize| means.get(*i).map_or(0.0, |v| v * f64::from(objective.terms()[*i].factor));
        let losses: Vec<f64> = self.groups.iter().map(|terms| terms.iter().map(term).sum()).collect();
        self.balancer.end_epoch(&losses)?;
        let count = std::mem::take(&mut self.count).max(1) as f64;
        let weights = self.names.iter().cloned().zip(self.sums.iter().map(|s| s / count)).collect();
        self.sums.fill(0.0);
        Ok(weights)
    }

    pub(super) fn state(&self) -> BalanceState {
        BalanceState { state: self.balancer.state(), step: self.step, sums: self.sums.clone(), count: self.count }
    }

    pub(super) fn restore(&mut self, from: &BalanceState) -> Result<()> {
        self.balancer.restore(&from.state)?;
        if from.sums.len() != self.sums.len() {
            return Err(Error::Invalid(format!("weights of {} groups for {}", from.sums.len(), self.sums.len())));
        }
        (self.step, self.sums, self.count) = (from.step, from.sums.clone(), from.count);
        Ok(())
    }
}
