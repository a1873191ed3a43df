//! How the tasks are balanced: what `[balance]` of a run's file says.

use std::collections::BTreeMap;

/// How the tasks are balanced.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "train", derive(serde::Serialize))]
pub struct BalanceConfig {
    /// The method, by its name in [`crate::balance::METHODS`]; `fixed`: the weights of `[tasks]` alone.
    pub method: String,
    /// What is balanced.
    pub over: Over,
    /// Where methods on gradients compare them.
    pub level: BalanceLevel,
    /// Measure each term's gradient and the tasks' agreement at every epoch's first step.
    pub probe: bool,
    /// Scale each step's weights to a mean size of 1. Published comparisons train with Adam, to which the size of all weights
    /// together does not matter; to SGD it is part of the learning rate, and methods whose weights add up to 1 would take steps
    /// that are smaller by the number of tasks than those of equal weights.
    pub rescale: bool,
    /// The method's own settings.
    #[cfg_attr(feature = "train", serde(flatten))]
    pub settings: BTreeMap<String, f64>,
}

/// What is balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Over {
    /// The tasks, each with all its terms.
    Tasks,
    /// Every term of every task.
    Terms,
}

/// Where gradients are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum BalanceLevel {
    /// At the trunk's output: one backward pass through the trunk.
    Features,
    /// At the trunk's parameters: one backward pass for each task.
    Parameters,
}
