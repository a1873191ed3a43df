//! The balancing of a stage: which terms form a group, and a method that weights the groups.

use crate::balance::{self, BalanceConfig, BalanceLevel, Balancer, Gramian, Needs, Over, Seen};
use crate::train::balanced_step::Level;
use crate::train::terms::LossTerms;
use crate::{Error, Result};

/// A method at work on a stage's groups of terms.
pub(crate) struct Balancing {
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
#[cfg(feature = "train")]
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct BalanceState {
    state: Vec<f64>,
    step: u64,
    sums: Vec<f64>,
    count: usize,
}

impl Balancing {
    /// `None` where all weights are constants: nothing is to be balanced then.
    pub(crate) fn new(
        config: &BalanceConfig,
        loss_terms: &LossTerms,
        tasks: &[&str],
        seed: u64,
    ) -> Result<Option<Self>> {
        let Some(method) = balance::method(&config.method) else { return Ok(None) };
        let terms = loss_terms.terms();
        let of_task =
            |task: usize| terms.iter().enumerate().filter(move |(_, t)| t.task == task).map(|(i, _)| i).collect();
        let (groups, names): (Vec<Vec<usize>>, Vec<String>) = match config.over {
            Over::Tasks => tasks.iter().enumerate().map(|(k, name)| (of_task(k), name.to_string())).unzip(),
            Over::Terms => loss_terms.names().iter().enumerate().map(|(i, name)| (vec![i], name.clone())).unzip(),
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

    pub(crate) fn groups(&self) -> &[Vec<usize>] {
        &self.groups
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn wants_losses(&self) -> bool {
        self.balancer.method().needs != Needs::Nothing
    }

    pub(crate) fn wants_losses_after(&self) -> bool {
        self.balancer.method().after
    }

    pub(crate) fn scales_heads(&self) -> bool {
        self.balancer.method().heads
    }

    /// The groups' losses from the terms' values.
    fn losses(&self, loss_terms: &LossTerms, row: &[f32]) -> Result<Vec<f64>> {
        for (value, name) in row.iter().zip(loss_terms.names()) {
            if !value.is_finite() {
                return Err(Error::NonFinite {
                    what: format!("the loss {name}"),
                    value: *value,
                    at: "balancing".into(),
                });
            }
        }
        let term = |i: &usize| row.get(*i).map_or(0.0, |v| f64::from(*v) * f64::from(loss_terms.terms()[*i].factor));
        Ok(self.groups.iter().map(|terms| terms.iter().map(term).sum()).collect())
    }

    /// The Gramian of these products of the groups' gradients.
    ///
    /// # Errors
    /// [`Error::NonFinite`] with the name of the group whose gradient is not finite, or so long that `f32` cannot hold its square.
    fn gramian(&self, products: Vec<f64>) -> Result<Gramian> {
        match Gramian::not_finite(&products) {
            Some((k, value)) => Err(Error::NonFinite {
                what: format!("the square of the gradient of {}", self.names.get(k).map_or("a task", |n| n)),
                value: value as f32,
                at: "balancing".into(),
            }),
            None => Gramian::new(products),
        }
    }

    /// The weights of this step's groups, from the terms' values and the products of the groups' gradients.
    pub(crate) fn compute_weights(
        &mut self,
        loss_terms: &LossTerms,
        row: &[f32],
        products: Option<Vec<f64>>,
    ) -> Result<Vec<f32>> {
        let losses = self.losses(loss_terms, row)?;
        let gramian = products.map(|products| self.gramian(products)).transpose()?;
        let seen = Seen { step: self.step, losses: &losses, gramian: gramian.as_ref() };
        let mut weights = self.balancer.weights(&seen)?;
        if self.rescale {
            rescale(&mut weights);
        }
        self.step += 1;
        self.count += 1;
        self.sums.iter_mut().zip(&weights).for_each(|(sum, w)| *sum += w);
        Ok(weights.into_iter().map(|w| w as f32).collect())
    }

    /// The terms' values after the update, on the same batch.
    pub(crate) fn after(&mut self, loss_terms: &LossTerms, row: &[f32]) -> Result<()> {
        let losses = self.losses(loss_terms, row)?;
        self.balancer.after(&losses)
    }

    /// Closes an epoch in which the terms' means were `means`, and gives the groups' mean weights by their names.
    pub(crate) fn end_epoch(&mut self, loss_terms: &LossTerms, means: &[f64]) -> Result<Vec<(String, f64)>> {
        let term = |i: &usize| means.get(*i).map_or(0.0, |v| v * f64::from(loss_terms.terms()[*i].factor));
        let losses: Vec<f64> = self.groups.iter().map(|terms| terms.iter().map(term).sum()).collect();
        self.balancer.end_epoch(&losses)?;
        let count = std::mem::take(&mut self.count).max(1) as f64;
        let weights = self.names.iter().cloned().zip(self.sums.iter().map(|s| s / count)).collect();
        self.sums.fill(0.0);
        Ok(weights)
    }

    #[cfg(feature = "train")]
    pub(crate) fn state(&self) -> BalanceState {
        BalanceState { state: self.balancer.state(), step: self.step, sums: self.sums.clone(), count: self.count }
    }

    #[cfg(feature = "train")]
    pub(crate) fn restore(&mut self, from: &BalanceState) -> Result<()> {
        self.balancer.restore(&from.state)?;
        if from.sums.len() != self.sums.len() {
            return Err(Error::Invalid(format!("weights of {} groups for {}", from.sums.len(), self.sums.len())));
        }
        (self.step, self.sums, self.count) = (from.step, from.sums.clone(), from.count);
        Ok(())
    }
}

/// Scales the weights to a mean size of 1, so that methods are compared at one learning rate. Methods give exact zeros where gradients
/// cancel up to rounding; those stay, as there is no direction to scale.
fn rescale(weights: &mut [f64]) {
    let largest = weights.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
    if largest > 0.0 {
        // By the largest first: sums of large ones overflow, quotients of small ones do.
        weights.iter_mut().for_each(|w| *w /= largest);
        let size: f64 = weights.iter().map(|w| w.abs()).sum::<f64>() / weights.len() as f64;
        weights.iter_mut().for_each(|w| *w /= size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_gradient_that_is_not_finite_is_named() {
        let balancer = Balancer::new(balance::method("imtl_g").unwrap(), &BTreeMap::new(), 2, 0).unwrap();
        let names = ["age", "pose"].map(String::from).to_vec();
        let groups = vec![vec![0], vec![1]];
        let (level, sums) = (Level::Parameters, vec![0.0; 2]);
        let balancing = Balancing { balancer, groups, names, level, rescale: true, step: 0, sums, count: 0 };
        for (value, products) in [
            ("NaN", vec![1.0, f64::NAN, f64::NAN, f64::NAN]),
            ("inf", vec![1.0, f64::INFINITY, f64::INFINITY, f64::INFINITY]),
        ] {
            let error = balancing.gramian(products).unwrap_err().to_string();
            assert!(error.contains("the gradient of pose") && error.contains(value), "{error}");
            assert!(error.contains("lower the learning rate"), "{error}");
        }
        assert!(balancing.gramian(vec![1.0, 0.5, 0.5, 1.0]).is_ok());
    }

    #[test]
    fn weights_of_any_size_are_scaled() {
        for size in [1e-320, 1e-30, 1.0, 1e300] {
            let mut weights = [3.0 * size, -size];
            rescale(&mut weights);
            assert!((weights[0] - 1.5).abs() < 1e-3 && (weights[1] + 0.5).abs() < 1e-3, "{weights:?}");
        }
        let mut zeros = [0.0; 2];
        rescale(&mut zeros);
        assert_eq!(zeros, [0.0; 2]);
    }
}
